/**
 * Seeded requests to the signal endpoint, of which none may be accepted: altered, forged, stale, replayed, malformed, and
 * rightly signed messages that are no signals. The same seed gives the same requests.
 */
import { mostBodyBytes } from "../../components/shared/signals/protocol.ts";
import { encodeWebhookSecret, signWebhook } from "../../components/shared/signals/webhooks.ts";
import { acceptSignal, type SignalRequest } from "../../runtime-agent/src/runner/core/accept.ts";
import { applyChange, emptyState, snapshotOf, type RunnerState } from "../../runtime-agent/src/runner/core/state.ts";
import { seededRandom } from "./seeded.ts";

type Headers = Record<string, string | string[] | undefined>;
interface Draft {
  headers: Headers;
  body: Buffer;
}

/** What the endpoint under attack believes. */
export interface Prey {
  readonly agent: string;
  readonly secret: string;
  /** A signal that it has taken before. */
  readonly known: { readonly key: string; readonly sec: number; readonly body: Buffer };
}

const foreign = encodeWebhookSecret(Buffer.alloc(32, 0xee));
const strangeNumbers = ["-1", "1e9", "0x1", " 5", "5 ", "٣", "NaN", "", "9".repeat(12), "9".repeat(400), "1.5", "+1"];
const strangeTexts = [
  "",
  " ",
  "\u0000",
  "../../etc",
  "k".repeat(300),
  "🦊",
  "{}",
  "null",
  "__proto__",
  "a,b",
  "v1,",
  "v1",
  "v1,=",
];

function signalBody(agent: unknown, runId: unknown, payload: unknown): Buffer {
  return Buffer.from(JSON.stringify({ type: "run", agent, runId, payload }));
}

/**
 * An endless stream of requests for this seed.
 * @param nowSec the reader's clock, whole Unix seconds
 * @param slackSec for so long that clock may run on until the last one is read
 */
export function* fuzzRequests(seed: number, prey: Prey, nowSec: number, slackSec = 0): Generator<SignalRequest> {
  const random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const pick = <T>(list: readonly T[], otherwise: T): T => list[below(list.length)] ?? otherwise;
  const bytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => below(256)));
  const runId = (): string => `run_${bytes(16).toString("hex")}`;
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;

  const signed = (key: string, sec: number, body: Buffer, secret = prey.secret): Draft => ({
    headers: { ...signWebhook(key, sec, body, secret) },
    body,
  });
  const fresh = (): Draft =>
    signed(`f-${String(below(1e9))}`, nowSec - below(290), signalBody(prey.agent, runId(), { n: below(100) }));
  const change = (draft: Draft, name: string, change: (value: string) => string): Draft => {
    const value = draft.headers[name];
    return { ...draft, headers: { ...draft.headers, [name]: change(typeof value === "string" ? value : "") } };
  };

  const attacks: readonly (() => Draft)[] = [
    // Altered bodies under a good signature.
    () => {
      const draft = fresh();
      const body = Buffer.from(draft.body);
      const at = below(body.length);
      body[at] = (body[at] ?? 0) ^ (1 << below(8));
      return { ...draft, body };
    },
    () => ({ ...fresh(), body: bytes(below(400)) }),
    () => {
      const draft = fresh();
      return { ...draft, body: draft.body.subarray(0, below(draft.body.length)) };
    },
    () => {
      const draft = fresh();
      return { ...draft, body: Buffer.concat([draft.body, bytes(1 + below(20))]) };
    },
    // Altered headers.
    () => change(fresh(), "webhook-id", (id) => pick([`${id}x`, id.slice(1), ...strangeTexts], "")),
    () =>
      change(fresh(), "webhook-timestamp", (time) =>
        pick([String(Number(time) + 1 + below(5)), ...strangeNumbers], ""),
      ),
    () =>
      change(fresh(), "webhook-signature", (text) => {
        const at = 3 + below(text.length - 4);
        const other = text[at] === "A" ? "B" : "A";
        const flipped = text.slice(0, at) + other + text.slice(at + 1);
        const lists = [`${flipped} ${flipped}`, `${"v1,x ".repeat(below(400))}${flipped}`, text.replace("v1", "v2")];
        return pick([flipped, ...lists, ...strangeTexts], "");
      }),
    () => {
      const draft = fresh();
      return { ...draft, headers: { ...draft.headers, [pick(names, "webhook-id")]: undefined } };
    },
    () => {
      const draft = fresh();
      const name = pick(names, "webhook-id");
      return { ...draft, headers: { ...draft.headers, [name]: [String(draft.headers[name]), "x"] } };
    },
    () => ({ headers: {}, body: bytes(below(50)) }),
    // Well made, by somebody else, or at another time.
    () => signed(`f-${String(below(1e9))}`, nowSec, signalBody(prey.agent, runId(), 1), foreign),
    () =>
      signed(
        `f-${String(below(1e9))}`,
        nowSec + pick([-301, -5000, 301 + slackSec, 1e6], 301 + slackSec),
        signalBody(prey.agent, runId(), 1),
      ),
    () => signed(prey.known.key, prey.known.sec - below(100), prey.known.body),
    () => signed(prey.known.key, prey.known.sec - below(100), signalBody(prey.agent, runId(), 1)),
    // Rightly signed, and no signal for this agent.
    () => signed("g", nowSec, bytes(below(300))),
    () => signed("g", nowSec, signalBody(pick<unknown>(["other", "", 5, null, ["x"]], ""), runId(), 1)),
    () => signed("g", nowSec, signalBody(prey.agent, pick<unknown>(["run_1", 7, `${runId()}0`, null], ""), 1)),
    () =>
      signed("g", nowSec, Buffer.from(pick(["{}", "[]", "null", '"x"', "1e999", '{"__proto__":{"type":"run"}}'], ""))),
    () => signed("g", nowSec, Buffer.from('{"a":'.repeat(1 + below(3000)))),
    () => signed("g", nowSec, Buffer.from(`${"[".repeat(500)}${"]".repeat(500)}`)),
    () => signed(pick(["a b", "a/b", "é", "x".repeat(201)], "a b"), nowSec, signalBody(prey.agent, runId(), 1)),
    // Of the known key, but not its message.
    () => signed(prey.known.key, prey.known.sec + 1 + below(100), signalBody(prey.agent, runId(), 2)),
  ];
  for (;;) {
    // Long ones are rare: they cost as much as hundreds of others.
    if (below(2000) === 0) yield { headers: { ...fresh().headers }, body: Buffer.alloc(mostBodyBytes + 1, 0x20) };
    else yield pick(attacks, fresh)();
  }
}

/** A runner's memory with one signal in it, and what an attacker may know of it. */
export function fuzzPrey(nowSec: number): { readonly prey: Prey; readonly state: RunnerState } {
  const secret = encodeWebhookSecret(Buffer.alloc(32, 0x11));
  const body = signalBody("ghost", `run_${"a".repeat(32)}`, { known: true });
  const state = emptyState();
  const known = { key: "known", sec: nowSec - 100, body };
  const headers = { ...signWebhook(known.key, known.sec, body, secret) };
  const verdict = acceptSignal(state, { headers, body }, { agent: "ghost", secrets: [secret] }, nowSec * 1000);
  for (const change of verdict.changes) applyChange(state, change);
  return { prey: { agent: "ghost", secret, known }, state };
}

/** A clock of its own: the same seed is the same run. */
const fuzzNowSec = 1_800_000_000;

/** The second secret of a rotation. */
const foreignToThem = encodeWebhookSecret(Buffer.alloc(32, 0x22));

export interface Fuzz {
  /** How many got which status. */
  readonly answers: ReadonlyMap<number, number>;
  /** Judges so many more. Throws at the first that was accepted, or that would change anything. */
  judge(count: number): void;
  /** Throws when the state is another one than at the beginning, or when a rightly signed signal is refused. */
  check(): void;
}

export function startFuzz(seed: number): Fuzz {
  const { prey, state } = fuzzPrey(fuzzNowSec);
  const rules = { agent: prey.agent, secrets: [prey.secret, foreignToThem] };
  const picture = (): string => JSON.stringify([snapshotOf(state), ...Object.values(state)]);
  const before = picture();
  const answers = new Map<number, number>();
  const requests = fuzzRequests(seed, prey, fuzzNowSec);
  let number = 0;
  return {
    answers,
    judge(count) {
      for (let left = count; left > 0; left -= 1) {
        number += 1;
        const { value } = requests.next();
        const { status, changes } = acceptSignal(state, value, rules, fuzzNowSec * 1000);
        if (status < 400 || status >= 500 || changes.length > 0)
          throw new Error(`seed ${String(seed)}, request ${String(number)}: ${String(status)}`);
        answers.set(status, (answers.get(status) ?? 0) + 1);
      }
    },
    check() {
      if (picture() !== before) throw new Error(`seed ${String(seed)}, request ${String(number)}: the state changed`);
      const good = signalBody(prey.agent, `run_${"b".repeat(32)}`, number);
      const headers = { ...signWebhook(`good-${String(number)}`, fuzzNowSec, good, prey.secret) };
      const { status } = acceptSignal(state, { headers, body: good }, rules, fuzzNowSec * 1000);
      if (status !== 202) throw new Error(`a good signal was answered ${String(status)}`);
    },
  };
}

/**
 * Judges `count` requests.
 * @returns how many got which status. Throws at the first that was accepted, or that changed anything.
 */
export function fuzzSignals(seed: number, count: number): ReadonlyMap<number, number> {
  const fuzz = startFuzz(seed);
  fuzz.judge(count);
  fuzz.check();
  return fuzz.answers;
}
