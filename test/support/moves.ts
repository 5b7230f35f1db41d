/** What the Keeper does to guests (components/shared/ownership.ts), done by root through the host's own socket. */
import assert from "node:assert/strict";
import type { LabClient } from "./lab-client.ts";

/**
 * Hands the GPU from 100 to 101, squeezes 401, stops 401 and a worker, suspends 200. (A guest with an agent that is
 * suspended in memory counts as running and does not answer: the provider then waits `hive:agentTimeoutSec` for it,
 * 180 s, in each run of the engine, and goes on; 200 has none.)
 */
export async function keeperMoves(client: LabClient): Promise<void> {
  const run = async (method: string, path: string, params: Record<string, string | number> = {}): Promise<void> => {
    assert.equal(await client.run(method, `/nodes/pve/${path}`, params, { root: true }), "OK", `${method} ${path}`);
  };
  for (const id of [100, 101]) await run("POST", `qemu/${String(id)}/status/stop`);
  await run("PUT", "qemu/100/config", { delete: "hostpci0" });
  await run("PUT", "qemu/101/config", { hostpci0: "mapping=gpu-rtx3090,pcie=1" });
  for (const id of [100, 101]) await run("POST", `qemu/${String(id)}/status/start`);
  await run("PUT", "qemu/401/config", { balloon: 5120 });
  await run("POST", "qemu/401/status/stop");
  await run("POST", "lxc/300/status/stop");
  await run("POST", "qemu/200/status/suspend");
}
