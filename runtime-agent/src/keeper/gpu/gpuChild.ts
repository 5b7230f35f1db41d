/** The process that talks to NVML. It holds the driver open, so that the card's state stays loaded, and can be killed. */
import { defaultNvmlLibrary } from "./childArguments.ts";
import { numberOf, serveLines } from "./childServer.ts";
import { LibraryError, dieWithParent } from "./library.ts";
import { NvmlCard } from "./nvmlLibrary.ts";
import { meansAbsent, needsReopen } from "./nvmlReturn.ts";
import type { GpuSelector } from "./types.ts";

/** Body of the hidden subcommand `gpu-child`: `[library, index or UUID, pid of the parent]`. Never returns. */
export function runGpuChild(argv: readonly string[]): void {
  const [library = defaultNvmlLibrary, which = "0", parent = ""] = argv;
  const selector: GpuSelector = /^\d+$/.test(which) ? { index: Number(which) } : { uuid: which };
  dieWithParent(Number(parent));
  let card: NvmlCard | undefined;
  serveLines({
    hello: () => {
      try {
        card = new NvmlCard(library);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return { go: false, say: { absent: `${library} cannot be loaded: ${reason}` } };
      }
      try {
        return { go: true, say: { identity: card.open(selector) } };
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const absent = error instanceof LibraryError && meansAbsent(error.code);
        return { go: false, say: absent ? { absent: reason } : { failed: reason } };
      }
    },
    handle: (op, params) => {
      if (card === undefined) throw new LibraryError("no card is open", -1);
      if (op === "sample") return card.sample();
      if (op === "limits") return card.limits();
      if (op === "setPowerLimit") return card.setPowerLimit(numberOf(params, "watts"));
      if (op === "lockGraphicsClock") return card.lockGraphicsClock(numberOf(params, "maxMHz"));
      if (op === "resetGraphicsClock") return card.resetGraphicsClock();
      throw new LibraryError(`unknown request ${op}`, -1);
    },
    fatal: needsReopen,
  });
}
