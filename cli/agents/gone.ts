/** Agents that were destroyed while the Sentinel could not be told: whoever reaches it next takes them off its registry. */
import { join } from "node:path";
import type { Sentinel } from "../sentinel/client.ts";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";
import { memoryFolder } from "./store.ts";

/** One agent that is gone; a later one of the same name is another. */
export interface GoneAgent {
  readonly name: string;
  /** Unix ms: who was registered later is not the one that is gone. */
  readonly atMs: number;
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
    "atMs" in value &&
    typeof value.atMs === "number"
  );
}

export function rememberGone(kind: "lab" | "real", gone: GoneAgent): void {
  const others = readGone(kind).filter(({ name }) => name !== gone.name);
  writeWhole(fileOf(kind), `${JSON.stringify([...others, gone])}\n`);
}

/**
 * Tells the Sentinel of those that are gone.
 * @returns their names
 * @throws SentinelUnreachable; who was not told is remembered on
 */
export async function settleGone(
  kind: "lab" | "real",
  sentinel: Pick<Sentinel, "agent" | "remove">,
): Promise<string[]> {
  const gone = readGone(kind);
  const told: string[] = [];
  for (const { name, atMs } of gone) {
    const agent = await sentinel.agent(name);
    if (agent !== undefined && agent.createdMs <= atMs) {
      await sentinel.remove(name);
      told.push(name);
    }
    writeWhole(fileOf(kind), `${JSON.stringify(readGone(kind).filter((each) => each.name !== name))}\n`);
  }
  return told;
}
