/** The runner's configuration, `/etc/hive-agent/runner.yaml` (0600): what runs one heavy agent on its throwaway server. */
import * as z from "zod";
import type { Checked } from "../faults.ts";
import { heavyAgentPaths } from "../vps/heavyAgent.ts";
import { configFaults } from "./configFaults.ts";
import {
  absolutePath,
  hostPort,
  httpUrl,
  label,
  list,
  oneOf,
  ownFolder,
  says,
  secretFile,
  strict,
  text,
  whole,
  yesOrNo,
} from "./configParts.ts";

/** Port on which a runner listens for its Sentinel. */
export const runnerPort = 8943;

const paths = strict({
  state: ownFolder.default("/var/lib/hive-agent/runner"),
  /** Holds the sockets `api.sock` and `signal.sock`, and the token `api.token`. */
  runtime: ownFolder.default("/run/hive-agent/runner"),
});

const sentinel = strict({
  address: hostPort,
  /** 64 hexadecimal digits, minted by the Sentinel for this server's one life: transport key and registration token. */
  keyFile: secretFile.default("/etc/hive-agent/secrets/agent.key"),
});

/** Secrets that signals are signed with: at least one, at most two while one takes the place of another. */
const signatures = strict({
  /** Whether the secret made of the key is believed. False when it has been replaced. */
  first: yesOrNo.default(true),
  /** Files with one `whsec_` secret each. */
  secretFiles: list(secretFile, 2, "files").default([]),
});

/** The Sentinel is to come by SSH alone: the account that lets it in, and the key that the server shows it. */
const ssh = strict({
  /** Where the Sentinel reaches this server's sshd. */
  address: hostPort,
  user: text(/^[a-z_][a-z0-9_-]{0,31}$/, "the name of an account", "Write the account that lets the Sentinel in."),
  /** Public half of the server's own key; its first two words go to the Sentinel at each registration. */
  hostKeyFile: absolutePath.default("/etc/ssh/ssh_host_ed25519_key.pub"),
});

const agent = strict({
  name: label,
  /** `job`: each run is a start of the unit. `resident`: the unit stays, and takes payloads on its socket. */
  mode: oneOf(["job", "resident"], "Write how the agent gets its work.").default("job"),
  /** Whether a run that was interrupted may be done again under the same id. */
  idempotent: yesOrNo.default(false),
  /** Longest that a resident agent may take for one run, s. */
  answerSec: whole(1, 604_800, "Write seconds, up to a week.").default(3600),
  /** Address on this server that answers 2xx when the agent can work. @default the unit itself is looked at */
  healthUrl: httpUrl.optional(),
  /** Folder of its sources, with the launcher `run`. @default /opt/heavy-agent/NAME */
  sources: absolutePath.optional(),
  /** Where it may write; results are read there. @default /var/lib/heavy-agent/NAME */
  state: absolutePath.optional(),
  /** Payload and run id are put here; not the agent's to write. @default /var/lib/heavy-agent-run/NAME */
  run: absolutePath.optional(),
  /** A resident agent's socket. @default /run/heavy-agent/NAME/agent.sock */
  socket: absolutePath.optional(),
  /** Control group whose memory is watched; it outlives the runs. */
  cgroup: absolutePath.default("/sys/fs/cgroup/heavy.slice/heavy-agent.slice"),
}).transform(({ sources, state, run, socket, ...rest }) => {
  const of = (folder: string): string => folder.replace("%i", rest.name);
  return {
    ...rest,
    sources: sources ?? of(heavyAgentPaths.sources),
    state: state ?? of(heavyAgentPaths.state),
    run: run ?? of(heavyAgentPaths.run).replace(/\/run\.env$/, ""),
    socket: socket ?? `${of(heavyAgentPaths.runtime)}/agent.sock`,
  };
});

export const runnerConfigSchema = strict({
  version: z.literal(1, { error: says("1", "Write version: 1.") }),
  paths: paths.prefault({}),
  log: strict({
    level: oneOf(["debug", "info", "notice", "warning", "error"], "Write the least level to show.").default("info"),
  }).prefault({}),
  metrics: strict({ enabled: yesOrNo.default(true) }).prefault({}),
  sentinel,
  signatures: signatures.prefault({}),
  /** Where it listens for the Sentinel. */
  listen: hostPort.prefault(`0.0.0.0:${String(runnerPort)}`),
  /** Where the Sentinel reaches it. */
  address: hostPort,
  /** @default signals come to `address`, by TLS with the agent's key */
  ssh: ssh.optional(),
  agent,
}).refine(({ signatures: { first, secretFiles } }) => [1, 2].includes(secretFiles.length + Number(first)), {
  path: ["signatures", "secretFiles"],
  error: says("one or two secrets, the first one included", "Name one file, or two with first: false."),
});

/** The configuration with every default filled in. */
export type RunnerConfig = z.output<typeof runnerConfigSchema>;
/** The configuration as a person writes it. */
export type RunnerConfigInput = z.input<typeof runnerConfigSchema>;

/** Checks a configuration that has been read already (from YAML, or from a program). Never throws. */
export function checkRunnerConfig(raw: unknown): Checked<RunnerConfig> {
  const parsed = runnerConfigSchema.safeParse(raw, { reportInput: true, jitless: true });
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, faults: configFaults(parsed.error.issues) };
}

/** JSON Schema (draft 2020-12) of the file, for editors and for `hive-agent schema --role runner`. */
export function runnerJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(runnerConfigSchema, { io: "input", unrepresentable: "any" });
  return { title: "hive-agent runner configuration", ...schema };
}
