// The tiers of the test suite: which folder, what each needs, and whether this machine can run it.
import type { Part } from "../../cli/setup/toolchain.ts";
import { clusterImpossible } from "../../lab/cluster/possible.ts";

export interface Tier {
  readonly name: string;
  /** Folder of `*.test.ts` files; the tier `check` has none, it runs tools over the whole tree. */
  readonly folder: string | undefined;
  readonly proves: string;
  /** Parts of the toolchain that are made ready and put on PATH before it starts; `cluster` is built and found in the cache. */
  readonly uses: readonly (Part | "cluster")[];
  /** False when most of its tests run without them: those that cannot say so themselves. */
  readonly needsThem: boolean;
  /** True when its files are heavy and share nothing: each runs in a process of its own, beside others. */
  readonly filesApart: boolean;
  /** Hang guard for one test, in seconds. */
  readonly timeoutSec: number;
  /** Why this machine cannot run it; undefined when it can. */
  readonly canRun: () => string | undefined;
}

const anywhere = (): undefined => undefined;
const allParts: readonly Part[] = ["engine", "proxmoxve", "command", "analyzer", "langhost"];

export const tiers: readonly Tier[] = [
  {
    name: "unit",
    folder: "test/unit",
    proves: "pure functions and the set-up",
    uses: [],
    needsThem: false,
    filesApart: false,
    timeoutSec: 60,
    canRun: anywhere,
  },
  {
    name: "components",
    folder: "test/components",
    proves: "the resources that components ask for, without an engine",
    uses: [],
    needsThem: false,
    filesApart: false,
    timeoutSec: 60,
    canRun: anywhere,
  },
  {
    // Its set-up is the longest, and set-ups run from the end of this list: the others must not wait for it.
    name: "cluster",
    folder: "test/cluster",
    proves: "a real Kubernetes control plane, and what the lab makes happen to its nodes",
    uses: ["cluster"],
    needsThem: true,
    // One control plane at a time: 450 MB each.
    filesApart: false,
    timeoutSec: 180,
    canRun: clusterImpossible,
  },
  {
    name: "policies",
    folder: "test/policies",
    proves: "each rule on a passing and a failing resource",
    uses: ["engine", "analyzer"],
    needsThem: false,
    filesApart: true,
    timeoutSec: 180,
    canRun: anywhere,
  },
  {
    name: "check",
    folder: undefined,
    proves: "format, lint, types, dead code, licences, locks",
    uses: [],
    needsThem: false,
    filesApart: false,
    timeoutSec: 300,
    canRun: anywhere,
  },
  {
    name: "agent",
    folder: "test/agent",
    proves: "the runtime agent as processes: real signals, cgroups, sockets, and a stand-in for the card's driver",
    uses: [],
    needsThem: false,
    filesApart: true,
    timeoutSec: 180,
    canRun: anywhere,
  },
  {
    name: "guest",
    folder: "test/guest",
    proves: "install, upgrade, rollback and removal of the agent on a real systemd by a real sshd",
    uses: ["engine", "command"],
    needsThem: false,
    filesApart: true,
    timeoutSec: 300,
    canRun: anywhere,
  },
  {
    name: "lab",
    folder: "test/lab",
    proves: "the lab against Proxmox's published interface",
    uses: ["engine", "command"],
    needsThem: false,
    filesApart: true,
    timeoutSec: 120,
    canRun: anywhere,
  },
  {
    name: "cli",
    folder: "test/cli",
    proves: "the hive command as a person uses it",
    uses: allParts,
    needsThem: true,
    filesApart: true,
    timeoutSec: 600,
    canRun: anywhere,
  },
  {
    name: "engine",
    folder: "test/engine",
    proves: "the real engine and the real provider code against the lab",
    uses: allParts,
    needsThem: true,
    filesApart: true,
    timeoutSec: 900,
    canRun: anywhere,
  },
];
