import type { LabInfo } from "../../../lab/index.ts";
import type { StateFolder } from "../../../cli/targets/stateFolder.ts";
import type { StateResource } from "./bareProgram.ts";

/** What one program process is asked to do. */
export interface Job {
  readonly side: "genesis" | "bare";
  /** `prepare` opens the stack (created, settings written); `record` is `up` that also tells the deployment. */
  readonly operation: "prepare" | "preview" | "up" | "record";
  /** File of the bare program. */
  readonly bareFile: string;
  readonly lab: LabInfo;
  readonly folder: StateFolder;
  readonly engine: { readonly file: string; readonly env: Readonly<Record<string, string>> };
}

/** What came of it. */
export interface JobResult {
  /** From the start of the process to the end of the operation, opening the stack left out. */
  readonly seconds: number;
  /** The engine's operation alone. */
  readonly operationSeconds: number;
  readonly created: number;
  /** Custom resources by type after `up` and `record`. */
  readonly counts: Readonly<Record<string, number>>;
  /** The deployment's resources with secrets shown, after `record`. */
  readonly resources: readonly StateResource[];
}
