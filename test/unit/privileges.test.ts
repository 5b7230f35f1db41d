import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { neededPrivileges } from "../../cli/preflight/privileges.ts";
import { projectRoot } from "../../cli/setup/paths.ts";
import { hivePrivileges, keeperPrivileges } from "../../components/shared/privileges.ts";
import { buildFixture } from "../../lab/proxmox/fixtures/index.ts";

describe("privileges of the role Keeper", () => {
  it("are the ones that the guide gives", () => {
    const guide = readFileSync(join(projectRoot, "docs", "host-setup.md"), "utf8");
    const given = /^pveum role add Keeper --privs "([^"]+)"$/m.exec(guide)?.[1];
    assert.deepEqual(given?.split(" "), keeperPrivileges);
  });
});

describe("privileges of the role Hive", () => {
  it("are the ones that the guide gives", () => {
    const guide = readFileSync(join(projectRoot, "docs", "host-setup.md"), "utf8");
    const given = /^pveum role add Hive --privs "([^"]+)"$/m.exec(guide)?.[1];
    assert.deepEqual(given?.split(" "), hivePrivileges);
  });

  it("are the ones that the lab's token has", () => {
    const secrets = { rootPassword: "a", tokenSecret: "b", ticketKey: "c" };
    assert.deepEqual(buildFixture("fresh", secrets, 0).access.roles["Hive"], hivePrivileges);
  });

  it("are all that the preflight asks for, and beside them only reading ones", () => {
    const needed = neededPrivileges({ storages: ["hive-zfs", "local"], nodeName: "pve", devices: true });
    const asked = new Set(needed.flatMap(({ privileges }) => privileges));
    assert.deepEqual(
      [...asked].filter((privilege) => !hivePrivileges.includes(privilege)),
      [],
    );
    assert.deepEqual(
      hivePrivileges.filter((privilege) => !asked.has(privilege)),
      ["Mapping.Audit", "SDN.Audit"],
    );
  });
});
