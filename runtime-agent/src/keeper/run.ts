import type { KeeperConfig } from "../../../components/shared/agent/keeperConfig.ts";

/** What a side of the Keeper is started with. */
export interface KeeperOptions {
  readonly side: KeeperConfig["side"];
  readonly config: KeeperConfig;
  /** Where the configuration came from: read again when the agent is told to reload. */
  readonly configFile: string;
}

/** Runs until it is told to stop; gives the exit status. */
export type KeeperSide = (options: KeeperOptions) => Promise<number>;

/** The sides of the Keeper. Each is loaded only where it runs. */
const sides: Readonly<Record<KeeperConfig["side"], () => Promise<KeeperSide>>> = {
  arbiter: async () => (await import("./arbiter/runArbiter.ts")).runArbiter,
  host: async () => (await import("./host/daemon.ts")).runHost,
};

export async function runKeeper(options: KeeperOptions): Promise<number> {
  const side = await sides[options.side]();
  return side(options);
}
