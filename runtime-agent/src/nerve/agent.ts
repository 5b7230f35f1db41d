/** Nerve's agent: the webhook. It keeps nothing, so starting is recovering. */
import type { NerveAgentConfig } from "../../../components/shared/nerve/agentConfig.ts";
import { realClock } from "../shared/clock.ts";
import { createLog } from "../shared/log.ts";
import { version } from "../shared/version.ts";
import { type AdmissionRules, admit } from "./core/admission.ts";
import { defaultSpotPolicy } from "./core/spot/types.ts";
import { startWebhook } from "./webhook/server.ts";

/** Runs until SIGTERM or SIGINT; gives the exit status. Rejects when the certificate or the address cannot be used. */
export async function runNerveAgent(config: NerveAgentConfig): Promise<number> {
  const clock = realClock();
  const log = createLog({ level: config.log.level }, { role: "nerve" });
  const stopped = new Promise<void>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve());
  });
  const rules: AdmissionRules = { changeoverMs: config.scheduler.changeoverSec * 1000, policy: defaultSpotPolicy };
  const { listen, reloadSec, ...files } = config.webhook;
  const webhook = await startWebhook({
    ...{ listen, files, reloadMs: reloadSec * 1000, clock, log },
    admit: (review) => admit(review, rules, clock.wallMs()),
  });
  log.notice("the webhook is ready", { version, port: webhook.port });
  await stopped;
  await webhook.close();
  return 0;
}
