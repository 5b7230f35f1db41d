/** The command line as data: what parsing, help and suggestions are made of. No Pulumi here: `hive --help` loads this. */
import { genesisAlone, stackNames } from "./stacks.ts";

export interface OptionSpec {
  readonly name: string;
  /** Placeholder of its value; a flag has none. */
  readonly value?: string;
  readonly text: string;
}

export interface CommandSpec {
  /** One word, or a group's word and its own: `agent new`. */
  readonly name: string;
  readonly text: string;
  /** Placeholders of its arguments; one in capitals must be given. */
  readonly positionals: readonly string[];
  /** Values that the first argument may have; free when absent. */
  readonly choices?: readonly string[];
  /** Stacks that the first argument may name; it is none when absent. */
  readonly stacks?: readonly string[];
  readonly options: readonly OptionSpec[];
}

const target: OptionSpec = {
  name: "target",
  value: "lab|real",
  text: "where to work: the lab on this machine (default), or the host named in Pulumi.genesis.yaml",
};
const yes: OptionSpec = { name: "yes", text: "do not ask" };
const dryRun: OptionSpec = { name: "dry-run", text: "say what would happen, change nothing" };
/** Its default is told where it has one. */
const ttl = (usual?: string): OptionSpec => ({
  name: "ttl",
  value: "time",
  text: `time to live, for example 90m, 24h or 7d${usual === undefined ? "" : ` (default: ${usual})`}`,
});
const noPreflight: OptionSpec = { name: "skip-preflight", text: "do not check the host first" };

/** Options that every command takes. */
export const commonOptions: readonly OptionSpec[] = [
  { name: "json", text: "print one JSON document on stdout" },
  { name: "help", text: "print this help" },
];

/** A group of commands, and what `hive GROUP` is for. */
export const groups: Readonly<Record<string, string>> = {
  agent:
    "heavy agents on throwaway servers, by the Sentinel: new, list, signal, logs, dead-letters, renew, resize, destroy",
};

export const commands: readonly CommandSpec[] = [
  {
    name: "start",
    text: "set up, boot the lab, bring genesis up on it, and stay up until Ctrl-C",
    positionals: [],
    options: [
      { name: "once", text: "stop when it is up" },
      { name: "evening", text: "play an evening of the Keeper on the lab's page: market close, The Muse, EVA, heat" },
    ],
  },
  {
    name: "lab",
    text: "the lab by itself: a Proxmox host without hardware",
    positionals: ["start|status|stop|reset"],
    choices: ["start", "status", "stop", "reset"],
    options: [yes],
  },
  {
    name: "preview",
    text: "show what `up` would change",
    positionals: ["stack"],
    stacks: stackNames,
    options: [target],
  },
  {
    name: "up",
    text: "bring a stack up, repairing first what a killed run left",
    positionals: ["stack"],
    stacks: stackNames,
    options: [target, yes, noPreflight],
  },
  {
    name: "destroy",
    text: "take a stack down; refuses while it holds protected guests",
    positionals: ["stack"],
    stacks: stackNames,
    options: [
      target,
      yes,
      dryRun,
      { name: "unprotect", value: "ids", text: "let these protected guests go: 100,200,400 (on the lab also: all)" },
    ],
  },
  {
    name: "adopt",
    text: "import guests, bridges and storage that the host already has",
    positionals: ["stack"],
    stacks: genesisAlone,
    options: [target, yes, dryRun, { name: "only", value: "names", text: "adopt these alone, for example 100,vmbr1" }],
  },
  {
    name: "repair",
    text: "resolve what a killed run left: locks, half-made objects, pending operations",
    positionals: ["stack"],
    stacks: stackNames,
    options: [target, dryRun],
  },
  {
    name: "review",
    text: "preview with policies as Markdown for a pull request; exit 1 on a mandatory violation",
    positionals: ["stack"],
    stacks: stackNames,
    options: [target],
  },
  {
    name: "doctor",
    text: "check engine, plugins, lab, lock, host and Sentinel; each failure with its fix",
    positionals: [],
    options: [target],
  },
  {
    name: "outputs",
    text: "print what a stack exports; secrets stay hidden",
    positionals: ["stack"],
    stacks: stackNames,
    options: [target],
  },
  {
    name: "agent new",
    text: "order a throwaway server for an agent: check everything, show its price, register it; `hive up` makes it",
    positionals: ["NAME"],
    options: [
      { name: "kind", value: "kind", text: "micro-service, browser-light, browser-heavy, batch or experimental" },
      { name: "size", value: "XS|S|M|L", text: "size of its server (default: the least that its kind may have)" },
      ttl("24h"),
      { name: "mode", value: "job|resident", text: "one start a signal (default), or a service that takes payloads" },
      { name: "idempotent", text: "a run that was interrupted may be done again under the same id" },
      { name: "sources", value: "dir", text: "the agent's own folder (default: agents/NAME here, or the sample)" },
      { name: "provider", value: "proxmox|lightsail", text: "where its server is made (default: proxmox)" },
      {
        name: "transport",
        value: "http|ssh",
        text: "how signals come: to a port of its own, or by SSH (default: http)",
      },
      { name: "zone", value: "zone", text: "availability zone of Lightsail (default: eu-west-3a)" },
      target,
      dryRun,
    ],
  },
  {
    name: "agent list",
    text: "the agents that the Sentinel knows: server, time to live, what they do",
    positionals: [],
    options: [target],
  },
  {
    name: "agent signal",
    text: "ask for one run of an agent; the same key is the same run",
    positionals: ["NAME"],
    options: [
      { name: "key", value: "key", text: "names the run: letters, digits, _ : and - (default: a new one)" },
      {
        name: "payload",
        value: "JSON|@file|-",
        text: "what the agent is given: JSON, a file of it, or standard input",
      },
      { name: "wait", text: "wait for the end of the run and print its result" },
      target,
    ],
  },
  {
    name: "agent logs",
    text: "what an agent wrote in its newest run, or in one that is named",
    positionals: ["NAME"],
    options: [
      { name: "follow", text: "go on until the run ends" },
      { name: "run", value: "id", text: "the run: run_… as `hive agent signal` prints it" },
      target,
    ],
  },
  {
    name: "agent dead-letters",
    text: "the runs that were given up, of all agents or of one; with --again one of them is sent again",
    positionals: ["name"],
    options: [{ name: "again", value: "run", text: "ask for this run again: run_… as the list prints it" }, target],
  },
  {
    name: "agent renew",
    text: "let an agent's server live on, for a time from now: 10m to 366d, as often as need be",
    positionals: ["NAME"],
    options: [ttl(), target],
  },
  {
    name: "agent resize",
    text: "move an agent to the size that the Sentinel proposes, or to another",
    positionals: ["NAME"],
    options: [{ name: "size", value: "XS|S|M|L", text: "instead of the Sentinel's proposal" }, target, yes, dryRun],
  },
  {
    name: "agent destroy",
    text: "delete an agent's server, its registration and its settings",
    positionals: ["NAME"],
    options: [target, yes, dryRun],
  },
];
