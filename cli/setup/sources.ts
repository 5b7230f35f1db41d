// The order in which a tool is looked for, the same for all: PATH, the cache, an official download, a build of ours.
import { join } from "node:path";
import { type ArtifactOptions, type Recipe, cachedArtifact, ensureArtifact } from "./artifact.ts";
import type { Probe } from "./network.ts";

export type Source = "path" | "download" | "built" | "stand-in";

export interface Found {
  /** Where its executables are. */
  readonly folder: string;
  readonly version: string;
  readonly source: Source;
}

export interface Choices {
  readonly what: string;
  /** Looks on PATH; says by `progress` why it passes one over. */
  readonly onPath: () => Promise<Found | undefined>;
  readonly official: Recipe;
  /** Address that answers when the official one can be had. */
  readonly officialProbe: string;
  readonly own: Recipe;
  readonly ownSource: "built" | "stand-in";
}

export interface SourceOptions extends ArtifactOptions {
  readonly probe: Probe;
}

/** Finds or makes one tool. @throws what the last way, our own, throws. */
export async function obtain(choices: Choices, options: SourceOptions): Promise<Found> {
  const { what, official, own } = choices;
  const onPath = await choices.onPath();
  if (onPath) return onPath;
  for (const [recipe, source] of [
    [official, "download"],
    [own, choices.ownSource],
  ] as const) {
    const folder = await cachedArtifact(recipe, options);
    if (folder !== undefined) return { folder: join(folder, "bin"), version: recipe.version, source };
  }
  const unreachable = await options.probe(choices.officialProbe);
  if (unreachable === undefined) {
    try {
      return {
        folder: join(await ensureArtifact(official, options), "bin"),
        version: official.version,
        source: "download",
      };
    } catch (error) {
      options.signal?.throwIfAborted();
      options.progress(`${what}: the official download failed, so another way is taken: ${reason(error)}`);
    }
  } else options.progress(`${what}: no official download, because ${unreachable}`);
  return { folder: join(await ensureArtifact(own, options), "bin"), version: own.version, source: choices.ownSource };
}

function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
