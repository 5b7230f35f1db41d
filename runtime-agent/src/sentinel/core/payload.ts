/** Which payloads a runner takes: what it must refuse is refused before it becomes a run. */
import { mostPayloadBytes } from "../../../../components/shared/signals/protocol.ts";
import { isShallow } from "../../../../components/shared/signals/shallow.ts";
import type { Reply } from "./events.ts";
import { refusal } from "./events.ts";

/** Levels that a signal puts around its payload. */
const around = 1;

/** Why no runner would take a payload; undefined when one would. `json` is the text that is delivered. */
export function unfitPayload(json: string): Reply | undefined {
  if (!isShallow(json, around)) return refusal(400, "the payload is nested too deeply", "Make it flatter.");
  // Written anew it may be longer than it came: 1e20 has 21 digits.
  if (Buffer.byteLength(json) <= mostPayloadBytes) return undefined;
  return refusal(413, "the payload is too large", "Send less.", `${String(mostPayloadBytes)} bytes of JSON`);
}
