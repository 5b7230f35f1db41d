import type { Deployment, Session } from "../engine/session.ts";
import { progress } from "../output/terminal.ts";
import { ApiError, ProxmoxApi } from "../proxmox/api.ts";
import { decodeState, type StateResource, withoutResources } from "../repair/deployment.ts";
import { guestOf, objectOf } from "../repair/objects.ts";
import type { HostConnection } from "../targets/target.ts";

/** The guest that a resource is, or that it is about. */
function guestIn({ type, inputs }: StateResource): string | undefined {
  const object = objectOf(type, inputs);
  return object?.kind === "guest" ? object.id : guestOf(type, inputs);
}

/** Ids of the guests that a stack has, also those of which only a part is left in the state. Pure. */
export function guestIds(resources: readonly StateResource[]): string[] {
  return [...new Set(resources.flatMap((resource) => guestIn(resource) ?? []))];
}

/**
 * What went with guests that are gone: themselves, their firewalls, whatever is deleted with these, and, when the stack has no guest left, what was done
 * on them over SSH. The provider cannot read any of it again, and would fail for good. By URN. Pure.
 */
export function lostWith(resources: readonly StateResource[], gone: ReadonlySet<string>): ReadonlySet<string> {
  if (gone.size === 0) return new Set();
  const isBare = guestIds(resources).every((id) => gone.has(id));
  const isLost = (resource: StateResource): boolean => {
    const guest = guestIn(resource);
    return guest === undefined ? isBare && resource.type.startsWith("command:remote:") : gone.has(guest);
  };
  const lost = new Set(resources.filter(isLost).map(({ urn }) => urn));
  // The engine takes no state that names a resource which is not in it.
  for (const { urn, deletedWith } of resources) if (deletedWith !== undefined && lost.has(deletedWith)) lost.add(urn);
  return lost;
}

/**
 * Forgets what is left in the state of an agent's server that went without us. Whether an id is free is asked of the
 * cluster itself: a list would leave out guests that the token may not see.
 * @returns the state as it is then
 */
export async function forgetLost(session: Session, host: HostConnection): Promise<Deployment> {
  const exported = await session.exportState();
  const { resources } = decodeState(exported.deployment);
  const api = new ProxmoxApi(host);
  const gone = new Set<string>();
  for (const id of guestIds(resources)) if (await isFree(api, id)) gone.add(id);
  const lost = lostWith(resources, gone);
  if (lost.size === 0) return exported;
  progress(
    `${session.target.stack}: its server ${[...gone].join(", ")} is gone from the host: forgotten, with all on it`,
  );
  const kept = { ...exported, deployment: withoutResources(exported.deployment, lost) };
  await session.importState(kept);
  return kept;
}

async function isFree(api: ProxmoxApi, id: string): Promise<boolean> {
  try {
    await api.call("GET", "/cluster/nextid", { vmid: id });
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 400) return false;
    throw error;
  }
}
