/** The books at work: heartbeats in, proposals out. A person applies them. */
import { proposeSize } from "../../../../components/shared/vps/sizing.ts";
import type { ExtensionAction, ExtensionView } from "../extension.ts";
import type { PartAlert } from "../watch/part.ts";
import { emptyBook, forgetOld, takeMemory, type OomBook, type OomPolicy } from "./books.ts";

type Books = Readonly<Record<string, OomBook>>;
type ProposeAction = Extract<ExtensionAction, { kind: "propose-size" }>;

export interface Bookkeeper {
  restore(books: Books): void;
  /** @param sinceMs when the books were begun, Unix ms */
  turn(
    view: ExtensionView,
    sinceMs: number,
  ): { readonly actions: readonly ProposeAction[]; readonly alerts: readonly PartAlert[] };
  settled(action: ProposeAction, status: number): void;
  /** The same object as before while nothing of it has changed. */
  kept(): Books;
}

function wordsOf({ agent, proposal }: ProposeAction): string {
  if (proposal === undefined) return "";
  const { from, to, kills } = proposal;
  return `it lacked memory ${String(kills)} times in seven days: move it from ${from} to ${to} with: hive agent resize ${agent}`;
}

export function createBookkeeper(policy: OomPolicy): Bookkeeper {
  const books = new Map<string, OomBook>();
  /** What was asked for, as JSON, and is perhaps not yet in the registry. */
  const asked = new Map<string, string>();
  let kept: Books = {};

  function keepBooks(): void {
    let differs = Object.keys(kept).length !== books.size;
    const next: Record<string, OomBook> = {};
    for (const [name, { counted, lacksMs }] of books) {
      const before = kept[name];
      const same = before !== undefined && before.counted === counted && before.lacksMs === lacksMs;
      next[name] = same ? before : { ...(counted === undefined ? {} : { counted }), lacksMs };
      differs ||= !same;
    }
    if (differs) kept = next;
  }

  return {
    restore(read) {
      kept = read;
      books.clear();
      for (const [name, book] of Object.entries(read)) books.set(name, book);
    },
    turn({ agents, news, wallMs }, sinceMs) {
      const byName = new Map(agents.map((agent) => [agent.name, agent]));
      for (const one of news) {
        if (one.kind !== "heartbeat" || one.heard.heartbeat === undefined) continue;
        const { instance, memory, memoryPressurePercent: pressurePercent } = one.heard.heartbeat;
        const known = (byName.get(one.agent)?.registered?.atMs ?? 0) >= sinceMs;
        const report = { instance, oomKill: memory?.oomKill, pressurePercent };
        const now = { monotonicMs: one.heard.atMs, wallMs, known };
        books.set(one.agent, takeMemory(books.get(one.agent) ?? emptyBook, report, policy, now));
      }
      for (const [name, book] of books) {
        if (byName.has(name)) books.set(name, forgetOld(book, wallMs));
        else {
          books.delete(name);
          asked.delete(name);
        }
      }
      const actions: ProposeAction[] = [];
      const alerts: PartAlert[] = [];
      for (const agent of agents) {
        const proposal = proposeSize(agent, books.get(agent.name)?.lacksMs ?? [], wallMs);
        const wanted = JSON.stringify(proposal) ?? "";
        const stands = JSON.stringify(agent.proposal) ?? "";
        if (wanted === stands) {
          asked.delete(agent.name);
          continue;
        }
        if (asked.get(agent.name) === wanted) continue;
        asked.set(agent.name, wanted);
        const action: ProposeAction = { kind: "propose-size", agent: agent.name, proposal };
        actions.push(action);
        if (proposal !== undefined && agent.proposal === undefined)
          alerts.push({
            alert: { atMs: wallMs, subject: `agent ${agent.name}`, kind: "notice", text: wordsOf(action) },
          });
      }
      keepBooks();
      return { actions, alerts };
    },
    settled({ agent }, status) {
      // Asked for again in the next turn, if it is still wanted.
      if (status >= 300) asked.delete(agent);
    },
    kept: () => kept,
  };
}
