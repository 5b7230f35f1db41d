import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Guests } from "../../lab/host/guests.ts";
import { ensureKeyPair } from "../../lab/host/keys.ts";
import { Ports } from "../../lab/host/ports.ts";
import { RootApi } from "../../lab/host/root-api.ts";
import { Uplink } from "../../lab/host/uplink.ts";
import { lab } from "../support/lab-client.ts";

describe("a guest of the lab whose id comes again", function () {
  this.timeout(60_000);

  it("gets a root of its own, even if the lab never saw that the old one was gone", async () => {
    const { pve, client } = await lab();
    const stateDir = mkdtempSync(join(tmpdir(), "lab-again-"));
    const { publicKey } = ensureKeyPair(join(stateDir, "keys"), "client");
    const uplink = new Uplink(undefined, { open: [], reach: [] });
    const guests = new Guests({
      ...{ stateDir, hostRoot: stateDir, api: new RootApi(pve.rootSocket), ports: new Ports(stateDir) },
      ...{ labPublicKey: publicKey, uplink, network: undefined, onChange: () => undefined },
    });
    const run = (method: string, path: string, params: Record<string, string | number> = {}): Promise<string> =>
      client.run(method, `/nodes/pve${path}`, params, { root: true });
    const make = async (): Promise<void> => {
      await run("POST", "/qemu", { vmid: 210, memory: 512, scsi0: "local-zfs:1", ostype: "l26" });
      await run("POST", "/qemu/210/status/start");
    };
    try {
      await make();
      // Its own looks are taken by hand here: none may come in between.
      await guests.refresh();
      assert.deepEqual(
        guests.list().map(({ vmid }) => vmid),
        [210],
      );
      const left = join(stateDir, "roots", "guest-210", "left-behind");
      writeFileSync(left, "");
      await run("POST", "/qemu/210/status/stop");
      await guests.refresh();
      await run("POST", "/qemu/210/status/start");
      await guests.refresh();
      assert.ok(existsSync(left), "the same guest keeps its root");
      await run("POST", "/qemu/210/status/stop");
      await run("DELETE", "/qemu/210");
      await make();
      await guests.refresh();
      assert.equal(guests.list().length, 1);
      assert.ok(!existsSync(left));
      await guests.refresh();
      assert.equal(guests.list().length, 1, "and keeps it");
    } finally {
      await guests.close();
      await uplink.close();
      await pve.close();
      rmSync(stateDir, { recursive: true, force: true });
    }
  });
});
