// Where the set-up keeps what it makes, and Node its compiled code. Plain JavaScript on Node >= 20: the first process
// of every command reads it before anything is installed.
import module from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

export function cacheRoot(env = process.env, home = homedir()) {
  if (env.HIVE_CACHE) return isAbsolute(env.HIVE_CACHE) ? env.HIVE_CACHE : join(process.cwd(), env.HIVE_CACHE);
  const xdg = env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(home, ".cache"), "hive");
}

/** Half of a start is compiling the SDK: Node keeps the result for this process and for those it starts. */
export function enableCompileCache(env = process.env) {
  if (env.NODE_COMPILE_CACHE !== undefined || env.NODE_DISABLE_COMPILE_CACHE !== undefined) return;
  env.NODE_COMPILE_CACHE = join(cacheRoot(env), "compile");
  module.enableCompileCache?.(env.NODE_COMPILE_CACHE);
}
