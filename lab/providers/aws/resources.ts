// What each type does at AWS, call by call as terraform-provider-aws does it (internal/service/lightsail/*.go).
import { createHash } from "node:crypto";
import { isRecord } from "../../host/files.ts";
import { CallFailed } from "./client.ts";
import type { Json, Lightsail } from "./client.ts";

export type Fields = Record<string, unknown>;

export interface Handler {
  create: (aws: Lightsail, inputs: Fields) => Promise<{ id: string; extra?: Fields }>;
  /** What AWS has of it now, in the names of the schema; undefined when it is gone. */
  read: (aws: Lightsail, id: string, known: Fields) => Promise<Fields | undefined>;
  update?: (aws: Lightsail, id: string, before: Fields, after: Fields) => Promise<void>;
  delete: (aws: Lightsail, id: string, state: Fields) => Promise<void>;
}

export const handlers: Readonly<Record<string, Handler>> = {
  "aws:lightsail/instance:Instance": {
    create: async (aws, inputs) => {
      const name = text(inputs["name"]);
      const wanted = {
        ...{ instanceNames: [name], availabilityZone: inputs["availabilityZone"], blueprintId: inputs["blueprintId"] },
        ...{ bundleId: inputs["bundleId"], ...given(inputs, ["keyPairName", "userData"]), ...tagList(inputs["tags"]) },
        ipAddressType: inputs["ipAddressType"] ?? "dualstack",
      };
      await aws.perform("CreateInstances", wanted, regionOf(aws, inputs));
      await enableAddOn(aws, name, inputs);
      return { id: name };
    },
    read: async (aws, id, known) => {
      const said = await found(() => aws.call("GetInstance", { instanceName: id }, regionOf(aws, known)));
      const instance = said?.["instance"];
      return isRecord(instance) ? instanceFields(instance, known) : undefined;
    },
    update: async (aws, id, before, after) => {
      const region = regionOf(aws, after);
      if (before["ipAddressType"] !== after["ipAddressType"]) {
        const wanted = {
          resourceName: id,
          resourceType: "Instance",
          ipAddressType: after["ipAddressType"] ?? "dualstack",
        };
        await aws.perform("SetIpAddressType", wanted, region);
      }
      await updateTags(aws, id, before["tags"], after["tags"], region);
      if (JSON.stringify(before["addOn"]) === JSON.stringify(after["addOn"])) return;
      if (isEnabled(before["addOn"]))
        await aws.perform("DisableAddOn", { resourceName: id, addOnType: Object(before["addOn"]).type }, region);
      await enableAddOn(aws, id, after);
    },
    delete: async (aws, id, state) => {
      const wanted = { instanceName: id, forceDeleteAddOns: true };
      await found(() => aws.perform("DeleteInstance", wanted, regionOf(aws, state)));
    },
  },
  "aws:lightsail/keyPair:KeyPair": {
    create: async (aws, inputs) => {
      if (inputs["pgpKey"] !== undefined) throw new Error("pgpKey: the lab's provider encrypts nothing");
      const keyPairName = text(inputs["name"]);
      const region = regionOf(aws, inputs);
      if (inputs["publicKey"] !== undefined) {
        await aws.perform("ImportKeyPair", { keyPairName, publicKeyBase64: inputs["publicKey"] }, region);
        await updateTags(aws, keyPairName, {}, inputs["tags"], region);
        return { id: keyPairName };
      }
      const made = await aws.perform("CreateKeyPair", { keyPairName, ...tagList(inputs["tags"]) }, region);
      return { id: keyPairName, extra: { publicKey: made["publicKeyBase64"], privateKey: made["privateKeyBase64"] } };
    },
    read: async (aws, id, known) => {
      const said = await found(() => aws.call("GetKeyPair", { keyPairName: id }, regionOf(aws, known)));
      const pair = said?.["keyPair"];
      if (!isRecord(pair)) return undefined;
      const { arn, name, fingerprint } = pair;
      return { ...known, arn, name, fingerprint, tagsAll: known["tags"] ?? {} };
    },
    // The published provider's own update does nothing: its tags are changed for all types alike (names.AttrTags).
    update: (aws, id, before, after) => updateTags(aws, id, before["tags"], after["tags"], regionOf(aws, after)),
    delete: async (aws, id, state) => {
      await found(() => aws.perform("DeleteKeyPair", { keyPairName: id }, regionOf(aws, state)));
    },
  },
  "aws:lightsail/staticIp:StaticIp": {
    create: async (aws, inputs) => {
      const staticIpName = text(inputs["name"]);
      await aws.call("AllocateStaticIp", { staticIpName }, regionOf(aws, inputs));
      return { id: staticIpName };
    },
    read: async (aws, id, known) => {
      const ip = await staticIp(aws, id, known);
      return (
        ip && { ...known, name: ip["name"], arn: ip["arn"], ipAddress: ip["ipAddress"], supportCode: ip["supportCode"] }
      );
    },
    delete: async (aws, id, state) => {
      await found(() => aws.call("ReleaseStaticIp", { staticIpName: id }, regionOf(aws, state)));
    },
  },
  "aws:lightsail/staticIpAttachment:StaticIpAttachment": {
    create: async (aws, inputs) => {
      const { staticIpName, instanceName } = inputs;
      await aws.call("AttachStaticIp", { staticIpName, instanceName }, regionOf(aws, inputs));
      return { id: text(staticIpName) };
    },
    read: async (aws, id, known) => {
      const ip = await staticIp(aws, id, known);
      if (ip?.["isAttached"] !== true) return undefined;
      return { ...known, staticIpName: id, instanceName: ip["attachedTo"], ipAddress: ip["ipAddress"] };
    },
    delete: async (aws, id, state) => {
      await found(() => aws.call("DetachStaticIp", { staticIpName: id }, regionOf(aws, state)));
    },
  },
  "aws:lightsail/instancePublicPorts:InstancePublicPorts": {
    create: async (aws, inputs) => {
      const { instanceName, portInfos } = inputs;
      await aws.call("PutInstancePublicPorts", { instanceName, portInfos }, regionOf(aws, inputs));
      const rules = rows(portInfos).map(
        (port) => `${String(port["protocol"])}-${String(port["fromPort"])}-${String(port["toPort"])}\n`,
      );
      // The published id is a hash of the same words by another function; nobody reads it.
      const hash = createHash("sha256").update(rules.join("")).digest().readUInt32BE(0);
      return { id: `${text(instanceName)}-${hash}` };
    },
    read: async (aws, _id, known) => {
      const { instanceName } = known;
      const said = await found(() => aws.call("GetInstancePortStates", { instanceName }, regionOf(aws, known)));
      const states = rows(said?.["portStates"]);
      if (states.length === 0) return undefined;
      // A set at AWS: told in the order in which it was declared, so that order is no difference.
      const declared = rows(known["portInfos"]);
      const place = (port: Fields): number => {
        const at = declared.findIndex((other) =>
          ["fromPort", "toPort", "protocol"].every((key) => other[key] === port[key]),
        );
        return at < 0 ? declared.length : at;
      };
      const portInfos = states
        .toSorted((a, b) => place(a) - place(b))
        .map((port) => portFields(port, declared[place(port)]));
      return { ...known, portInfos };
    },
    delete: async (aws, _id, state) => {
      const { instanceName } = state;
      const region = regionOf(aws, state);
      for (const portInfo of rows(state["portInfos"]))
        await found(() => aws.call("CloseInstancePublicPorts", { instanceName, portInfo }, region));
    },
  },
};

function instanceFields(instance: Json, known: Fields): Fields {
  const hardware = isRecord(instance["hardware"]) ? instance["hardware"] : {};
  const location = isRecord(instance["location"]) ? instance["location"] : {};
  const tags = Object.fromEntries(rows(instance["tags"]).map(({ key, value }) => [String(key), String(value)]));
  const [addOn] = rows(instance["addOns"]);
  const sshKeyName = instance["sshKeyName"];
  return {
    ...given(known, ["userData", "region"]),
    ...(addOn === undefined
      ? {}
      : { addOn: { type: addOn["name"], snapshotTime: addOn["snapshotTimeOfDay"], status: addOn["status"] } }),
    ...{ arn: instance["arn"], availabilityZone: location["availabilityZone"], blueprintId: instance["blueprintId"] },
    ...{ bundleId: instance["bundleId"], name: instance["name"], username: instance["username"] },
    // The key that AWS takes when none is named is no difference (instance.go, DiffSuppressFunc).
    ...(sshKeyName === "LightsailDefaultKeyPair" && known["keyPairName"] === undefined
      ? {}
      : { keyPairName: sshKeyName }),
    ...{ createdAt: new Date(Number(instance["createdAt"]) * 1000).toISOString().replace(/\.\d+Z$/, "Z") },
    ...{ cpuCount: hardware["cpuCount"], ramSize: hardware["ramSizeInGb"], ipAddressType: instance["ipAddressType"] },
    ...{ ipv6Addresses: instance["ipv6Addresses"] ?? [], isStaticIp: instance["isStaticIp"] },
    ...{ privateIpAddress: instance["privateIpAddress"], publicIpAddress: instance["publicIpAddress"] ?? "" },
    ...(Object.keys(tags).length === 0 && known["tags"] === undefined ? {} : { tags }),
    tagsAll: tags,
  };
}

function portFields(port: Fields, declared: Fields | undefined): Fields {
  const { fromPort, toPort, protocol } = port;
  const lists = ["cidrs", "ipv6Cidrs", "cidrListAliases"].flatMap((key): [string, unknown][] => {
    const value = port[key];
    const isEmpty = !Array.isArray(value) || value.length === 0;
    return isEmpty && declared?.[key] === undefined ? [] : [[key, value ?? []]];
  });
  return { fromPort, toPort, protocol, ...Object.fromEntries(lists) };
}

async function staticIp(aws: Lightsail, staticIpName: string, known: Fields): Promise<Json | undefined> {
  const said = await found(() => aws.call("GetStaticIp", { staticIpName }, regionOf(aws, known)));
  return isRecord(said?.["staticIp"]) ? said["staticIp"] : undefined;
}

async function enableAddOn(aws: Lightsail, resourceName: string, inputs: Fields): Promise<void> {
  const addOn = inputs["addOn"];
  if (!isEnabled(addOn)) return;
  const { type, snapshotTime } = Object(addOn);
  const addOnRequest = { addOnType: type, autoSnapshotAddOnRequest: { snapshotTimeOfDay: snapshotTime } };
  await aws.perform("EnableAddOn", { resourceName, addOnRequest }, regionOf(aws, inputs));
}

function isEnabled(addOn: unknown): boolean {
  return isRecord(addOn) && addOn["status"] === "Enabled";
}

async function updateTags(
  aws: Lightsail,
  resourceName: string,
  before: unknown,
  after: unknown,
  region: string,
): Promise<void> {
  const [old, fresh] = [isRecord(before) ? before : {}, isRecord(after) ? after : {}];
  const gone = Object.keys(old).filter((key) => !(key in fresh));
  const changed = Object.entries(fresh).filter(([key, value]) => old[key] !== value);
  if (gone.length > 0) await aws.perform("UntagResource", { resourceName, tagKeys: gone }, region);
  if (changed.length > 0)
    await aws.perform("TagResource", { resourceName, ...tagList(Object.fromEntries(changed)) }, region);
}

function tagList(tags: unknown): { tags?: { key: string; value: unknown }[] } {
  const list = Object.entries(isRecord(tags) ? tags : {}).map(([key, value]) => ({ key, value }));
  return list.length === 0 ? {} : { tags: list };
}

function regionOf(aws: Lightsail, fields: Fields): string {
  return text(fields["region"]) || aws.region;
}

function given(fields: Fields, keys: readonly string[]): Fields {
  return Object.fromEntries(keys.flatMap((key) => (fields[key] === undefined ? [] : [[key, fields[key]]])));
}

function rows(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** What AWS says, or undefined when it says that there is no such thing. */
async function found(call: () => Promise<Json>): Promise<Json | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof CallFailed && error.notFound) return undefined;
    throw error;
  }
}
