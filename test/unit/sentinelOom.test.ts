import assert from "node:assert/strict";
import fc from "fast-check";
import { oomWindowMs, proposeSize } from "../../components/shared/vps/sizing.ts";
import {
  emptyBook,
  forgetOld,
  mostLacks,
  oneLackMs,
  takeMemory,
  type MemoryReport,
  type OomBook,
} from "../../runtime-agent/src/sentinel/oom/books.ts";

const policy = { pressurePercent: 40, pressureMs: 600_000 };
const minute = 60_000;
const start = Date.UTC(2026, 10, 1);
const agent = { kind: "browser-light", size: "S" } as const;

const report = (instance: string, oomKill?: number, pressurePercent?: number): MemoryReport => ({
  instance,
  oomKill,
  pressurePercent,
});

/** Takes reports in, each so much after the one before. */
function keep(
  reports: readonly (readonly [afterMs: number, report: MemoryReport])[],
  book: OomBook = emptyBook,
): OomBook {
  let [now, nowMs] = [book, 0];
  for (const [afterMs, one] of reports) {
    nowMs += afterMs;
    now = takeMemory(now, one, policy, { monotonicMs: nowMs, wallMs: start + nowMs, known: true });
  }
  return now;
}

describe("Sentinel, books on memory", () => {
  /** A server's life: kills, reboots (its counters begin again at 0) and successors, each some minutes after the other. */
  const event = fc.constantFrom("kill", "kill", "quiet", "reboot", "crash", "successor", "again");

  it("property: as many lacks as there were kills, whatever happens to counters, servers and messages", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: mostLacks }), (events) => {
        let [life, count, kills] = [0, 0, 0];
        let last = report("0", 0);
        const reports: [number, MemoryReport][] = [[0, last]];
        for (const what of events) {
          if (what === "again") {
            reports.push([1000, last]);
            continue;
          }
          if (what === "kill") [count, kills] = [count + 1, kills + 1];
          if (what === "reboot") count = 0;
          // Down and up again between two heartbeats, with a kill after that. Counters that are as before show none.
          if (what === "crash" && count > 1) [count, kills] = [1, kills + 1];
          if (what === "successor") [life, count] = [life + 1, 0];
          last = report(String(life), count);
          reports.push([minute, last]);
        }
        const book = keep(reports);
        assert.equal(book.lacksMs.length, kills);
        assert.deepEqual(
          book.lacksMs,
          book.lacksMs.toSorted((a, b) => a - b),
        );
        const proposal = proposeSize(agent, book.lacksMs, start + events.length * minute + minute);
        assert.equal(proposal?.kills, kills > 1 ? kills : undefined);
      }),
    );
  });

  it("counts the processes of one browser once, and a second crash after its restart again", () => {
    const book = keep([
      [0, report("a", 0)],
      [minute, report("a", 4)],
      [oneLackMs - 1, report("a", 6)],
      [oneLackMs + 1, report("a", 7)],
    ]);
    assert.equal(book.lacksMs.length, 2);
  });

  it("does not date what a server counted before the books were begun", () => {
    const now = { monotonicMs: 0, wallMs: start, known: false };
    const first = takeMemory(emptyBook, report("a", 9), policy, now);
    assert.deepEqual(first.lacksMs, []);
    assert.equal(takeMemory(first, report("a", 10), policy, now).lacksMs.length, 1);
    assert.equal(takeMemory(emptyBook, report("a", 9), policy, { ...now, known: true }).lacksMs.length, 1);
  });

  it("counts pressure that lasts, once a day, and none that comes and goes", () => {
    const pressed = (times: number, percent = 60): [number, MemoryReport][] =>
      Array.from({ length: times }, () => [minute, report("a", undefined, percent)]);
    assert.equal(keep(pressed(10)).lacksMs.length, 0);
    assert.equal(keep(pressed(11)).lacksMs.length, 1);
    assert.equal(keep(pressed(23 * 60)).lacksMs.length, 1);
    assert.equal(keep(pressed(25 * 60)).lacksMs.length, 2);
    assert.equal(keep([...pressed(9), ...pressed(1, 39), ...pressed(10)]).lacksMs.length, 0);
    assert.equal(keep([...pressed(11), ...pressed(1, 0), ...pressed(11)]).lacksMs.length, 2);
    // Half of it the predecessor's.
    const successor = pressed(9).map(([at]): [number, MemoryReport] => [at, report("b", 0, 60)]);
    assert.equal(keep([[0, report("a", 0, 60)], ...pressed(9), ...successor]).lacksMs.length, 0);
  });

  it("forgets after a week, and holds no more than it must", () => {
    const book = { lacksMs: [start, start + 1000] };
    assert.deepEqual(forgetOld(book, start + oomWindowMs).lacksMs, [start + 1000]);
    assert.equal(forgetOld(book, start + minute), book);
    const many = keep(Array.from({ length: 80 }, (_, n): [number, MemoryReport] => [minute, report("a", n + 1)]));
    assert.equal(many.lacksMs.length, mostLacks);
  });
});
