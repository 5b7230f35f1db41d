// The process that runs one tier's test files. It tells the runner about each test over the IPC channel, so that
// a crash in here loses no result and what the tests print stays apart from the results.
import fc from "fast-check";
import Mocha from "mocha";
import type { Outcome } from "./outcome.ts";
import { testSeed } from "./seed.ts";
import { skipReason } from "./skip.ts";

export type ChildMessage = { readonly outcome: Outcome } | { readonly end: true };

function send(message: ChildMessage): void {
  process.send?.(message);
}

function titleOf(runnable: Mocha.Runnable): string {
  return runnable.titlePath().join(" › ");
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by: ${errorText(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`.slice(0, 20_000);
}

const [timeoutSec = "60", grep = "", ...files] = process.argv.slice(2);

fc.configureGlobal({ seed: testSeed() });

const mocha = new Mocha({
  timeout: Number(timeoutSec) * 1000,
  forbidOnly: true,
  ...(grep === "" ? {} : { fgrep: grep }),
  reporter: class extends Mocha.reporters.Base {
    constructor(runner: Mocha.Runner, settings?: Mocha.MochaOptions) {
      super(runner, settings);
      const duration = (test: Mocha.Runnable): { ms?: number } =>
        test.duration === undefined ? {} : { ms: test.duration };
      runner.on("pass", (test) => send({ outcome: { kind: "passed", title: titleOf(test), ...duration(test) } }));
      runner.on("fail", (test, error: unknown) =>
        send({ outcome: { kind: "failed", title: titleOf(test), ...duration(test), detail: errorText(error) } }),
      );
      runner.on("pending", (test) =>
        send({ outcome: { kind: "skipped", title: titleOf(test), detail: skipReason(test) ?? "no reason given" } }),
      );
    }
  },
});

// Without a parent nobody reads the results.
process.on("disconnect", () => process.exit(1));
process.on("unhandledRejection", (reason) => {
  // A program that Pulumi runs inside a test, and that is meant to fail, leaves rejections of Pulumi's own behind; its
  // outcome reaches the test through the engine. Every other rejection that nobody awaits fails the running test.
  const ofPulumi = reason instanceof Error && /node_modules\/@(pulumi\/pulumi|grpc)\//.test(reason.stack ?? "");
  if (!ofPulumi) throw reason;
});
for (const file of files) mocha.addFile(file);
/** Tells the runner that this was all. Handles that a test left open do not hold up the run. */
function finish(): void {
  process.send?.({ end: true } satisfies ChildMessage, () => process.exit(0));
}

let loaded = false;
try {
  await mocha.loadFilesAsync();
  loaded = true;
} catch (error) {
  send({ outcome: { kind: "failed", title: "loading the test files", detail: errorText(error) } });
}
if (loaded) mocha.run(finish);
else finish();
