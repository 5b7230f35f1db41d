/** The command line as data: what parsing, help and suggestions are made of. No Pulumi here: `hive --help` loads this. */

export interface OptionSpec {
  readonly name: string;
  /** Placeholder of its value; a flag has none. */
  readonly value?: string;
  readonly text: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly text: string;
  /** Placeholders of its arguments, all optional. */
  readonly positionals: readonly string[];
  /** Values that the first argument may have; free when absent. */
  readonly choices?: readonly string[];
  readonly options: readonly OptionSpec[];
}

const target: OptionSpec = {
  name: "target",
  value: "lab|real",
  text: "where to work: the lab on this machine (default), or the host named in Pulumi.genesis.yaml",
};
const yes: OptionSpec = { name: "yes", text: "do not ask" };
const dryRun: OptionSpec = { name: "dry-run", text: "say what would happen, change nothing" };
const noPreflight: OptionSpec = { name: "skip-preflight", text: "do not check the host first" };

/** Options that every command takes. */
export const commonOptions: readonly OptionSpec[] = [
  { name: "json", text: "print one JSON document on stdout" },
  { name: "help", text: "print this help" },
];

/** Stack names that the command line knows. */
export const stackNames = ["genesis"] as const;

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
    choices: stackNames,
    options: [target],
  },
  {
    name: "up",
    text: "bring a stack up, repairing first what a killed run left",
    positionals: ["stack"],
    choices: stackNames,
    options: [target, yes, noPreflight],
  },
  {
    name: "destroy",
    text: "take a stack down; refuses while it holds protected guests",
    positionals: ["stack"],
    choices: stackNames,
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
    choices: stackNames,
    options: [target, yes, dryRun, { name: "only", value: "names", text: "adopt these alone, for example 100,vmbr1" }],
  },
  {
    name: "repair",
    text: "resolve what a killed run left: locks, half-made objects, pending operations",
    positionals: ["stack"],
    choices: stackNames,
    options: [target, dryRun],
  },
  {
    name: "review",
    text: "preview with policies as Markdown for a pull request; exit 1 on a mandatory violation",
    positionals: ["stack"],
    choices: stackNames,
    options: [target],
  },
  {
    name: "doctor",
    text: "check engine, plugins, lab, lock and host; each failure with its fix",
    positionals: [],
    options: [target],
  },
  {
    name: "outputs",
    text: "print what a stack exports; secrets stay hidden",
    positionals: ["stack"],
    choices: stackNames,
    options: [target],
  },
];
