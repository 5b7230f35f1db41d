/** How and when a daemon dies next: drawn from the seed, told to the daemon or to whoever kills it. */

/** A place in a daemon where it may be struck, and how often one signal passes it, about. */
export interface Point {
  readonly name: string;
  readonly passages: number;
}

export type Death =
  /** At the Nth passage of a named place. */
  | { readonly kind: "failpoint"; readonly text: string }
  /** Anywhere: so long after so many signals. */
  | { readonly kind: "anywhere"; readonly signals: number; readonly ms: number }
  /** While it starts. */
  | { readonly kind: "start"; readonly ms: number };

export interface Plan {
  readonly death: Death;
  /** Whether a line that was being written is found at the journal's end by its successor. */
  readonly torn: boolean;
}

/** Longest that a start is let go on before it is killed, ms. */
const mostStartMs = 1_200;

/** @param every signals between two deaths, on average */
export function drawPlan(points: readonly Point[], every: number, random: () => number): Plan {
  const torn = random() < 0.3;
  const kind = random();
  if (kind < 0.12) return { torn, death: { kind: "start", ms: random() * mostStartMs } };
  const signals = 1 + Math.floor(random() * 2 * every);
  const point = points[Math.floor(random() * points.length)];
  if (kind < 0.45 || point === undefined) return { torn, death: { kind: "anywhere", signals, ms: random() * 30 } };
  const passage = Math.max(1, Math.round(signals * point.passages));
  return { torn, death: { kind: "failpoint", text: `${point.name}=kill:${String(passage)}` } };
}

const journalPoints = (passages: number): readonly Point[] =>
  ["before-write", "before-fsync", "after-fsync"].map((place) => ({ name: `journal.${place}`, passages }));
const statePoints = (passages: number): readonly Point[] =>
  ["before-fsync", "before-rename"].map((place) => ({ name: `state.${place}`, passages }));

/** Where the Sentinel may be struck. */
export const sentinelPoints: readonly Point[] = [
  { name: "sentinel.before-journal", passages: 1 },
  { name: "sentinel.after-journal", passages: 1 },
  { name: "sentinel.before-act", passages: 1 },
  { name: "sentinel.after-act", passages: 1 },
  { name: "sentinel.before-reply", passages: 3 },
  { name: "sentinel.keys", passages: 0.01 },
  ...journalPoints(1),
  ...statePoints(0.04),
];

const anyRunner: readonly Point[] = [
  { name: "runner.before-journal", passages: 2 },
  { name: "runner.after-journal", passages: 2 },
  { name: "runner.before-deliver", passages: 1 },
  { name: "runner.after-deliver", passages: 1 },
  ...journalPoints(2),
];

/** Where a runner may be struck, by its mode. */
export const runnerPoints: Readonly<Record<"job" | "resident", readonly Point[]>> = {
  resident: [...anyRunner, { name: "runner.before-send", passages: 1 }, { name: "runner.after-send", passages: 1 }],
  job: [
    ...anyRunner,
    { name: "runner.before-start", passages: 1 },
    { name: "runner.after-start", passages: 1 },
    ...statePoints(2),
  ],
};
