/**
 * The cache folder: `HIVE_CACHE`, else `XDG_CACHE_HOME/hive`, else `~/.cache/hive`.
 * A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification asks.
 */
export function cacheRoot(env?: Readonly<Record<string, string | undefined>>, home?: string): string;
/** Lets Node keep compiled code in the cache folder, unless the user's environment says where or not at all. */
export function enableCompileCache(env?: Record<string, string | undefined>): void;
