import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import { lab, type LabClient, record, rows } from "../support/lab-client.ts";

describe("simulated Proxmox: identity and permissions", () => {
  let pve: RunningProxmox;
  let client: LabClient;
  let stateDir: string;
  before(async () => ({ pve, client, stateDir } = await lab()));
  after(() => pve.close());

  it("refuses no credentials, a wrong secret, an unknown token and user", async () => {
    const none = await client.call("GET", "/version", {}, { headers: {} });
    assert.deepEqual([none.status, none.message], [401, "No ticket"]);
    const wrong = await client.call(
      "GET",
      "/version",
      {},
      { token: "hive@pve!pulumi=00000000-0000-0000-0000-000000000000" },
    );
    assert.deepEqual([wrong.status, wrong.message], [401, "invalid token value!"]);
    const unknown = await client.call("GET", "/version", {}, { token: "hive@pve!other=xy" });
    assert.equal(unknown.message, "no such token 'other' for user 'hive@pve'");
    const stranger = await client.call("GET", "/version", {}, { token: "x@pve!yy=zz" });
    assert.equal(stranger.message, "no such user ('x@pve')");
  });

  it("logs root@pam in with its password, and asks a cookie's writes for the CSRF token", async () => {
    const password = readFileSync(pve.rootPasswordFile, "utf8").trim();
    const bad = await client.call(
      "POST",
      "/access/ticket",
      { username: "root@pam", password: "wrong" },
      { headers: {} },
    );
    assert.deepEqual([bad.status, bad.message], [401, "authentication failure"]);
    const login = record(
      (await client.call("POST", "/access/ticket", { username: "root@pam", password }, { headers: {} })).data,
    );
    const cookie = `PVEAuthCookie=${encodeURIComponent(String(login["ticket"]))}`;
    assert.equal((await client.call("GET", "/version", {}, { headers: { cookie } })).status, 200);
    const noCsrf = await client.call("POST", "/pools", { poolid: "p1" }, { headers: { cookie } });
    assert.deepEqual([noCsrf.status, noCsrf.message], [401, "Permission denied - invalid csrf token"]);
    const csrf = String(login["CSRFPreventionToken"]);
    assert.equal(
      (await client.call("POST", "/pools", { poolid: "p1" }, { headers: { cookie, csrfpreventiontoken: csrf } }))
        .status,
      200,
    );
    const forged = await client.call("GET", "/version", {}, { headers: { cookie: cookie.slice(0, -3) + "xyz" } });
    assert.equal(forged.status, 401);
  });

  it("keeps secrets out of the state and the files private", async () => {
    const secret = readFileSync(pve.tokenFile, "utf8").trim().split("=")[1] ?? "";
    const password = readFileSync(pve.rootPasswordFile, "utf8").trim();
    await client.run("POST", "/nodes/pve/qemu", { vmid: 150, cipassword: "Canary-7f3a" });
    for (const file of ["state.json", "events.jsonl"]) {
      const text = readFileSync(join(stateDir, file), "utf8");
      for (const canary of [secret, password, "Canary-7f3a"])
        assert.ok(!text.includes(canary), `${file} holds a secret`);
    }
    for (const file of ["state.json", "token", "root-password", "key.pem", "root.sock"]) {
      assert.equal(statSync(join(stateDir, file)).mode & 0o077, 0, file);
    }
    assert.equal(record((await client.call("GET", "/nodes/pve/qemu/150/config")).data)["cipassword"], "**********");
  });

  const rootOnly: readonly (readonly [Record<string, string>, string])[] = [
    [{ affinity: "0-3" }, "only root can set 'affinity' config"],
    [{ hugepages: "1024" }, "only root can set 'hugepages' config"],
    [{ keephugepages: "1" }, "only root can set 'keephugepages' config"],
    [{ args: "-cpu host" }, "only root can set 'args' config"],
    [{ hookscript: "local:snippets/hook.sh" }, "only root can set 'hookscript' config"],
    [{ arch: "x86_64" }, "only root can set 'arch' config"],
    [{ ivshmem: "size=16" }, "only root can set 'ivshmem' config"],
    [{ vmgenid: "1" }, "only root can set 'vmgenid' config"],
    [{ lock: "backup" }, "only root can set 'lock' config"],
    [{ hostpci0: "host=0000:01:00.0" }, "only root can set 'hostpci0' config for non-mapped devices"],
    [{ usb0: "host=1a6e:089a" }, "only root can set 'usb0' config for real devices"],
    [{ serial0: "/dev/ttyS0" }, "only root can set 'serial0' config for real devices"],
  ];
  for (const [option, message] of rootOnly) {
    const name = Object.keys(option)[0] ?? "";
    it(`lets root@pam alone set ${name}=${option[name] ?? ""}`, async () => {
      const made = record(
        (await client.call("POST", `/access/users/root@pam/token/t-${name}`, { privsep: 0 }, { root: true })).data,
      );
      const rootToken = `${String(made["full-tokenid"])}=${String(made["value"])}`;
      for (const token of [undefined, rootToken]) {
        const options = token === undefined ? {} : { token };
        const create = await client.call("POST", "/nodes/pve/qemu", { vmid: 151, ...option }, options);
        assert.deepEqual([create.status, create.message], [500, message]);
        const update = await client.call("PUT", "/nodes/pve/qemu/150/config", option, options);
        assert.deepEqual([update.status, update.message], [500, message]);
      }
      assert.equal(
        (await client.call("PUT", "/nodes/pve/qemu/150/config", { ...option, skiplock: 1 }, { root: true })).status,
        200,
      );
      await client.run("PUT", "/nodes/pve/qemu/150/config", { delete: name, skiplock: 1 }, { root: true });
    });
  }

  it("gives a token with privilege separation what both it and its user have, and takes effect at once", async () => {
    const token = record((await client.call("POST", "/access/users/hive@pve/token/small", {}, { root: true })).data);
    const small = `hive@pve!small=${String(token["value"])}`;
    const denied = await client.call("POST", "/nodes/pve/qemu", { vmid: 160 }, { token: small });
    assert.equal(denied.status, 403);
    await client.run(
      "PUT",
      "/access/acl",
      { path: "/vms/160", roles: "Administrator", tokens: "hive@pve!small" },
      { root: true },
    );
    // Administrator on the token, but the user's role Hive lacks VM.Backup: the intersection decides.
    const view = record((await client.call("GET", "/access/permissions", { path: "/vms/160" }, { token: small })).data);
    const here = record(view["/vms/160"]);
    assert.equal(here["VM.Allocate"], 1);
    assert.equal(here["VM.Backup"], undefined);
    const disk = await client.call("POST", "/nodes/pve/qemu", { vmid: 160, scsi0: "local-zfs:8" }, { token: small });
    assert.deepEqual(
      [disk.status, disk.message],
      [403, "Permission check failed (/storage/local-zfs, Datastore.AllocateSpace)"],
    );
    await client.run("POST", "/nodes/pve/qemu", { vmid: 160 }, { token: small });
    assert.deepEqual(
      rows((await client.call("GET", "/nodes/pve/qemu", {}, { token: small })).data).map((r) => r["vmid"]),
      [160],
    );
  });

  it("asks Mapping.Use of each mapping and SDN.Use of each bridge", async () => {
    await client.run("POST", "/cluster/mapping/pci", {
      id: "gpu",
      map: "node=pve,path=0000:01:00.0,id=10de:2204,iommugroup=12",
    });
    await client.run("POST", "/access/users", { userid: "op@pve", password: "x".repeat(12) }, { root: true });
    await client.run("PUT", "/access/acl", { path: "/vms", roles: "PVEVMAdmin", users: "op@pve" }, { root: true });
    const made = record(
      (await client.call("POST", "/access/users/op@pve/token/tk", { privsep: 0 }, { root: true })).data,
    );
    const token = `op@pve!tk=${String(made["value"])}`;
    const gpu = await client.call("POST", "/nodes/pve/qemu", { vmid: 170, hostpci0: "mapping=gpu" }, { token });
    assert.equal(gpu.message, "Permission check failed (/mapping/pci/gpu, Mapping.Use)");
    const net = await client.call("POST", "/nodes/pve/qemu", { vmid: 170, net0: "virtio,bridge=vmbr0" }, { token });
    assert.equal(net.message, "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)");
    const startup = await client.call("POST", "/nodes/pve/qemu", { vmid: 170, startup: "order=1" }, { token });
    assert.equal(startup.message, "Permission check failed (/, Sys.Modify)");
  });
});
