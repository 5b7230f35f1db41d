/** How a command comes to the Sentinel of its target. */
import type { Invocation } from "../args/parse.ts";
import { settleGone } from "../agents/gone.ts";
import type { Context } from "../commands/context.ts";
import { type Interrupts, withInterrupts } from "../engine/interrupt.ts";
import { progress } from "../output/terminal.ts";
import { labStateFolder } from "../targets/stateFolder.ts";
import type { UsedLab } from "../targets/runningLab.ts";
import { type Sentinel, sentinelOn } from "./client.ts";
import type { SentinelLine } from "./line.ts";

/** The Sentinel, and where runners find it. */
export interface ReachedSentinel {
  readonly sentinel: Sentinel;
  /** Known on the lab; on a real host the settings name it. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined;
  readonly close: () => void;
}

/** The lab's Sentinel, started when it does not run. */
export async function reachLab(lab: UsedLab["info"]): Promise<ReachedSentinel> {
  const { labLine, labListen, labSentinel } = await import("./labSentinel.ts");
  const found = await labSentinel(labStateFolder().lab, labListen(lab), async (folder) => {
    const { labWatch, watchWithoutReaper } = await import("./labReaper.ts");
    const watch = await labWatch(lab, folder).catch((error: unknown) => {
      progress(`sentinel: it runs without a reaper: ${error instanceof Error ? error.message : String(error)}`);
      return watchWithoutReaper;
    });
    return { watch };
  });
  await (await import("./labNetwork.ts")).joinServers(lab, found.listen.port);
  return reached("lab", labLine(found), found.listen);
}

/** The Sentinel of the target that a context works on. */
export async function reachSentinel(context: Context): Promise<ReachedSentinel> {
  if (context.lab !== undefined) return reachLab(context.lab.info);
  return reached("real", await openRealLine(context));
}

/** A line to the Sentinel of a real host. @throws CommandFailure where there is none, SentinelUnreachable where it is silent */
export async function openRealLine(context: Context): Promise<SentinelLine> {
  const [{ openSshLine }, { sentinelServer }] = await Promise.all([import("./sshLine.ts"), import("./server.ts")]);
  return openSshLine(await sentinelServer(await context.openOther("sentinel")));
}

async function reached(
  kind: "lab" | "real",
  line: SentinelLine,
  listen?: ReachedSentinel["listen"],
): Promise<ReachedSentinel> {
  const sentinel = sentinelOn(line);
  try {
    for (const name of await settleGone(kind, sentinel))
      progress(`sentinel: agent ${name}, destroyed earlier, is off its registry`);
    return { sentinel, listen, close: line.close };
  } catch (error) {
    line.close();
    throw error;
  }
}

/** Works with the Sentinel alone: on the lab nothing else is started but the lab. */
export async function withSentinel<T>(
  invocation: Invocation,
  work: (sentinel: Sentinel, interrupts: Interrupts) => Promise<T>,
): Promise<T> {
  if (invocation.target === "real") {
    const { withContext } = await import("../commands/context.ts");
    const onContext = async (context: Context): Promise<T> => {
      const { sentinel, close } = await reachSentinel(context);
      try {
        return await work(sentinel, context.interrupts);
      } finally {
        close();
      }
    };
    return withContext(invocation, onContext, { stack: "sentinel", withPolicies: false });
  }
  const { useLab } = await import("../targets/runningLab.ts");
  return withInterrupts(async (interrupts) => {
    const lab = await useLab(labStateFolder(), `hive ${invocation.command} works on it`);
    try {
      const { sentinel, close } = await reachLab(lab.info);
      try {
        return await work(sentinel, interrupts);
      } finally {
        close();
      }
    } finally {
      await lab.release();
    }
  });
}
