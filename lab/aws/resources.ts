// Key pairs, static addresses, tags, add-ons and operations.
import { createHash } from "node:crypto";
import { generateKeyPair } from "../host/keys.ts";
import { arnOf, checkNewName, instanceOf, locationOf, operation, tagsOf, toldOperation } from "./context.ts";
import type { Context } from "./context.ts";
import { AwsError, invalid, notFound } from "./errors.ts";
import { page } from "./instances.ts";
import type { KeyPair, StaticIp, Tag } from "./state.ts";

function toldKeyPair(pair: KeyPair): object {
  const { name, createdSec, fingerprint, tags } = pair;
  return {
    ...{ name, arn: arnOf("KeyPair", pair), createdAt: createdSec, location: locationOf(pair) },
    ...{ resourceType: "KeyPair", fingerprint, tags },
  };
}

function addKeyPair(context: Context, publicKey: string, tags: Tag[]): KeyPair {
  const name = context.parameters.text("keyPairName");
  checkNewName(context, name);
  const [type = "", data = ""] = publicKey.trim().split(/\s+/);
  if (!/^(ssh-rsa|ssh-ed25519|ecdsa-sha2-\S+)$/.test(type) || !/^[A-Za-z0-9+/]{40,}=*$/.test(data))
    invalid("The public key is not in a supported format");
  const digest = createHash("md5").update(Buffer.from(data, "base64")).digest("hex");
  const fingerprint = digest.match(/../g)?.join(":") ?? "";
  const createdSec = context.nowMs / 1000;
  const pair = { name, region: context.region, createdSec, publicKey: `${type} ${data}`, fingerprint, tags };
  context.store.state.keyPairs[name] = pair;
  return pair;
}

function keyPairOf({ store, region }: Context, name: string): KeyPair {
  const found = store.state.keyPairs[name];
  return found?.region === region ? found : notFound("KeyPair", name);
}

const ofKeyPair = (name: string) => ({ name, type: "KeyPair", zone: "all" });

/** The private key is told once. (AWS makes RSA keys; what a client does with it is the same.) */
export function createKeyPair(context: Context): object {
  const made = generateKeyPair();
  const pair = addKeyPair(context, made.publicKey, tagsOf(context.parameters.objects("tags")));
  return {
    ...{ keyPair: toldKeyPair(pair), publicKeyBase64: pair.publicKey, privateKeyBase64: made.privateKey },
    operation: operation(context, "CreateKeyPair", ofKeyPair(pair.name)),
  };
}

export function importKeyPair(context: Context): object {
  const given = context.parameters.text("publicKeyBase64");
  // The text of the key, or that text in base64: clients differ, and Lightsail takes both.
  const text = /^(ssh|ecdsa)-/.test(given) ? given : Buffer.from(given, "base64").toString("utf8");
  const { name } = addKeyPair(context, text, []);
  return { operation: operation(context, "ImportKeyPair", ofKeyPair(name)) };
}

export function getKeyPair(context: Context): object {
  return { keyPair: toldKeyPair(keyPairOf(context, context.parameters.text("keyPairName"))) };
}

export function getKeyPairs(context: Context): object {
  const { store, region, parameters } = context;
  const all = Object.values(store.state.keyPairs).filter((pair) => pair.region === region);
  const [rows, next] = page(all, parameters.text("pageToken"));
  return { keyPairs: rows.map(toldKeyPair), ...(next === undefined ? {} : { nextPageToken: next }) };
}

export function deleteKeyPair(context: Context): object {
  const { name } = keyPairOf(context, context.parameters.text("keyPairName"));
  delete context.store.state.keyPairs[name];
  return { operation: operation(context, "DeleteKeyPair", ofKeyPair(name)) };
}

function toldStaticIp(ip: StaticIp): object {
  const { name, createdSec, address, attachedTo } = ip;
  return {
    ...{ name, arn: arnOf("StaticIp", ip), supportCode: `123456789012/${address}`, createdAt: createdSec },
    ...{ location: locationOf(ip), resourceType: "StaticIp", ipAddress: address, isAttached: attachedTo !== "" },
    ...(attachedTo === "" ? {} : { attachedTo }),
  };
}

function staticIpOf({ store, region }: Context, name: string): StaticIp {
  const found = store.state.staticIps[name];
  return found?.region === region ? found : notFound("StaticIp", name);
}

const ofStaticIp = (name: string) => ({ name, type: "StaticIp", zone: "all" });

export function allocateStaticIp(context: Context): object {
  const { store, region, nowMs } = context;
  const name = context.parameters.text("staticIpName");
  checkNewName(context, name);
  const address = context.newAddress(store.count());
  store.state.staticIps[name] = { name, region, createdSec: nowMs / 1000, address, attachedTo: "" };
  return { operations: [operation(context, "AllocateStaticIp", ofStaticIp(name))] };
}

export function attachStaticIp(context: Context): object {
  const ip = staticIpOf(context, context.parameters.text("staticIpName"));
  const instance = instanceOf(context, context.parameters.text("instanceName"));
  if (ip.attachedTo !== "" && ip.attachedTo !== instance.name)
    throw new AwsError("OperationFailureException", `${ip.name} is attached to ${ip.attachedTo} already`);
  if (instance.state !== "running")
    throw new AwsError("OperationFailureException", `${instance.name} is ${instance.state}, not running`);
  for (const other of Object.values(context.store.state.staticIps))
    if (other.attachedTo === instance.name) other.attachedTo = "";
  ip.attachedTo = instance.name;
  instance.publicIp = ip.address;
  return { operations: [operation(context, "AttachStaticIp", ofStaticIp(ip.name))] };
}

export function detachStaticIp(context: Context): object {
  const ip = staticIpOf(context, context.parameters.text("staticIpName"));
  const instance = context.store.state.instances[ip.attachedTo];
  if (ip.attachedTo === "") invalid(`${ip.name} is not attached`);
  if (instance !== undefined) instance.publicIp = context.newAddress(instance.number);
  ip.attachedTo = "";
  return { operations: [operation(context, "DetachStaticIp", ofStaticIp(ip.name))] };
}

export function getStaticIp(context: Context): object {
  return { staticIp: toldStaticIp(staticIpOf(context, context.parameters.text("staticIpName"))) };
}

export function getStaticIps(context: Context): object {
  const { store, region, parameters } = context;
  const all = Object.values(store.state.staticIps).filter((ip) => ip.region === region);
  const [rows, next] = page(all, parameters.text("pageToken"));
  return { staticIps: rows.map(toldStaticIp), ...(next === undefined ? {} : { nextPageToken: next }) };
}

export function releaseStaticIp(context: Context): object {
  const { name, attachedTo } = staticIpOf(context, context.parameters.text("staticIpName"));
  const instance = context.store.state.instances[attachedTo];
  if (instance !== undefined) instance.publicIp = context.newAddress(instance.number);
  delete context.store.state.staticIps[name];
  return { operations: [operation(context, "ReleaseStaticIp", ofStaticIp(name))] };
}

/** What carries tags: a static address does not. */
export function tagged(context: Context, name: string): { tags: Tag[]; type: string; zone: string } {
  const { instances, keyPairs } = context.store.state;
  const instance = instances[name];
  if (instance?.region === context.region) return Object.assign(instance, { type: "Instance" });
  const pair = keyPairs[name];
  if (pair?.region === context.region) return Object.assign(pair, { type: "KeyPair", zone: "all" });
  return notFound("Resource", name);
}

export function tagResource(context: Context): object {
  const name = context.parameters.text("resourceName");
  const found = tagged(context, name);
  const fresh = tagsOf(context.parameters.objects("tags"));
  found.tags = [...found.tags.filter((tag) => !fresh.some((other) => other.key === tag.key)), ...fresh];
  return { operations: [operation(context, "TagResource", { name, type: found.type, zone: found.zone })] };
}

export function untagResource(context: Context): object {
  const name = context.parameters.text("resourceName");
  const found = tagged(context, name);
  const keys = new Set(context.parameters.texts("tagKeys"));
  found.tags = found.tags.filter((tag) => !keys.has(tag.key));
  return { operations: [operation(context, "UntagResource", { name, type: found.type, zone: found.zone })] };
}

export function changeAddOn(type: "EnableAddOn" | "DisableAddOn"): (context: Context) => object {
  return (context) => {
    const { parameters } = context;
    const instance = instanceOf(context, parameters.text("resourceName"));
    const { name, zone } = instance;
    const request = parameters.object("addOnRequest");
    const kind = String(type === "EnableAddOn" ? request["addOnType"] : parameters.text("addOnType"));
    if (kind !== "AutoSnapshot") invalid(`the lab: the add-on ${kind} is not served`);
    const asked = request["autoSnapshotAddOnRequest"];
    const at = Object(asked)["snapshotTimeOfDay"];
    const snapshotTimeOfDay = typeof at === "string" ? at : "06:00";
    if (!/^([01]\d|2[0-3]):00$/.test(snapshotTimeOfDay))
      invalid(`snapshotTimeOfDay must be HH:00: ${snapshotTimeOfDay}`);
    instance.addOns = type === "EnableAddOn" ? [{ name: kind, status: "Enabled", snapshotTimeOfDay }] : [];
    return { operations: [operation(context, type, { name, type: "Instance", zone })] };
  };
}

export function setIpAddressType(context: Context): object {
  const instance = instanceOf(context, context.parameters.text("resourceName"));
  const wanted = context.parameters.text("ipAddressType");
  if (!["dualstack", "ipv4", "ipv6"].includes(wanted)) invalid(`ipAddressType is invalid: ${wanted}`);
  instance.ipAddressType = wanted;
  const { name, zone } = instance;
  return { operations: [operation(context, "SetIpAddressType", { name, type: "Instance", zone })] };
}

export function getOperation(context: Context): object {
  const id = context.parameters.text("operationId");
  const found = context.store.state.operations.find((made) => made.id === id && made.region === context.region);
  return { operation: found === undefined ? notFound("Operation", id) : toldOperation(found, context.nowMs) };
}

export function getOperations(context: Context): object {
  const all = context.store.state.operations.filter((made) => made.region === context.region).toReversed();
  const [rows, next] = page(all, context.parameters.text("pageToken"));
  return {
    operations: rows.map((made) => toldOperation(made, context.nowMs)),
    ...(next === undefined ? {} : { nextPageToken: next }),
  };
}
