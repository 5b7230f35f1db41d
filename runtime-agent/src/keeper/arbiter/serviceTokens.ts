import { readFile, stat } from "node:fs/promises";
import type { ServiceConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import { tokenSha256 } from "../../shared/localApi/index.ts";
import type { Log } from "../../shared/log.ts";
import { textOf } from "../processes/errors.ts";

/**
 * Digests of the services' tokens, by service. A token that is missing, too short or open to others is no token: that
 * service cannot call, and the log says why.
 */
export async function serviceTokens(services: readonly ServiceConfig[], log: Log): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const { name, tokenFile } of services) {
    if (tokenFile === undefined) continue;
    try {
      const token = (await readFile(tokenFile, "utf8")).trim();
      if (((await stat(tokenFile)).mode & 0o007) !== 0)
        throw new Error("others can read it; let its mode be 0640 or less");
      if (!/^[\w.~+/=-]{32,512}$/.test(token)) throw new Error("it must hold 32 to 512 letters and digits");
      digests[name] = tokenSha256(token);
    } catch (error) {
      log.warning("a service cannot call: its file cannot be used", {
        service: name,
        file: tokenFile,
        fault: textOf(error),
      });
    }
  }
  return digests;
}
