import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { LoadReader } from "./agentLoad.ts";
import type { ArbiterSection } from "./coreConfig.ts";

export interface ArbiterOptions {
  readonly config: KeeperConfig & { readonly arbiter: ArbiterSection };
  readonly clock: Clock;
  readonly load1: LoadReader;
  readonly log: Log;
  /** The agent's program, which holds the driver's children too. */
  readonly program: string;
  /** After each completed turn of the loop. */
  readonly onTurn: () => void;
}
