/** Agents that were destroyed while the Sentinel could not be told: whoever reaches it next takes them off its registry. */
import { join } from "node:path";
import type { Sentinel } from "../sentinel/client.ts";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";
import { memoryFolder } from "./store.ts";

/** One agent that is gone; a later one of the same name is another. */
export interface GoneAgent {
  readonly name: string;
  /** The id that the Sentinel gave its registration. */
  readonly id: string;
}

const fileOf = (kind: "lab" | "real"): string => join(memoryFolder(kind), "agents.gone.json");

export function readGone(kind: "lab" | "real"): readonly GoneAgent[] {
  try {
    const content: unknown = JSON.parse(readIfThere(fileOf(kind)) ?? "[]");
    return Array.isArray(content) ? content.filter(isGone) : [];
  } catch {
    return [];
  }
}

function isGone(value: unknown): value is GoneAgent {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    typeof value.name === "string" &&
    "id" in value &&
    typeof value.id === "string"
  );
}

export function rememberGone(kind: "lab" | "real", gone: GoneAgent): void {
  const others = readGone(kind).filter(({ id }) => id !== gone.id);
  writeWhole(fileOf(kind), `${JSON.stringify([...others, gone])}\n`);
}

/**
 * Tells the Sentinel of those that are gone.
 * @returns their names
 * @throws SentinelUnreachable; who was not told is remembered on
 */
export async function settleGone(kind: "lab" | "real", sentinel: Pick<Sentinel, "remove">): Promise<string[]> {
  const gone = readGone(kind);
  const told: string[] = [];
  for (const { name, id } of gone) {
    if (await sentinel.remove(name, id)) told.push(name);
    writeWhole(fileOf(kind), `${JSON.stringify(readGone(kind).filter((each) => each.id !== id))}\n`);
  }
  return told;
}
