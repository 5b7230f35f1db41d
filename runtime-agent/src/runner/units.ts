/** The agent's unit, by systemctl. */
import { constants } from "node:os";
import { agentUnitName } from "../../../components/shared/agent/agentPlace.ts";
import { runChild } from "./child.ts";
import type { UnitSeen } from "./core/judge.ts";

/** What becomes of a start. `unknown`: systemctl gave no answer in time, and the unit tells. */
export type Started = { readonly kind: "started" } | { readonly kind: "refused" | "unknown"; readonly reason: string };

/** The unit of one agent; the real one, or a test's. */
export interface Units {
  /** Rejects when systemd does not answer. */
  show(): Promise<UnitSeen>;
  /** Clears the count of starts, so that runs are not taken for a crash loop, and starts the unit once. */
  start(): Promise<Started>;
}

const showMs = 5_000;
/** Longest that a start may take: the unit waits for the network. */
const startMs = 60_000;
const mostBytes = 64 * 1024;

/** Unit of the runner itself. As it is ordered after or before the agent's, systemd keeps the agent's in memory. */
const ownUnit = agentUnitName("runner");
const asked = [
  "LoadState",
  "ActiveState",
  "Result",
  "InvocationID",
  "ExecMainCode",
  "ExecMainStatus",
  "NRestarts",
  "StartLimitBurst",
  "After",
  "Before",
  // A start waits there for the network, longer than systemctl or the runner may live.
  "Job",
];

/** Codes of siginfo_t's `si_code` for a child that ended (waitid(2)). */
const exited = "1";
const byNumber = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]));

function countOf(text = ""): number {
  return Number(/^\d{1,9}$/.exec(text)?.[0] ?? 0);
}

function exitOf(code: string | undefined, status: string | undefined): number | string | null {
  const number = Number(status);
  if (code === undefined || code === "0" || !Number.isInteger(number)) return null;
  if (code === exited) return number;
  // Numbers without a name are the real-time signals, of which glibc keeps two for itself.
  return byNumber.get(number) ?? `SIGRTMIN+${String(Math.max(0, number - 34))}`;
}

/** What `systemctl show` printed, or undefined when it is not about a unit. */
export function readUnit(text: string): UnitSeen | undefined {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const cut = line.indexOf("=");
    if (cut > 0) values.set(line.slice(0, cut), line.slice(cut + 1));
  }
  const active = values.get("ActiveState");
  if (active === undefined) return undefined;
  const order = `${values.get("After") ?? ""} ${values.get("Before") ?? ""}`.split(" ");
  return {
    invocation: values.get("InvocationID") ?? "",
    active,
    result: values.get("Result") ?? "",
    exit: exitOf(values.get("ExecMainCode"), values.get("ExecMainStatus")),
    restarts: countOf(values.get("NRestarts")),
    burst: countOf(values.get("StartLimitBurst")),
    kept: order.includes(ownUnit),
    loaded: values.get("LoadState") === "loaded",
    pending: /[1-9]/.test(values.get("Job") ?? ""),
  };
}

/** @param systemctl the program. @default found in PATH */
export function systemdUnits(unit: string, systemctl = "systemctl"): Units {
  return {
    async show() {
      const args = ["show", `--property=${asked.join(",")}`, "--", unit];
      const { code, stdout, stderr } = await runChild(systemctl, args, { deadlineMs: showMs, mostBytes });
      const seen = code === 0 ? readUnit(stdout.toString("utf8")) : undefined;
      if (seen === undefined) throw new Error(`systemctl show ${unit}: ${stderr === "" ? "no answer" : stderr}`);
      return seen;
    },
    async start() {
      // Fails for a unit that systemd does not have in memory: then there is no count to clear.
      await runChild(systemctl, ["reset-failed", "--no-ask-password", "--", unit], { deadlineMs: showMs, mostBytes });
      const { code, stderr } = await runChild(systemctl, ["start", "--no-ask-password", "--", unit], {
        deadlineMs: startMs,
        mostBytes,
      });
      if (code === 0) return { kind: "started" };
      return { kind: code === null ? "unknown" : "refused", reason: stderr };
    },
  };
}
