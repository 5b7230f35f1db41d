/** The bulk of the fuzz on a thread with as little heap as a runner has: growth shows, and is not only room that is there. */
import { parentPort, workerData } from "node:worker_threads";
import * as z from "zod";
import { startFuzz } from "../../support/signalFuzz.ts";

/** Requests between two looks at the state and at memory. */
const stride = 10_000;

const { seed, count } = z.object({ seed: z.number(), count: z.number() }).parse(workerData);
const fuzz = startFuzz(seed);
for (let judged = 0; judged < count;) {
  const part = Math.min(stride, count - judged);
  fuzz.judge(part);
  fuzz.check();
  judged += part;
  parentPort?.postMessage({ judged, answers: fuzz.answers });
}
