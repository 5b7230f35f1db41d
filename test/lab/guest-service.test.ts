import assert from "node:assert/strict";
import fc from "fast-check";
import { restartsAfter } from "../../lab/host/shims/init/service-endings.ts";
import { activeState, asleep, isStopping } from "../../lab/host/shims/init/service-state.ts";
import type { Doing, Happening, Result, ServiceState } from "../../lab/host/shims/init/service-state.ts";
import { next } from "../../lab/host/shims/init/service.ts";
import { serviceSettings } from "../../lab/host/shims/init/settings.ts";
import type { ServiceSettings } from "../../lab/host/shims/init/settings.ts";
import { parseTimespan } from "../../lab/host/shims/init/timespan.ts";
import { expand, specifiersOf, UnitText } from "../../lab/host/shims/init/unit-text.ts";
import { commandLines, environmentFile, splitWords, withVariables } from "../../lab/host/shims/init/words.ts";
import { execWord } from "../../components/shared/vps/unitText.ts";

const settingsOf = (...lines: string[]): ServiceSettings =>
  serviceSettings(new UnitText([["[Service]", "ExecStart=/bin/true", ...lines].join("\n")]), new Map());

const happenings: fc.Arbitrary<Happening> = fc.oneof(
  fc
    .constantFrom("start", "stop", "reload", "reset-failed", "nothing-left", "ready", "watchdog-late")
    .map((kind) => ({ kind })),
  fc
    .record({ kind: fc.constantFrom("main-ended", "control-ended"), status: fc.constantFrom(0, 1, 9) })
    .map(({ kind, status }) => ({ kind, ending: status === 9 ? { status, signal: "SIGKILL" } : { status } })),
  fc.constantFrom("phase", "restart", "runtime").map((of) => ({ kind: "time-out" as const, of })),
  fc.constant({ kind: "cannot-start" as const, result: "exit-code" as const, ending: { status: 203 } }),
);
const settings = fc
  .record({
    type: fc.constantFrom("simple", "exec", "notify", "oneshot"),
    restart: fc.constantFrom("no", "always", "on-failure", "on-abnormal"),
    burst: fc.integer({ min: 1, max: 5 }),
    more: fc.subarray([
      "ExecStartPre=/bin/a",
      "ExecStartPre=-/bin/b",
      "ExecStartPost=/bin/c",
      "ExecStop=/bin/d",
      "ExecStopPost=/bin/e",
      "RemainAfterExit=yes",
      "KillMode=mixed",
      "ExecReload=/bin/f",
    ]),
  })
  .map(({ type, restart, burst, more }) =>
    serviceSettings(
      new UnitText([
        `[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=${burst}\n[Service]\nType=${type}\nExecStart=/bin/true\nRestart=${restart}\n${more.join("\n")}`,
      ]),
      new Map(),
    ),
  );

/** A whole life that ends badly, and what else happens between such lives: single happenings seldom add up to one. */
const lives: fc.Arbitrary<Happening[]> = fc
  .array(
    fc.oneof(
      fc.constant<Happening[]>([
        { kind: "start" },
        { kind: "control-ended", ending: { status: 0 } },
        { kind: "main-ended", ending: { status: 1 } },
        ...Array.from({ length: 6 }, (_, index): Happening =>
          index % 2 === 0 ? { kind: "nothing-left" } : { kind: "control-ended", ending: { status: 0 } },
        ),
        { kind: "time-out", of: "restart" },
      ]),
      happenings.map((one) => [one]),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.flat());

/** Goes through what happened; the clock does not move. */
function live(service: ServiceSettings, story: readonly Happening[]): { state: ServiceState; done: Doing[][] } {
  let state = asleep;
  const done: Doing[][] = [];
  for (const happening of story) {
    const move = next(state, happening, service, 0);
    state = move.state;
    done.push([...move.todo]);
  }
  return { state, done };
}

describe("a service of the lab's supervisor, as systemd.service(5) has it", () => {
  it("never starts more often than its limit, whatever happens, until the count is cleared", () => {
    fc.assert(
      fc.property(settings, lives, (service, story) => {
        const { done } = live(service, story);
        let starts = 0;
        story.forEach((happening, index) => {
          if (happening.kind === "reset-failed") starts = 0;
          starts += (done[index] ?? []).filter(({ kind }) => kind === "begin").length;
          assert.ok(starts <= service.startLimit.burst);
        });
      }),
    );
  });

  it("comes to rest after a stop, if its processes can be ended, and stays there", () => {
    fc.assert(
      fc.property(settings, fc.array(happenings, { maxLength: 40 }), (service, story) => {
        let state = next(live(service, story).state, { kind: "stop" }, service, 0).state;
        for (let tries = 0; isStopping(state.phase) && tries < 20; tries += 1)
          for (const happening of [
            { kind: "control-ended", ending: { status: 0 } },
            { kind: "main-ended", ending: { status: 15, signal: "SIGTERM" } },
            { kind: "nothing-left" },
          ] as const)
            state = next(state, happening, service, 0).state;
        assert.match(state.phase, /^(dead|failed)$/);
        assert.equal(state.mainAlive, false);
        assert.match(activeState(state.phase), /^(inactive|failed)$/);
      }),
    );
  });

  it("asks for each end: whoever stops either waits for a command or for nothing to be left", () => {
    fc.assert(
      fc.property(settings, fc.array(happenings, { maxLength: 40 }), (service, story) => {
        const { done } = live(service, story);
        for (const todo of done)
          for (const [index, doing] of todo.entries())
            if (doing.kind === "signal")
              assert.equal(
                todo.slice(index).some(({ kind }) => kind === "await-nothing"),
                true,
              );
      }),
    );
  });

  it("restarts by the table of Restart=", () => {
    const columns = ["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"];
    const table: Readonly<Record<string, readonly string[]>> = {
      success: ["always", "on-success"],
      "exit-code": ["always", "on-failure"],
      signal: ["always", "on-failure", "on-abnormal", "on-abort"],
      timeout: ["always", "on-failure", "on-abnormal"],
      watchdog: ["always", "on-failure", "on-abnormal", "on-watchdog"],
    };
    const isResult = (text: string): text is Result => text in table;
    for (const result of Object.keys(table).filter(isResult))
      assert.deepEqual(
        columns.filter((word) => restartsAfter({ result, main: undefined }, settingsOf(`Restart=${word}`))),
        columns.filter((word) => table[result]?.includes(word)),
        result,
      );
    const never = settingsOf("Restart=always", "RestartPreventExitStatus=78 SIGABRT");
    assert.equal(restartsAfter({ result: "exit-code", main: { status: 78 } }, never), false);
    assert.equal(restartsAfter({ result: "signal", main: { status: 6, signal: "SIGABRT" } }, never), false);
    assert.equal(restartsAfter({ result: "exit-code", main: { status: 1 } }, never), true);
  });

  it("refuses units that it cannot run, by name", () => {
    assert.throws(() => settingsOf("Type=forking"), /Type=forking is not run by the lab/);
    assert.throws(() => settingsOf("ExecStart=/bin/two"), /more than one ExecStart=/);
    assert.throws(() => settingsOf("ExecStart="), /no ExecStart=/);
    assert.throws(() => settingsOf('ExecStartPre=/bin/echo "open'), /cannot be read/);
  });
});

describe("the text of units", () => {
  it("gives back every word that the project writes into ExecStart=", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (word) => {
        fc.pre(!/\p{Cc}/u.test(word));
        const [command] = commandLines(expand(`/bin/x ${execWord(word)}`, specifiersOf("a@b.service", "h"))) ?? [];
        assert.ok(command);
        assert.deepEqual(withVariables(command, { HOME: "/root" }), [word]);
      }),
    );
  });

  it("reads sections, continued lines, comments, lists that begin anew, and drop-ins behind the file", () => {
    const unit = new UnitText([
      "[Unit]\n# no\nA=1\n[Service]\nA=one \\\n  ; between\n two\nEnv=x\nEnv=\nEnv=y\nB=first\n",
      "[Service]\nEnv=z\nB=second\nC=\n",
    ]);
    assert.equal(unit.last("Service", "A")?.replace(/ +/g, " "), "one two");
    assert.deepEqual(unit.list("Service", "Env"), ["y", "z"]);
    assert.deepEqual(
      [unit.last("Service", "B"), unit.last("Unit", "A"), unit.last("Service", "C")],
      ["second", "1", undefined],
    );
  });

  it("expands specifiers, and leaves the unknown", () => {
    const names = specifiersOf("heavy-agent@ghost-shopper.service", "vps.lan");
    assert.equal(
      expand("%p %i %I %j %N %H %S %% %Z", names),
      "heavy-agent ghost-shopper ghost/shopper agent heavy-agent@ghost-shopper vps.lan /var/lib % %Z",
    );
  });

  it("reads time spans", () => {
    const spans = { "30": 30_000, "1min 30s": 90_000, "300ms": 300, "0.5s": 500, "2h": 7_200_000, infinity: Infinity };
    for (const [text, ms] of Object.entries(spans)) assert.equal(parseTimespan(text), ms, text);
    for (const text of ["", "soon", "5 parsecs", "-3"]) assert.equal(parseTimespan(text), undefined, text);
  });

  it("reads words, variables and environment files, and is total", () => {
    assert.deepEqual(splitWords(String.raw`a "b c" 'd "e' f\x41\tg ""`), ["a", "b c", 'd "e', "fA\tg", ""]);
    assert.equal(splitWords('"open'), undefined);
    const [command] = commandLines("-/bin/x $A ${A} a$A $$A ; /bin/y") ?? [];
    assert.equal(command?.ignoreFailure, true);
    assert.deepEqual(withVariables(command, { A: "1 2" }), ["1", "2", "1 2", "a$A", "$A"]);
    const text = `# c\nA=plain value \nB="two words" \nC='$x'\\\n  tail\nbroken "line\nexport D=no\nE=\n; c`;
    assert.deepEqual(environmentFile(text), [
      ["A", "plain value"],
      ["B", "two words"],
      ["C", "$x  tail"],
      ["E", ""],
    ]);
    fc.assert(
      fc.property(fc.string(), (any) => {
        environmentFile(any);
        commandLines(any);
        parseTimespan(any);
        new UnitText([any]);
      }),
    );
  });
});
