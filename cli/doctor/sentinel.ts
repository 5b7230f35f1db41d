import * as z from "zod";
import type { Context } from "../commands/context.ts";
import { plainMessage } from "../output/failure.ts";
import type { SentinelAnswer } from "../sentinel/line.ts";
import { labStateFolder } from "../targets/stateFolder.ts";
import type { Check } from "./check.ts";

const name = "sentinel";
const health = z.object({ healthy: z.boolean(), unhealthy: z.array(z.string()) });

/** What the Sentinel's own health says. Pure. */
export function healthCheck(where: string, answer: SentinelAnswer): Check {
  const read = health.safeParse(answer.json);
  if (!read.success) {
    const fix = "Give it and this checkout the same release: hive up sentinel";
    return { name, ok: false, found: `${where} answers ${String(answer.status)} and nothing of ours`, fix };
  }
  const { healthy, unhealthy } = read.data;
  if (healthy) return { name, ok: true, found: `${where}: healthy` };
  return {
    name,
    ok: false,
    found: `${where}: ${unhealthy.join("; ")}`,
    fix: "Its log says more: journalctl -u hive-agent-sentinel",
  };
}

/** The Sentinel beside a lab; it is not started for this. */
export async function labSentinelCheck(): Promise<Check> {
  const [{ findSentinel, sentinelFolder }, { labLine }] = await Promise.all([
    import("../sentinel/folder.ts"),
    import("../sentinel/labSentinel.ts"),
  ]);
  const folder = sentinelFolder(labStateFolder().lab);
  const found = findSentinel(folder);
  if (found === undefined)
    return { name, ok: true, found: "not running; hive agent and hive up sentinel start it when they need it" };
  try {
    const answer = await labLine(found).call({ method: "GET", path: "/health" });
    const { host, port } = found.listen;
    return healthCheck(`beside the lab, at ${host}:${String(port)} for runners`, answer);
  } catch (error) {
    const fix = `hive lab stop, then the same command again; its output is in ${folder.output}`;
    return { name, ok: false, found: plainMessage(error), fix };
  }
}

/** The Sentinel of a real host, by the way that `hive agent` takes; an estate may have none. */
export async function realSentinelCheck(context: Context): Promise<Check> {
  const { readTracked } = await import("../targets/tracked.ts");
  if (Object.keys(readTracked("sentinel").config).length === 0)
    return { name, ok: true, found: "there is none: no Pulumi.sentinel.yaml (docs/antigravity.md)" };
  try {
    const { openRealLine } = await import("../sentinel/reach.ts");
    const line = await openRealLine(context);
    try {
      return healthCheck("on its server", await line.call({ method: "GET", path: "/health" }));
    } finally {
      line.close();
    }
  } catch (error) {
    return {
      name,
      ok: false,
      found: plainMessage(error),
      fix: "Do what the line says; its server is made by hive up sentinel.",
    };
  }
}
