// Log lines to the engine, shown beside the resource as they come.
import * as log from "@pulumi/pulumi/log/index.js";
import { DependencyResource } from "@pulumi/pulumi/resource.js";
import * as settings from "@pulumi/pulumi/runtime/settings.js";
import type { Reporter } from "./remote.ts";

export interface EngineLog {
  reporter: (urn: string) => Reporter;
}

/** Without an address lines are dropped. A line that the engine does not take never fails the resource. */
export function engineLog(address: string | undefined): EngineLog {
  if (address === undefined) return { reporter: () => ({ line: ignore, status: ignore, warn: ignore }) };
  settings.resetOptions("", "", -1, address, "", false, "");
  return {
    reporter: (urn) => {
      const resource = urn === "" ? undefined : new DependencyResource(urn);
      return {
        line: (message) => void log.info(message, resource).catch(ignore),
        status: (message) => void log.info(message, resource, undefined, true).catch(ignore),
        warn: (message) => void log.warn(message, resource).catch(ignore),
      };
    },
  };
}

function ignore(): void {
  // The line is for people to read; nothing depends on it.
}
