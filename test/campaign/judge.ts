// What a cycle left, against what an uninterrupted run leaves. Pure.
import { compareSnapshots, type HostSnapshot } from "../support/hostSnapshot.ts";
import { reaches } from "../support/adminReach.ts";
import type { StoredState } from "./stage.ts";

export interface Findings {
  /** Objects that carry the same URN in their mark. */
  readonly duplicates: readonly string[];
  /** On the host, though neither ours by an uninterrupted run nor a stranger's. */
  readonly orphans: readonly string[];
  /** Other people's objects that are not as they were. */
  readonly strangers: readonly string[];
  /** Host or state that differs from the uninterrupted run in any other way. */
  readonly mismatches: readonly string[];
}

export interface Seen {
  readonly host: HostSnapshot;
  readonly state: StoredState;
}

/**
 * @param before the host before anything of ours
 * @param expected what the uninterrupted run left
 * @param ours the host with everything of ours, which tells strangers' objects: those that `before` has alike
 */
export function judge(input: {
  readonly before: HostSnapshot;
  readonly ours: HostSnapshot;
  readonly expected: Seen;
  readonly now: Seen;
}): Findings {
  const { before, ours, expected, now } = input;
  const isStranger = (name: string): boolean => before[name] !== undefined && before[name] === ours[name];
  const orphans: string[] = [];
  const strangers: string[] = [];
  const mismatches: string[] = [];
  for (const line of compareSnapshots(expected.host, now.host)) {
    const name = line.slice(2, line.indexOf(": "));
    if (isStranger(name)) strangers.push(line);
    else if (line.startsWith("+")) orphans.push(line);
    else mismatches.push(line);
  }
  const [wanted, got] = [new Set(expected.state.resources), new Set(now.state.resources)];
  for (const urn of wanted) if (!got.has(urn)) mismatches.push(`state lacks ${urn}`);
  for (const urn of got) if (!wanted.has(urn)) mismatches.push(`state has ${urn}`);
  if (now.state.resources.length !== got.size) mismatches.push("state holds a resource twice");
  if (now.state.pending > 0) mismatches.push(`state has ${String(now.state.pending)} pending operation(s)`);
  return { duplicates: duplicatesIn(now.host), orphans, strangers, mismatches };
}

/** Objects that share one mark. The objects' own lines alone carry marks (a guest's configuration, a bridge, …). */
export function duplicatesIn(host: HostSnapshot): string[] {
  const owners = new Map<string, string[]>();
  for (const [name, text] of Object.entries(host)) {
    if (!/^(qemu|lxc) \d+$|^(network|mapping|group) /.test(name)) continue;
    const urn = /urn=(urn:pulumi:[^\]\s"]+)\]/.exec(decoded(text))?.[1];
    if (urn !== undefined) owners.set(urn, [...(owners.get(urn) ?? []), name]);
  }
  return [...owners].filter(([, names]) => names.length > 1).map(([urn, names]) => `${urn}: ${names.join(", ")}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Where the host is administered from, and the ports of its API and SSH (8006 and 22 on a real host). */
export interface AdminAccess {
  readonly address: string;
  readonly ports: readonly number[];
}

/** The states of the firewall in which the admin could not reach the API or SSH. */
export function closedStates(states: readonly unknown[], admin: AdminAccess): unknown[] {
  return states.filter((state) => admin.ports.some((port) => !reaches(state, admin.address, port)));
}
