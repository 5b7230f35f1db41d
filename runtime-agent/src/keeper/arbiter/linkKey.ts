/** The link's pre-shared key at a start of the arbiter, and what becomes of a start that has none. */
import { existsSync } from "node:fs";
import path from "node:path";
import { readPskFile } from "../link/psk.ts";
import type { ArbiterSection } from "./coreConfig.ts";

/** The key; undefined without a link; or why there is none, to be thrown when the services are free. */
export type LinkKey = Buffer | undefined | Error;

/**
 * Reads the key of the link. One that cannot be used is thrown at a first start, before anything is opened or touched. At
 * a later one it comes back as an error: services may still be held as the last one left them, and nobody else would
 * set them free while a person looks for the right key.
 */
export async function readLinkKey(link: ArbiterSection["link"], stateFolder: string): Promise<LinkKey> {
  if (link === undefined) return undefined;
  try {
    return await readPskFile(link.pskFile);
  } catch (error) {
    if (!(error instanceof Error) || !existsSync(path.join(stateFolder, "journal"))) throw error;
    return error;
  }
}
