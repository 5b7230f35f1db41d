/** What Proxmox's answers say of this side's standing with it, apart from whether it answers just now. */
import { PveError } from "../../shared/proxmox/errors.ts";

export interface ProxmoxWord {
  answered(): void;
  failed(error: unknown): void;
  /** What is wrong with the last answer, or that there was none yet; undefined when all is well. */
  fault(): string | undefined;
  /**
   * Why this side cannot do its work, until an answer says otherwise: Proxmox has never answered it, or it refuses the
   * token. An API that has answered and is away for a while is no reason.
   */
  unhealthy(): string | undefined;
}

/** `onFault` is told when a fault begins or changes. */
export function createProxmoxWord(onFault: (fault: string) => void): ProxmoxWord {
  let fault: string | undefined = "no answer yet";
  let everAnswered = false;
  let refusal: string | undefined;
  return {
    answered() {
      everAnswered = true;
      fault = refusal = undefined;
    },
    failed(error) {
      const text = error instanceof Error ? error.message : String(error);
      if (text !== fault) onFault(text);
      fault = text;
      if (error instanceof PveError && (error.kind === "unauthorised" || error.kind === "forbidden")) refusal = text;
    },
    fault: () => fault,
    unhealthy() {
      if (refusal !== undefined) return `Proxmox refuses the token: ${refusal}`;
      return everAnswered ? undefined : `Proxmox has not answered since the start: ${fault ?? ""}`;
    },
  };
}
