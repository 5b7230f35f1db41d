import type { PolicyResource } from "@pulumi/policy";
import { cpuPercent, memoryPercent } from "../../components/shared/vps/heavyAgent.ts";
import { type Maybe, isKnown, listAt, numberAt, stringAt, unknownYet } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { heavyAgentType, propsOf, serverType } from "../servers.ts";

interface Limits {
  readonly memoryPercent: number;
  readonly cpuPercent: number;
  readonly tasksMax: number;
}

interface UnitFile {
  readonly path: Maybe<string>;
  readonly text: Maybe<string>;
}

/** What a server has, as far as it is known. */
interface Size {
  readonly ramMiB: number | undefined;
  readonly vcpus: number | undefined;
}

/** Directives of unit files of which each later one changes the former, as systemd reads them: the last value holds. */
function directives(texts: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const text of texts)
    for (const line of text.split("\n")) {
      const [, key, value] = /^\s*([A-Za-z]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key !== undefined && value !== undefined) found.set(key, value);
    }
  return found;
}

/** A share of the server's memory, percent; undefined for none and for what cannot be compared. */
function memoryShare(text: string, { ramMiB }: Size): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)([%KMGT]?)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  if (unit === "%") return Number(amount);
  const mib = { "": 1 / 1024 ** 2, K: 1 / 1024, M: 1, G: 1024, T: 1024 ** 2 }[unit];
  return mib === undefined || ramMiB === undefined ? undefined : (100 * Number(amount) * mib) / ramMiB;
}

function memoryFaults(what: string, set: ReadonlyMap<string, string>, limits: Limits, size: Size): readonly string[] {
  const most = set.get("MemoryMax") ?? "";
  const share = memoryShare(most, size);
  const unmeasured = /^\d+(?:\.\d+)?[KMGT]?$/.test(most) && size.ramMiB === undefined;
  const found: string[] = [];
  if (!unmeasured && (share === undefined || share > limits.memoryPercent))
    found.push(
      `${what} has MemoryMax ${most || "unset"}; allowed: at most ${String(limits.memoryPercent)} % of the server.`,
    );
  if (set.get("MemorySwapMax") !== "0")
    found.push(`${what} has MemorySwapMax ${set.get("MemorySwapMax") ?? "unset"}; allowed: 0.`);
  return found;
}

function cpuFaults(what: string, set: ReadonlyMap<string, string>, limits: Limits, { vcpus }: Size): readonly string[] {
  const quota = set.get("CPUQuota") ?? "";
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(quota)?.[1];
  const most = limits.cpuPercent * (vcpus ?? Number.POSITIVE_INFINITY);
  if (percent !== undefined && Number(percent) <= most) return [];
  const limit = `at most ${String(limits.cpuPercent)} % of each of ${String(vcpus ?? "its")} CPUs`;
  return [`${what} has CPUQuota ${quota || "unset"}; allowed: ${limit}.`];
}

/** Faults of a heavy agent's units; none as long as a part of them is unknown. */
function unitFaults(agent: PolicyResource, limits: Limits, size: Size): readonly string[] {
  const units = listAt(propsOf(agent), "units");
  if (units === unknownYet) return [];
  const files = (units ?? []).map((unit): UnitFile => ({ path: stringAt(unit, "path"), text: stringAt(unit, "text") }));
  if (files.some(({ path, text }) => path === unknownYet || text === unknownYet)) return [];
  const texts = (form: RegExp): readonly string[] =>
    files.flatMap(({ path, text }) => (isKnown(path) && isKnown(text) && form.test(path) ? [text] : []));
  const service = texts(/\.service(?:\.d\/[^/]+\.conf)?$/);
  const slice = texts(/\.slice$/);
  const what = `Heavy agent ${agent.name}`;
  if (service.length === 0) return [`${what} has no unit, so no limits.`];
  const set = directives(service);
  const tasks = set.get("TasksMax") ?? "";
  const tasksFit = /^\d+$/.test(tasks) && Number(tasks) <= limits.tasksMax;
  return [
    ...memoryFaults(what, set, limits, size),
    ...cpuFaults(what, set, limits, size),
    ...(tasksFit ? [] : [`${what} has TasksMax ${tasks || "unset"}; allowed: at most ${String(limits.tasksMax)}.`]),
    ...(slice.length === 0 || !set.has("Slice")
      ? [`${what} has no slice: two agents of one server would take twice the share.`]
      : memoryFaults(`The slice of heavy agent ${agent.name}`, directives(slice), limits, size)),
  ];
}

/** An agent may not kill its server. */
export default stackRule({
  name: "agent-limits",
  description:
    "Each heavy agent runs in a unit with limits of memory, CPU and tasks that leave the rest to the system.",
  reason:
    "Without them an agent that runs away takes SSH and the runner with it, and nobody learns why (seed 004: MemoryMax=80%, CPUQuota=90%).",
  fix: "Leave the overrides out to get the template's limits, or set memoryMaxMiB, cpuQuotaPercentOfMachine and tasksMax within them.",
  config: {
    defaults: { memoryPercent, cpuPercent, tasksMax: 16_384 },
    schema: {
      memoryPercent: { type: "number", minimum: 1, maximum: 100, description: "Most of its server's memory, percent." },
      cpuPercent: { type: "number", minimum: 1, maximum: 100, description: "Most of its server's CPU time, percent." },
      tasksMax: { type: "integer", minimum: 1, description: "Most threads and processes." },
    },
  },
  check: (_, config, resources) =>
    resources
      .filter(({ type }) => type === heavyAgentType)
      .flatMap((agent): Breach[] => {
        const server = resources.find(({ type, opts }) => type === serverType && opts.parent === agent.urn);
        const ramMiB = numberAt(server?.props, "offer", "ramMiB");
        const vcpus = numberAt(server?.props, "offer", "vcpus");
        const size = { ramMiB: isKnown(ramMiB) ? ramMiB : undefined, vcpus: isKnown(vcpus) ? vcpus : undefined };
        return unitFaults(agent, config, size).map((found) => ({ urn: agent.urn, found }));
      }),
});
