import { progress, styled } from "../output/terminal.ts";
import { labEvening } from "../../lab/keeper/evening.ts";
import type { LabProxmox } from "../../lab/keeper/config.ts";
import { playEvening } from "../../lab/keeper/play.ts";
import { type RunningLabKeeper, startLabKeeper } from "./labKeeper.ts";

/** How many times as fast an evening is played: nine and a half hours in two minutes and a half. */
const eveningRate = 240;

/** The Keeper of `npm start`, running or not. */
export interface LabKeeperBeside {
  readonly told: { readonly running: boolean; readonly why?: string };
  /** One line for people: how to look at it, or why it is not there. */
  readonly line: string;
  /** Plays the evening if one was asked for; ends with it or with the signal, and never rejects. */
  readonly play: (signal: AbortSignal) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts it beside a running lab. A Keeper that cannot run is no failure of the lab: the line says why. */
export async function keeperBesideGenesis(
  labStateDir: string,
  options: { readonly evening: boolean; readonly proxmox?: LabProxmox | undefined },
): Promise<LabKeeperBeside> {
  const script = options.evening ? { evening: labEvening(), rate: eveningRate } : undefined;
  const keeper = await startLabKeeper(labStateDir, { play: script, proxmox: options.proxmox }).catch(
    (error: unknown) => ({
      kind: "not-running" as const,
      why: error instanceof Error ? error.message : String(error),
    }),
  );
  if (keeper.kind === "not-running") {
    const nothing = (): Promise<void> => Promise.resolve();
    const { why } = keeper;
    return { told: { running: false, why }, line: `not running: ${why}`, play: nothing, stop: nothing };
  }
  return {
    told: { running: true },
    line: `${styled("green", "running")}, ${sidesOf(keeper)}; look at it with  ${keeper.look}`,
    play: async (signal) => {
      const { clock } = keeper;
      if (script === undefined || clock === undefined) return;
      try {
        progress(`evening: ${String(script.evening.steps.length)} scenes, ${String(eveningRate)} times as fast`);
        const tell = (at: string, text: string): void => progress(`evening ${at}  ${text}`);
        await playEvening({ ...keeper, clock, evening: script.evening, signal, tell });
        if (!signal.aborted) progress("evening: over");
      } catch (error) {
        progress(`evening: stopped: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    stop: keeper.stop,
  };
}

function sidesOf({ pid, host }: RunningLabKeeper): string {
  const arbiter = `arbiter as process ${String(pid)}`;
  if ("fault" in host) return `${arbiter}, no host side: ${host.fault}`;
  return `${arbiter}, host side as process ${String(host.pid)}`;
}
