/** A runner's Sentinel as a test has it: one key, signals by hand, a wait for what comes back. */
import assert from "node:assert/strict";
import { firstWebhookSecret, signWebhook } from "../../components/shared/signals/webhooks.ts";
import { agentIdentity, pskCall, pskClient } from "../../runtime-agent/src/shared/pskTls.ts";

/** Waits for what a look finds. The bound is for an emulated guest on a busy machine, and no measure. */
export async function until<T>(look: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const endMs = performance.now() + 200_000;
  while (performance.now() < endMs) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`never: ${what}`);
}

export const runIdOf = (key: string): string => `run_${Buffer.from(key).toString("hex").padEnd(32, "0")}`;

/** Sends a signal to the runner of `agent` on this machine until it answers. @returns the status */
export async function sendSignal(
  to: { readonly agent: string; readonly key: Buffer; readonly port: number },
  key: string,
  payload: unknown,
): Promise<number> {
  const tls = pskClient({ identity: agentIdentity(to.agent), key: to.key });
  try {
    return await until(async () => {
      const body = JSON.stringify({ type: "run", agent: to.agent, runId: runIdOf(key), payload });
      const headers = { ...signWebhook(key, Math.floor(Date.now() / 1000), body, firstWebhookSecret(to.key)) };
      const call = {
        agent: tls,
        host: "127.0.0.1",
        port: to.port,
        method: "POST",
        path: "/v1/signals",
        headers,
        body,
      } as const;
      const answer = await pskCall(call).catch(() => undefined);
      return answer?.status;
    }, `signal ${key} is answered`);
  } finally {
    tls.destroy();
  }
}
