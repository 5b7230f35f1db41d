// Where the set-up keeps what it makes: one folder a user, never inside the checkout.
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The cache folder: `HIVE_CACHE`, else `XDG_CACHE_HOME/hive`, else `~/.cache/hive`.
 * A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification asks.
 */
export function cacheRoot(env: Environment = process.env, home: string = homedir()): string {
  if (env["HIVE_CACHE"])
    return isAbsolute(env["HIVE_CACHE"]) ? env["HIVE_CACHE"] : join(process.cwd(), env["HIVE_CACHE"]);
  const xdg = env["XDG_CACHE_HOME"];
  return join(xdg && isAbsolute(xdg) ? xdg : join(home, ".cache"), "hive");
}

/** The checkout this code belongs to. */
export const projectRoot: string = join(import.meta.dirname, "..", "..");
