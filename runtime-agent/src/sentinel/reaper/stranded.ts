/** Tells of servers that are to be deleted and that the reaper cannot: nobody would notice them but the bill. */
import type { Log } from "../../shared/log.ts";
import type { ForeignFinding } from "../watch/watchdogs.ts";
import type { Stranded } from "./doom.ts";
import type { ProviderKind } from "./types.ts";

const kinds: readonly ProviderKind[] = ["proxmox", "lightsail"];
const rule = { failures: 1, successes: 1 };

/** What is to be said of a provider where servers lack a tag of ours. */
function untaggedAt(kind: ProviderKind, names: readonly string[]): ForeignFinding {
  const subject = `tags at ${kind}`;
  if (names.length === 0) return { subject, finding: { ok: true, detail: "no agent's server lacks one" }, rule };
  const detail =
    `the servers of ${names.join(", ")} are to be deleted and stay: what has their ids lacks one of our tags ` +
    "(GET /reaper). Delete them: hive agent destroy NAME";
  return { subject, finding: { ok: false, detail }, rule };
}

/** What is to be said of one provider without credentials; without a kind, of agents whose provider nobody named. */
function findingOf(kind: ProviderKind | undefined, names: readonly string[]): ForeignFinding {
  const subject = kind === undefined ? "reaper" : `reaper at ${kind}`;
  if (names.length === 0) return { subject, finding: { ok: true, detail: "nothing is to be deleted there" }, rule };
  const missing = kind === undefined ? "no provider" : `no credentials for ${kind} (watch.reaper.${kind})`;
  const detail =
    `the servers of ${names.join(", ")} are to be deleted and stay: the reaper has ${missing}. ` +
    "Give it some, or delete them: hive agent destroy NAME";
  return { subject, finding: { ok: false, detail }, rule };
}

export interface StrandedTeller {
  /** What has changed since the last turn; the first one says how everything is, for a restart may have solved it. */
  turn(stranded: readonly Stranded[], configured: readonly ProviderKind[]): readonly ForeignFinding[];
  /** Names of those agents. */
  agents(): readonly string[];
}

export function createStranded(log: Log): StrandedTeller {
  const said = new Map<string, string>();
  let agents: readonly string[] = [];
  return {
    turn(stranded, configured) {
      agents = stranded.map(({ agent }) => agent);
      const namesOf = (kind: ProviderKind | undefined, missing: Stranded["lacks"]): readonly string[] =>
        stranded
          .flatMap(({ agent, provider, lacks }) => (provider === kind && lacks === missing ? [agent] : []))
          .toSorted();
      const unseen = kinds.filter((kind) => !configured.includes(kind));
      const findings = [
        ...[undefined, ...unseen].map((kind) => findingOf(kind, namesOf(kind, "credentials"))),
        ...configured.map((kind) => untaggedAt(kind, namesOf(kind, "tags"))),
      ];
      return findings.flatMap((told) => {
        if (said.get(told.subject) === told.finding.detail) return [];
        said.set(told.subject, told.finding.detail);
        if (!told.finding.ok) log.warning("reaper", { reason: told.finding.detail });
        return [told];
      });
    },
    agents: () => agents,
  };
}
