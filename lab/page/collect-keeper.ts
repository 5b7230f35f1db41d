// Asks the lab's Keeper how it does, over its socket with its token. The browser gets neither.
import { readJsonObject } from "../host/files.ts";
import { KeeperApi } from "../keeper/api.ts";
import { findKeeper, keeperFolder } from "../keeper/folder.ts";
import { text } from "./fields.ts";
import type { KeeperAnswers } from "./keeper-view.ts";

/** Longest the page waits for it, ms: a hung Keeper must not stop the page. */
const patienceMs = 700;

/** Never rejects: a Keeper that does not answer is shown as such. */
export async function collectKeeper(stateDir: string): Promise<KeeperAnswers> {
  const folder = keeperFolder(stateDir);
  const found = findKeeper(folder);
  const none = { status: undefined, timeZone: "", evening: undefined };
  if (found === undefined) return { ...none, why: "No Keeper runs beside this lab: run “npm start”." };
  const evening = readJsonObject(folder.evening);
  const timeZone = text(evening?.["timeZone"]) || "Europe/Paris";
  try {
    const answer = await KeeperApi.admin(found.runtime)?.get("/status", patienceMs);
    if (answer?.status === 200) return { why: undefined, status: answer.json, timeZone, evening };
    const what = answer === undefined ? "has no token yet" : `answered ${String(answer.status)}`;
    return { ...none, why: `The Keeper ${what}.` };
  } catch (error) {
    return { ...none, why: `The Keeper does not answer: ${error instanceof Error ? error.message : String(error)}` };
  }
}
