/** The one place that reads the configuration of the stacks `sentinel` and `agent-<name>`. */
import { existsSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { fault } from "../components/shared/check.ts";
import type { Checked, Fault } from "../components/shared/faults.ts";
import { configNamespace } from "../components/shared/genesisConfig.ts";
import { heavyAgentHostname } from "../components/shared/vps/heavyAgentPlan.ts";
import {
  parseAgentStackConfig,
  parseSentinelStackConfig,
  type AgentStackSettings,
  type SentinelStackSettings,
} from "../components/shared/vps/stackSettings.ts";
import { configError, rawConfig } from "./rawConfig.ts";

/** What must be on this machine: looked for before anything is declared, for the engine would stop at it half-way. */
function missing(key: string, path: string, what: string): Fault[] {
  if (existsSync(path)) return [];
  const limit = `${what} on this machine, from the project's folder or from /`;
  return [fault(`${configNamespace}:${key}`, path, limit, "Put it there, or correct the path.")];
}

function settingsOf<T>(
  parse: (raw: Readonly<Record<string, unknown>>) => Checked<T>,
  more: (settings: T) => Fault[],
): T {
  const subject = `Configuration of stack ${pulumi.getStack()}`;
  const read = parse(rawConfig());
  const faults = read.ok ? more(read.value) : read.faults;
  if (!read.ok || faults.length > 0) throw configError(subject, faults);
  return read.value;
}

/** Settings of a stack `agent-<name>`. @throws RunError with every fault of the configuration at once. */
export function readAgentSettings(): AgentStackSettings {
  return settingsOf(parseAgentStackConfig, ({ agent, release }) => {
    const stack = heavyAgentHostname(agent.name);
    const fix = `Select stack ${stack}, or correct the name.`;
    const named = `${configNamespace}:agent.name`;
    return [
      ...(stack === pulumi.getStack() ? [] : [fault(named, agent.name, `the one of stack ${pulumi.getStack()}`, fix)]),
      ...missing("release.tarball", release.tarball, "a file"),
      ...missing("agent.sources", agent.sources, "a folder"),
    ];
  });
}

/** Settings of the stack `sentinel`. @throws as {@link readAgentSettings} */
export function readSentinelSettings(): SentinelStackSettings {
  return settingsOf(parseSentinelStackConfig, ({ release }) => missing("release.tarball", release.tarball, "a file"));
}
