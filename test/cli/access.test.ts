import assert from "node:assert/strict";
import { assertAccess, judgeAccess, problemOf } from "../../cli/preflight/access.ts";
import { CommandFailure } from "../../cli/output/failure.ts";
import { ApiError } from "../../cli/proxmox/api.ts";

const host = { endpoint: "https://192.168.1.10:8006/", ssh: { host: "192.168.1.10", port: 2200, user: "root" } };

describe("access to the host", () => {
  it("blames address and port when nobody answers, token and key when the host refuses them", () => {
    const silent = { apiProblem: problemOf(new ApiError("GET /nodes: connect ECONNREFUSED", 0)) };
    const refused = { apiProblem: problemOf(new ApiError("GET /nodes: no such token (401)", 401)) };
    assert.equal(judgeAccess(silent, host)[0]?.property, "endpoint");
    assert.match(judgeAccess(silent, host)[0]?.fix ?? "", /curl -k https:\/\/192\.168\.1\.10:8006\//);
    assert.equal(judgeAccess(refused, host)[0]?.property, "apiToken");
    const late = { sshProblem: problemOf(new Error("Timed out while waiting for handshake")) };
    const unknown = { sshProblem: problemOf(new Error("All configured authentication methods failed")) };
    assert.equal(judgeAccess(late, host)[0]?.property, "ssh.host");
    assert.match(judgeAccess(late, host)[0]?.fix ?? "", /ssh -p 2200 root@192\.168\.1\.10$/);
    assert.match(judgeAccess(unknown, host)[0]?.fix ?? "", /^ssh-copy-id -p 2200 root@/);
    assert.deepEqual(judgeAccess({}, host), []);
  });

  it("tells both doors at once, before anything is done", async () => {
    const closed = {
      endpoint: "https://127.0.0.1:9/",
      ...{ apiToken: "a@pve!b=c", insecure: true, nodeName: "pve" },
      ssh: { host: "127.0.0.1", port: 9, user: "root", privateKey: "", hostKey: undefined },
    };
    await assert.rejects(assertAccess(closed), (error) => {
      assert.ok(error instanceof CommandFailure);
      assert.deepEqual(
        error.faults.map(({ property }) => property),
        ["endpoint", "ssh.host"],
      );
      return true;
    });
  });
});
