import assert from "node:assert/strict";
import { splitFaults } from "../../cli/preflight/blocking.ts";
import { judgePrivileges, neededPrivileges, privilegesAt } from "../../cli/preflight/privileges.ts";

const needed = neededPrivileges({ storages: ["local", "hive-zfs"], nodeName: "pve", devices: true });
const everything = [...new Set(needed.flatMap(({ privileges }) => privileges))];

describe("preflight", () => {
  it("finds nothing missing for a token with everything at /", () => {
    assert.deepEqual(judgePrivileges({ "/": everything }, "hive@pve!pulumi", needed), []);
  });

  it("names the path, the missing privilege and the command that gives it", () => {
    const held = everything.filter((privilege) => privilege !== "Mapping.Use");
    const [fault, ...more] = judgePrivileges({ "/": held }, "hive@pve!pulumi", needed);
    assert.deepEqual(more, []);
    assert.equal(fault?.property, "privileges of hive@pve!pulumi on /mapping");
    assert.match(
      fault.fix,
      /pveum role modify Hive --append --privs "Mapping\.Use" && .*pveum acl modify \/mapping --tokens 'hive@pve!pulumi'/,
    );
  });

  it("asks for Sys.AccessNetwork only where Sys.Audit and Sys.Modify on / do not allow downloads already", () => {
    const paths = Object.fromEntries(needed.map(({ path, privileges }) => [path, privileges]));
    const withoutIt = { ...paths, "/nodes/pve": ["Sys.Audit", "Sys.Modify"] };
    assert.deepEqual(judgePrivileges(withoutIt, "hive@pve!pulumi", needed), []);
    const values = judgePrivileges({ ...withoutIt, "/": ["Sys.Audit", "Sys.Console"] }, "hive@pve!pulumi", needed).map(
      ({ value }) => value,
    );
    assert.deepEqual(values, ["without Sys.Modify", "without Sys.AccessNetwork"]);
  });

  it("takes the nearest path above, as Proxmox inherits", () => {
    const permissions = { "/": ["A"], "/storage": ["B"], "/storage/local": ["C"] };
    assert.deepEqual([...privilegesAt(permissions, "/storage/local")], ["C"]);
    assert.deepEqual([...privilegesAt(permissions, "/storage/other")], ["B"]);
    assert.deepEqual([...privilegesAt(permissions, "/vms")], ["A"]);
  });

  it("stops at other hardware on a real host, and tells it on the lab", () => {
    const fault = { property: "devices.gpu.iommuGroup", value: "1", limit: "12", fix: "" };
    assert.equal(splitFaults([fault], "real").blocking.length, 1);
    assert.deepEqual(splitFaults([fault], "lab"), { blocking: [], notes: [fault] });
  });
});
