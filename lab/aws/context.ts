// What every action needs: the state, the clock, and the shapes in which Lightsail tells of things.
import { randomUUID } from "node:crypto";
import { AwsError, invalid, notFound } from "./errors.ts";
import type { Parameters } from "./parameters.ts";
import type { AwsStore, Instance, Operation, Tag } from "./state.ts";

export interface Context {
  store: AwsStore;
  region: string;
  nowMs: number;
  /** How long what is asynchronous takes, ms. */
  delayMs: number;
  parameters: Parameters;
  /** A public address of the lab. */
  newAddress: (number: number) => string;
  /** The public key that an instance's SSH server shows; undefined before it has booted. */
  hostKeyOf: (instance: Instance) => string | undefined;
}

/** An account number of AWS's own examples. */
export const account = "123456789012";

export function operation(
  context: Context,
  type: string,
  resource: { name: string; type: string; zone: string },
): object {
  const { store, region, nowMs, delayMs } = context;
  const made: Operation = {
    ...{ id: randomUUID(), resourceName: resource.name, resourceType: resource.type, operationType: type },
    ...{ region, zone: resource.zone, createdMs: nowMs, endsMs: nowMs + delayMs },
  };
  store.state.operations.push(made);
  return toldOperation(made, nowMs);
}

export function toldOperation(made: Operation, nowMs: number): object {
  const done = nowMs >= made.endsMs;
  return {
    ...{ id: made.id, resourceName: made.resourceName, resourceType: made.resourceType },
    ...{ createdAt: made.createdMs / 1000, location: { availabilityZone: made.zone, regionName: made.region } },
    ...{ isTerminal: done, operationType: made.operationType, status: done ? "Succeeded" : "Started" },
    statusChangedAt: (done ? made.endsMs : made.createdMs) / 1000,
  };
}

/** The instance, brought to what it has become by now. */
export function instanceOf(context: Context, name: string): Instance {
  const found = context.store.state.instances[name];
  if (found?.region !== context.region) notFound("Instance", name);
  return settled(found, context.nowMs);
}

export function settled(instance: Instance, nowMs: number): Instance {
  if (nowMs >= instance.settlesMs) {
    if (instance.state === "pending") instance.state = "running";
    if (instance.state === "stopping") instance.state = "stopped";
  }
  return instance;
}

/**
 * Names are one space for all kinds of resource in a region: TagResource and GetOperationsForResource take a bare name.
 * Words: hashicorp/terraform-provider-aws PR #8647 and #9008.
 */
export function checkNewName({ store }: Context, name: string): void {
  if (!/^[A-Za-z0-9][\w.-]{0,253}[A-Za-z0-9]$/.test(name))
    invalid(
      `${name} is not a valid resource name. Resource names must be at least 2 characters long and contain only alphanumerics, -, _, and .`,
    );
  const { instances, keyPairs, staticIps } = store.state;
  if ([instances, keyPairs, staticIps].some((table) => name in table))
    throw new AwsError("InvalidInputException", `Some names are already in use: ${name}`);
}

export function tagsOf(rows: readonly Record<string, unknown>[]): Tag[] {
  const tags = rows.map((row) => ({ key: String(row["key"] ?? ""), value: String(row["value"] ?? "") }));
  if (tags.length > 50) invalid("A resource can have at most 50 tags");
  for (const { key, value } of tags) {
    if (key === "" || key.length > 128 || value.length > 256) invalid(`${key} is not a valid tag`);
    if (/^aws:/i.test(key)) invalid("Tag keys that begin with aws: are reserved");
  }
  return tags;
}

export function locationOf(thing: { region: string; zone?: string }): object {
  return { availabilityZone: thing.zone ?? "all", regionName: thing.region };
}

export function arnOf(kind: string, thing: { region: string; name: string; createdSec: number }): string {
  return `arn:aws:lightsail:${thing.region}:${account}:${kind}/${thing.name}-${thing.createdSec.toString(16)}`;
}
