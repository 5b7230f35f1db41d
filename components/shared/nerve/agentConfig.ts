/** The configuration of Nerve's agent, mounted into its Pod from a ConfigMap. It holds no secret. */
import * as z from "zod";
import { configFaults } from "../agent/configFaults.ts";
import { absolutePath, hostPort, oneOf, says, strict, whole } from "../agent/configParts.ts";
import type { Checked } from "../faults.ts";

/** Where the agent looks for it. */
export const nerveAgentConfigFile = "/etc/nerve/agent.yaml";

const webhook = strict({
  /** Where the API server reaches it. The default takes IPv4 alone; a cluster of IPv6 writes `"[::]:8443"`. */
  listen: hostPort.prefault("0.0.0.0:8443"),
  /** PEM: the certificate for `SERVICE.NAMESPACE.svc`, then what stands between it and its authority. */
  certificateFile: absolutePath.default("/etc/nerve/tls/tls.crt"),
  /** PEM, without a passphrase. */
  keyFile: absolutePath.default("/etc/nerve/tls/tls.key"),
  /** How often both files are looked at, s. A kubelet brings new ones within about two minutes. */
  reloadSec: whole(1, 3600, "Write seconds, up to an hour.").default(10),
});

const scheduler = strict({
  /** What a start of a machine is expected to lose, until one was seen: boot, image, reading the checkpoint, s. */
  changeoverSec: whole(1, 86_400, "Write seconds, up to a day.").default(780),
});

const nerveAgentConfigSchema = strict({
  version: z.literal(1, { error: says("1", "Write version: 1.") }),
  log: strict({
    level: oneOf(["debug", "info", "notice", "warning", "error"], "Write the least level to show.").default("info"),
  }).prefault({}),
  webhook: webhook.prefault({}),
  scheduler: scheduler.prefault({}),
});

/** The configuration with every default filled in. */
export type NerveAgentConfig = z.output<typeof nerveAgentConfigSchema>;

/** Checks a configuration that has been read already. Never throws. */
export function checkNerveAgentConfig(raw: unknown): Checked<NerveAgentConfig> {
  const parsed = nerveAgentConfigSchema.safeParse(raw, { reportInput: true, jitless: true });
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, faults: configFaults(parsed.error.issues) };
}

/** JSON Schema (draft 2020-12) of the file, for editors and for `hive-agent schema --role nerve-agent`. */
export function nerveAgentJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(nerveAgentConfigSchema, { io: "input", unrepresentable: "any" });
  return { title: "hive-agent nerve agent configuration", ...schema };
}
