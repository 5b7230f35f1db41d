import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import type { PveClient } from "../../runtime-agent/src/shared/proxmox/client.ts";
import { pveClient } from "../../runtime-agent/src/shared/proxmox/client.ts";
import { PveError } from "../../runtime-agent/src/shared/proxmox/errors.ts";
import { pveGuests, type Guests } from "../../runtime-agent/src/keeper/host/proxmox/guests.ts";
import { keeperPrivileges } from "../../components/shared/privileges.ts";
import { readTokenFile } from "../../runtime-agent/src/shared/proxmox/token.ts";
import type { HostAction } from "../../runtime-agent/src/keeper/host/core/types.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import * as z from "zod";
import { lab, type LabClient } from "../support/lab-client.ts";

const VM = "/nodes/pve/qemu";
const gpu = "mapping=gpu,pcie=1";

describe("Keeper, host side: Proxmox by API token", () => {
  let pve: RunningProxmox;
  let root: LabClient;
  let client: PveClient;
  let guests: Guests;
  let token: string;
  let fingerprint: string;
  const clients: PveClient[] = [];

  const connect = (changes: Partial<Parameters<typeof pveClient>[0]> = {}): PveClient => {
    const made = pveClient({
      url: pve.url,
      token,
      trust: { fingerprint },
      node: "pve",
      clock: realClock(),
      retryMs: 5,
      ...changes,
    });
    clients.push(made);
    return made;
  };
  const fault = (params: Record<string, string>): Promise<unknown> =>
    root.call("POST", "/lab/faults", params, { root: true });
  const kindOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => "ok",
      (error: unknown) => (error instanceof PveError ? error.kind : String(error)),
    );
  const base = { id: "a1", reason: "test" };
  const act = (action: HostAction): Promise<void> => guests.perform(action);
  const seen = async (vmid: number, ask?: number) => (await guests.observe([vmid], ask))[0];

  before(async () => {
    ({ pve, client: root } = await lab({ bootDelayMs: 5 }));
    const may = keeperPrivileges.join(" ");
    const asRoot = { root: true };
    await root.call("POST", "/access/roles", { roleid: "Keeper", privs: may }, asRoot);
    await root.call("POST", "/access/users", { userid: "keeper@pve" }, asRoot);
    const made = await root.call("POST", "/access/users/keeper@pve/token/host", { privsep: 0 }, asRoot);
    await root.call("PUT", "/access/acl", { path: "/", users: "keeper@pve", roles: "Keeper" }, asRoot);
    token = `keeper@pve!host=${String(z.object({ value: z.string() }).parse(made.data).value)}`;
    fingerprint = new X509Certificate(await readFile(pve.caCertFile)).fingerprint256;
    client = connect();
    guests = pveGuests(client);
    const pci: unknown = (await root.call("GET", "/nodes/pve/hardware/pci", {}, { root: true })).data;
    const card = Array.isArray(pci) ? pci.find((device: { vendor?: string }) => device.vendor === "0x10de") : undefined;
    assert.ok(card !== undefined, "the lab has a card");
    const { id, device, iommugroup } = card;
    await root.run(
      "POST",
      "/cluster/mapping/pci",
      {
        id: "gpu",
        map: `node=pve,path=${String(id)},id=10de:${String(device).slice(2)},iommugroup=${String(iommugroup)}`,
      },
      { root: true },
    );
    for (const [vmid, extra] of [
      [100, { hostpci0: gpu }],
      [102, {}],
      [101, { balloon: 1024, shares: 1000 }],
    ] as const) {
      await root.run(
        "POST",
        VM,
        { vmid, memory: 4096, agent: "1", ide2: "file=local-zfs:cloudinit,media=cdrom", ...extra },
        { root: true },
      );
    }
  });
  after(async () => {
    for (const made of clients) made.close();
    await pve.close();
  });
  afterEach(async () => void (await root.call("DELETE", "/lab/faults", {}, { root: true })));

  it("starts, sees, pauses, shuts down; each may be asked twice", async () => {
    assert.equal((await seen(102))?.status, "stopped");
    for (const _ of [1, 2]) await act({ ...base, kind: "start", vmid: 102 });
    assert.equal((await seen(102, 102))?.status, "running");
    await act({ ...base, kind: "suspend", vmid: 102 });
    assert.equal((await seen(102))?.status, "paused");
    await act({ ...base, kind: "resume", vmid: 102 });
    for (const _ of [1, 2]) await act({ ...base, kind: "shutdown", vmid: 102, timeoutSec: 30 });
    assert.equal((await seen(102))?.status, "stopped");
    await act({ ...base, kind: "start", vmid: 102 });
    for (const _ of [1, 2]) await act({ ...base, kind: "stop", vmid: 102 });
    assert.deepEqual((await seen(102))?.devices, {});
  });

  it("moves a balloon at once, taking it out of Proxmox's own hands first", async () => {
    await act({ ...base, kind: "start", vmid: 101 });
    await act({ ...base, kind: "balloon", vmid: 101, targetMiB: 2048 });
    assert.equal((await seen(101))?.balloonMiB, 2048);
    await act({ ...base, kind: "balloon", vmid: 101, targetMiB: 4096 });
    assert.equal((await seen(101))?.balloonMiB, 4096);
    assert.equal((await seen(101))?.maxMiB, 4096);
  });

  it("rebinds the device between stopped VMs, twice without harm, and never over another device", async () => {
    for (const _ of [1, 2]) await act({ ...base, kind: "detach", vmid: 100, slot: "hostpci0", device: gpu });
    for (const _ of [1, 2]) await act({ ...base, kind: "attach", vmid: 102, slot: "hostpci0", device: gpu });
    assert.deepEqual((await seen(100))?.devices, {});
    assert.deepEqual((await seen(102))?.devices, { hostpci0: gpu });
    assert.equal(
      await kindOf(act({ ...base, kind: "attach", vmid: 102, slot: "hostpci0", device: "mapping=other" })),
      "refused",
    );
    await act({ ...base, kind: "detach", vmid: 102, slot: "hostpci0", device: "mapping=other" });
    assert.deepEqual((await seen(102))?.devices, { hostpci0: gpu });
    await act({ ...base, kind: "start", vmid: 102 });
    for (let n = 0; n < 200 && (await seen(102, 102))?.agent !== true; n += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await seen(102, 102))?.agent, true);
    assert.equal((await seen(100, 100))?.agent, false);
    await act({ ...base, kind: "stop", vmid: 102 });
  });

  it("tells a task's failure in Proxmox's own words", async () => {
    await root.run("PUT", `${VM}/100/config`, { memory: 8_000_000 }, { root: true });
    const error = await act({ ...base, kind: "start", vmid: 100 }).catch((caught: unknown) => caught);
    assert.ok(error instanceof PveError);
    assert.equal(error.kind, "task");
    assert.match(error.said, /QEMU exited/);
    await root.run("PUT", `${VM}/100/config`, { memory: 4096 }, { root: true });
  });

  it("repeats reads when Proxmox fails, and never what starts something", async () => {
    await fault({ kind: "500", path: "/version", times: "2" });
    assert.equal(await kindOf(client.call("GET", "/version")), "ok");
    await fault({ kind: "500", path: "/version", times: "9" });
    assert.equal(await kindOf(client.call("GET", "/version")), "refused");
    await root.call("DELETE", "/lab/faults", {}, { root: true });
    await fault({ kind: "drop", path: "/version", times: "1" });
    assert.equal(await kindOf(client.call("GET", "/version")), "ok");
    await fault({ kind: "500", path: "/status/start", times: "1" });
    assert.equal(await kindOf(act({ ...base, kind: "start", vmid: 102 })), "refused");
    assert.equal((await seen(102))?.status, "stopped");
    // The answer to a start is lost after the work was done: not repeated, but asking again finds it running.
    await fault({ kind: "drop", phase: "after", path: "/status/start", times: "1" });
    assert.equal(await kindOf(act({ ...base, kind: "start", vmid: 102 })), "unreachable");
    for (let n = 0; n < 200 && (await seen(102))?.status !== "running"; n += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await act({ ...base, kind: "start", vmid: 102 });
    await act({ ...base, kind: "stop", vmid: 102 });
  });

  it("keeps its deadlines when Proxmox hangs", async () => {
    const hasty = connect({ deadlineMs: 150 });
    await fault({ kind: "timeout", path: "/version" });
    assert.equal(await kindOf(hasty.call("GET", "/version")), "timeout");
    await fault({ kind: "slow-task", path: "/status/start", delayMs: "3000" });
    const patient = connect();
    assert.equal(await kindOf(patient.run("POST", `${VM}/101/status/reset`, {}, 30_000)), "ok");
    assert.equal(await kindOf(patient.run("POST", `${VM}/100/status/start`, {}, 150)), "timeout");
  });

  it("says by kind what is wrong: certificate, token, privilege, address, answer", async () => {
    const other = fingerprint.replace(/^../, fingerprint.startsWith("00") ? "11" : "00");
    assert.equal(await kindOf(connect({ trust: { fingerprint: other } }).call("GET", "/version")), "certificate");
    const ca = await readFile(pve.caCertFile, "utf8");
    assert.equal(await kindOf(connect({ trust: { ca } }).call("GET", "/version")), "ok");
    const wrong = `${token.split("=")[0] ?? ""}=00000000-0000-0000-0000-000000000000`;
    assert.equal(await kindOf(connect({ token: wrong }).call("GET", "/version")), "unauthorised");
    assert.equal(
      await kindOf(connect({ url: "https://127.0.0.1:1", retries: 0 }).call("GET", "/version")),
      "unreachable",
    );
    assert.equal(await kindOf(client.run("GET", "/version")), "nonsense");
    for (const error of [await connect({ token: wrong }).call("GET", "/version").catch(String)])
      assert.doesNotMatch(String(error), /00000000-0000/);
  });

  it("reads its token only from a private file of the right form", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hive-token-"));
    try {
      const file = join(folder, "token");
      await writeFile(file, `${token}\n`, { mode: 0o600 });
      assert.equal(await readTokenFile(file), token);
      await chmod(file, 0o644);
      await assert.rejects(readTokenFile(file), /chmod 600/);
      await chmod(file, 0o600);
      const secret = "hive@pve!x=not-a-uuid-but-secret";
      await writeFile(file, secret);
      const error = String(await readTokenFile(file).catch((caught: unknown) => caught));
      assert.match(error, /user@realm!name=uuid/);
      assert.doesNotMatch(error, /secret/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
