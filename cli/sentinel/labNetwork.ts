/** How the lab's Sentinel and the lab's servers come together: by the lab's own network, or where it has none by nothing. */
import * as z from "zod";
import type { LabInfo } from "../../lab/index.ts";
import { serverPorts } from "../../components/shared/vps/serverPlan.ts";
import { exchange } from "./line.ts";

const rules = z.object({
  open: z.array(z.object({ machine: z.string().exactOptional(), port: z.number() })),
  reach: z.array(z.object({ from: z.string().exactOptional(), to: z.string(), port: z.number() })),
});
type Rules = z.infer<typeof rules>;

/** Rules with which servers reach the Sentinel outside and it their runners; undefined when these do already. Pure. */
export function joined(before: Rules, sentinelPort: number): Rules | undefined {
  const open = before.open.some(({ machine, port }) => machine === undefined && port === serverPorts.runner)
    ? before.open
    : [...before.open, { port: serverPorts.runner }];
  const reach = before.reach.some(
    ({ from, to, port }) => from === undefined && to === "outside" && port === sentinelPort,
  )
    ? before.reach
    : [...before.reach, { to: "outside", port: sentinelPort }];
  return open === before.open && reach === before.reach ? undefined : { open, reach };
}

/** Lets the lab's servers and its Sentinel reach each other. Rules that are there stay. */
export async function joinServers(lab: LabInfo, sentinelPort: number): Promise<void> {
  if (lab.network === undefined) return;
  const socket = { path: lab.controlSocket };
  const answer = await exchange(socket, "", { method: "GET", path: "/uplink" });
  const next = joined(rules.parse(answer.json), sentinelPort);
  if (next !== undefined) await exchange(socket, "", { method: "PUT", path: "/uplink", body: next });
}
