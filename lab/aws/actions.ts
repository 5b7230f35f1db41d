// The actions that are served, with their parameters and where each was read. Everything else is an unknown operation.
import { blueprints, bundles, regions } from "./catalog.ts";
import { instanceOf } from "./context.ts";
import type { Context } from "./context.ts";
import {
  accessDetails,
  changePorts,
  changePower,
  createInstances,
  deleteInstance,
  isAttached,
  listInstances,
  toldInstance,
} from "./instances.ts";
import type { Kind } from "./parameters.ts";
import * as resources from "./resources.ts";

export interface Action {
  parameters: Readonly<Record<string, Kind>>;
  handle: (context: Context) => object;
  /** Name of the parameter that names what a tag condition of a credential is about. */
  resource?: string;
  source: string;
}

/** The published model: parameters, members of the answers, their kinds. */
const model = "Lightsail API 2016-11-28";
/** How the published provider calls it. */
const provider = (file: string): string => `${model}; terraform-provider-aws internal/service/lightsail/${file}`;

const pageToken = { pageToken: "text" } as const;
const byInstance = { "instanceName!": "text" } as const;
const ofInstance = { parameters: byInstance, resource: "instanceName" };
const byKeyPair = { "keyPairName!": "text" } as const;
const byStaticIp = { "staticIpName!": "text" } as const;

export const actions: Readonly<Record<string, Action>> = {
  GetRegions: {
    parameters: { includeAvailabilityZones: "yes-no", includeRelationalDatabaseAvailabilityZones: "yes-no" },
    source: model,
    handle: ({ parameters }) => ({
      regions: Object.entries(regions).map(([name, displayName]) => ({
        ...{ name, displayName },
        availabilityZones: parameters.isYes("includeAvailabilityZones")
          ? ["a", "b", "c"].map((letter) => ({ zoneName: `${name}${letter}`, state: "available" }))
          : [],
      })),
    }),
  },
  GetBundles: {
    parameters: { includeInactive: "yes-no", appCategory: "text", ...pageToken },
    source: model,
    handle: ({ parameters }) => ({
      bundles: bundles.filter((bundle) => bundle.isActive || parameters.isYes("includeInactive")),
    }),
  },
  GetBlueprints: {
    parameters: { includeInactive: "yes-no", appCategory: "text", ...pageToken },
    source: model,
    handle: () => ({ blueprints }),
  },
  CreateInstances: {
    parameters: {
      ...{ "instanceNames!": "texts", "availabilityZone!": "text", "blueprintId!": "text", "bundleId!": "text" },
      ...{ userData: "text", keyPairName: "text", tags: "objects", ipAddressType: "text" },
    },
    source: provider("instance.go"),
    handle: createInstances,
  },
  GetInstance: {
    ...ofInstance,
    source: provider("instance.go"),
    handle: (context) => {
      const instance = instanceOf(context, context.parameters.text("instanceName"));
      return { instance: toldInstance(instance, isAttached(context, instance.name)) };
    },
  },
  GetInstanceAccessDetails: {
    parameters: { ...byInstance, protocol: "text" },
    resource: "instanceName",
    source: model,
    handle: accessDetails,
  },
  GetInstances: { parameters: pageToken, source: model, handle: listInstances },
  GetInstanceState: {
    ...ofInstance,
    source: model,
    handle: (context) => {
      const { state } = instanceOf(context, context.parameters.text("instanceName"));
      return { state: { name: state } };
    },
  },
  DeleteInstance: {
    parameters: { ...byInstance, forceDeleteAddOns: "yes-no" },
    resource: "instanceName",
    source: provider("instance.go"),
    handle: deleteInstance,
  },
  StartInstance: { ...ofInstance, source: model, handle: changePower("StartInstance") },
  StopInstance: {
    parameters: { ...byInstance, force: "yes-no" },
    resource: "instanceName",
    source: model,
    handle: changePower("StopInstance"),
  },
  RebootInstance: { ...ofInstance, source: model, handle: changePower("RebootInstance") },
  PutInstancePublicPorts: {
    parameters: { ...byInstance, "portInfos!": "objects" },
    resource: "instanceName",
    source: provider("instance_public_ports.go"),
    handle: changePorts("PutInstancePublicPorts"),
  },
  OpenInstancePublicPorts: {
    parameters: { ...byInstance, "portInfo!": "object" },
    resource: "instanceName",
    source: model,
    handle: changePorts("OpenInstancePublicPorts"),
  },
  CloseInstancePublicPorts: {
    parameters: { ...byInstance, "portInfo!": "object" },
    resource: "instanceName",
    source: provider("instance_public_ports.go"),
    handle: changePorts("CloseInstancePublicPorts"),
  },
  GetInstancePortStates: {
    ...ofInstance,
    source: provider("instance_public_ports.go"),
    handle: (context) => ({
      portStates: instanceOf(context, context.parameters.text("instanceName")).ports.map((port) => ({
        ...port,
        state: "open",
      })),
    }),
  },
  CreateKeyPair: {
    parameters: { ...byKeyPair, tags: "objects" },
    source: provider("key_pair.go"),
    handle: resources.createKeyPair,
  },
  ImportKeyPair: {
    parameters: { ...byKeyPair, "publicKeyBase64!": "text" },
    source: provider("key_pair.go"),
    handle: resources.importKeyPair,
  },
  GetKeyPair: { parameters: byKeyPair, source: provider("key_pair.go"), handle: resources.getKeyPair },
  GetKeyPairs: {
    parameters: { ...pageToken, includeDefaultKeyPair: "yes-no" },
    source: model,
    handle: resources.getKeyPairs,
  },
  DeleteKeyPair: {
    parameters: { ...byKeyPair, expectedFingerprint: "text" },
    resource: "keyPairName",
    source: provider("key_pair.go"),
    handle: resources.deleteKeyPair,
  },
  AllocateStaticIp: { parameters: byStaticIp, source: provider("static_ip.go"), handle: resources.allocateStaticIp },
  GetStaticIp: { parameters: byStaticIp, source: provider("static_ip.go"), handle: resources.getStaticIp },
  GetStaticIps: { parameters: pageToken, source: model, handle: resources.getStaticIps },
  ReleaseStaticIp: { parameters: byStaticIp, source: provider("static_ip.go"), handle: resources.releaseStaticIp },
  AttachStaticIp: {
    parameters: { ...byStaticIp, ...byInstance },
    source: provider("static_ip_attachment.go"),
    handle: resources.attachStaticIp,
  },
  DetachStaticIp: {
    parameters: byStaticIp,
    source: provider("static_ip_attachment.go"),
    handle: resources.detachStaticIp,
  },
  TagResource: {
    parameters: { "resourceName!": "text", resourceArn: "text", "tags!": "objects" },
    resource: "resourceName",
    source: provider("tags_gen.go"),
    handle: resources.tagResource,
  },
  UntagResource: {
    parameters: { "resourceName!": "text", resourceArn: "text", "tagKeys!": "texts" },
    resource: "resourceName",
    source: provider("tags_gen.go"),
    handle: resources.untagResource,
  },
  EnableAddOn: {
    parameters: { "resourceName!": "text", "addOnRequest!": "object" },
    resource: "resourceName",
    source: provider("instance.go"),
    handle: resources.changeAddOn("EnableAddOn"),
  },
  DisableAddOn: {
    parameters: { "resourceName!": "text", "addOnType!": "text" },
    resource: "resourceName",
    source: provider("instance.go"),
    handle: resources.changeAddOn("DisableAddOn"),
  },
  SetIpAddressType: {
    parameters: {
      "resourceType!": "text",
      "resourceName!": "text",
      "ipAddressType!": "text",
      acceptBundleUpdate: "yes-no",
    },
    resource: "resourceName",
    source: provider("instance.go"),
    handle: resources.setIpAddressType,
  },
  GetOperation: {
    parameters: { "operationId!": "text" },
    source: provider("wait.go"),
    handle: resources.getOperation,
  },
  GetOperations: { parameters: pageToken, source: model, handle: resources.getOperations },
};

/** The table for the documentation, by name. */
export function actionsMarkdown(): string {
  const rows = Object.entries(actions)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { parameters, source }]) => {
      const named = Object.keys(parameters).map((parameter) => `\`${parameter.replace("!", "")}\``);
      return `| ${name} | ${named.join(", ")} | ${source} |`;
    });
  return ["| action | parameters | source |", "|---|---|---|", ...rows].join("\n");
}
