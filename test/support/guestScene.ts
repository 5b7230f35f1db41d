/** How a test opens its guest: or is skipped, by name, where there can be none. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asRoot } from "../../components/shared/agent/installScripts.ts";
import { skip } from "../run/skip.ts";
import { adminUser, startGuest, type Guest, type Ran } from "./guest.ts";
import { ensureGuestTools, guestImpossible, guestTree } from "./guestTree.ts";

export interface GuestScene {
  readonly guest: Guest;
  /** The test's own folder on this machine. */
  readonly folder: string;
  /** Does a step of an installation as the account that is not root does it, through sudo; fails unless it is well done. */
  step(script: string, stdin?: string): Promise<Ran>;
  close(): Promise<void>;
}

/** @param name of the test's folder */
export async function openGuest(test: Mocha.Context, name: string): Promise<GuestScene> {
  const why = guestImpossible();
  if (why !== undefined) skip(test, why);
  await ensureGuestTools();
  const guest = await startGuest(await guestTree((line) => process.stderr.write(`${line}\n`)));
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  return {
    guest,
    folder,
    step: async (script, stdin = "") => {
      const ran = await guest.ssh(asRoot(adminUser, script), { stdin, user: adminUser });
      assert.equal(ran.status, 0, ran.stderr);
      return ran;
    },
    close: async () => {
      await guest.close();
      rmSync(folder, { recursive: true });
    },
  };
}
