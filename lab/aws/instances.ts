// Instances: how they are told, made, and taken away.
import { blueprints, bundles, userNameOf } from "./catalog.ts";
import { arnOf, checkNewName, instanceOf, locationOf, operation, settled, tagsOf } from "./context.ts";
import type { Context } from "./context.ts";
import { AwsError, invalid } from "./errors.ts";
import type { Instance, PortInfo } from "./state.ts";

const stateCodes = { pending: 0, running: 16, stopping: 64, stopped: 80 } as const;
/** Days of a month's transfer and the rest of what nobody here counts. */
const defaultKeyPair = "LightsailDefaultKeyPair";

/** Open on a new Linux server: user guide, "Instance firewalls". */
const openAtFirst = [22, 80].map((port): PortInfo => ({
  ...{ fromPort: port, toPort: port, protocol: "tcp", cidrs: ["0.0.0.0/0"], ipv6Cidrs: ["::/0"], cidrListAliases: [] },
}));

export function toldInstance(instance: Instance, attached: boolean): object {
  const bundle = bundles.find((entry) => entry.bundleId === instance.bundleId);
  const blueprint = blueprints.find((entry) => entry.blueprintId === instance.blueprintId);
  return {
    ...{ name: instance.name, arn: arnOf("Instance", instance), supportCode: `${account}/i-${instance.number}` },
    ...{
      createdAt: instance.createdSec,
      location: locationOf(instance),
      resourceType: "Instance",
      tags: instance.tags,
    },
    ...{ blueprintId: instance.blueprintId, blueprintName: blueprint?.name, bundleId: instance.bundleId },
    ...{ addOns: instance.addOns, isStaticIp: attached, privateIpAddress: privateAddress(instance.number) },
    ...(instance.state === "stopped" && !attached ? {} : { publicIpAddress: instance.publicIp }),
    ...{ ipv6Addresses: [], ipAddressType: instance.ipAddressType },
    hardware: {
      cpuCount: bundle?.cpuCount,
      ramSizeInGb: bundle?.ramSizeInGb,
      disks: [{ sizeInGb: bundle?.diskSizeInGb, isSystemDisk: true, path: "/dev/xvda", state: "in-use" }],
    },
    networking: {
      monthlyTransfer: { gbPerMonthAllocated: bundle?.transferPerMonthInGb },
      ports: instance.ports.map((port) => ({ ...port, accessType: "Public", accessDirection: "inbound" })),
    },
    state: { code: stateCodes[instance.state], name: instance.state },
    ...{ username: userNameOf(instance.blueprintId), sshKeyName: instance.keyPairName },
  };
}

const account = "123456789012";

function privateAddress(number: number): string {
  return `172.26.${(number >> 8) & 255}.${number & 255}`;
}

export function isAttached({ store }: Context, name: string): boolean {
  return Object.values(store.state.staticIps).some((ip) => ip.attachedTo === name);
}

export function createInstances(context: Context): object {
  const { parameters, store, region, nowMs, delayMs } = context;
  const names = parameters.texts("instanceNames");
  const zone = parameters.text("availabilityZone");
  const bundle = bundles.find((entry) => entry.bundleId === parameters.text("bundleId"));
  const blueprint = blueprints.find((entry) => entry.blueprintId === parameters.text("blueprintId"));
  const keyPairName = parameters.text("keyPairName");
  const keyPair = store.state.keyPairs[keyPairName];
  const addressing = parameters.text("ipAddressType") || "dualstack";
  if (names.length === 0) invalid("instanceNames must not be empty");
  if (zone.slice(0, -1) !== region || !/[a-f]$/.test(zone)) invalid(`The Availability Zone is invalid: ${zone}`);
  if (bundle?.isActive !== true)
    invalid(`The bundle ID is invalid or no longer active: ${parameters.text("bundleId")}`);
  if (blueprint === undefined) invalid(`The blueprint ID is invalid: ${parameters.text("blueprintId")}`);
  if (keyPairName !== "" && keyPairName !== defaultKeyPair && keyPair === undefined)
    throw new AwsError("NotFoundException", `The KeyPair does not exist: ${keyPairName} (DoesNotExist)`);
  if (!["dualstack", "ipv4", "ipv6"].includes(addressing)) invalid(`ipAddressType is invalid: ${addressing}`);
  if (parameters.text("userData").length > 16 * 1024) invalid("userData is longer than 16 KB");
  for (const name of new Set(names)) checkNewName(context, name);
  const tags = tagsOf(parameters.objects("tags"));
  const operations = names.map((name) => {
    const number = store.count();
    store.state.instances[name] = {
      ...{ name, number, region, zone, createdSec: nowMs / 1000, bundleId: bundle.bundleId },
      ...{ blueprintId: blueprint.blueprintId, keyPairName: keyPairName || defaultKeyPair },
      ...{
        publicKey: keyPair?.publicKey ?? "",
        userData: parameters.text("userData"),
        ipAddressType: addressing,
        tags,
      },
      ...{ ports: structuredClone(openAtFirst), addOns: [], state: "pending", settlesMs: nowMs + delayMs },
      publicIp: context.newAddress(number),
    };
    return operation(context, "CreateInstance", { name, type: "Instance", zone });
  });
  return { operations };
}

export function listInstances(context: Context): object {
  const { store, region, nowMs, parameters } = context;
  const all = Object.values(store.state.instances)
    .filter((instance) => instance.region === region)
    .sort((a, b) => a.number - b.number);
  const [rows, next] = page(all, parameters.text("pageToken"));
  return {
    instances: rows.map((instance) => toldInstance(settled(instance, nowMs), isAttached(context, instance.name))),
    ...(next === undefined ? {} : { nextPageToken: next }),
  };
}

/** Rows on a page: the API reference names no number; a small one shows who forgets the next page. */
const pageSize = 50;

export function page<Row>(rows: readonly Row[], token: string): [readonly Row[], string | undefined] {
  if (token !== "" && !/^lab-\d{1,9}$/.test(token)) invalid("The page token is invalid");
  const from = token === "" ? 0 : Number(token.slice(4));
  const end = from + pageSize;
  return [rows.slice(from, end), end < rows.length ? `lab-${end}` : undefined];
}

export function deleteInstance(context: Context): object {
  const instance = instanceOf(context, context.parameters.text("instanceName"));
  const { name, zone } = instance;
  if (instance.addOns.some((addOn) => addOn.status === "Enabled") && !context.parameters.isYes("forceDeleteAddOns"))
    invalid(`${name} has enabled add-ons; disable them or set forceDeleteAddOns`);
  delete context.store.state.instances[name];
  for (const ip of Object.values(context.store.state.staticIps)) if (ip.attachedTo === name) ip.attachedTo = "";
  return { operations: [operation(context, "DeleteInstance", { name, type: "Instance", zone })] };
}

/** Starting, stopping and rebooting; a server that is not in the right state refuses. */
export function changePower(type: "StartInstance" | "StopInstance" | "RebootInstance"): (context: Context) => object {
  return (context) => {
    const instance = instanceOf(context, context.parameters.text("instanceName"));
    const { name, zone } = instance;
    const wanted = type === "StartInstance" ? "stopped" : "running";
    if (instance.state !== wanted)
      throw new AwsError("OperationFailureException", `${name} is ${instance.state}; ${type} needs it ${wanted}`);
    instance.state = type === "StopInstance" ? "stopping" : "pending";
    instance.settlesMs = context.nowMs + context.delayMs;
    return { operations: [operation(context, type, { name, type: "Instance", zone })] };
  };
}

export function readPort(row: Readonly<Record<string, unknown>>): PortInfo {
  const texts = (name: string): string[] => {
    const value = row[name];
    return Array.isArray(value) ? value.map(String) : [];
  };
  const protocol = String(row["protocol"] ?? "");
  const [fromPort, toPort] = [Number(row["fromPort"] ?? 0), Number(row["toPort"] ?? 0)];
  const inRange = [fromPort, toPort].every((port) => Number.isInteger(port) && port >= -1 && port <= 65_535);
  if (!["tcp", "udp", "icmp", "icmpv6", "all"].includes(protocol)) invalid(`The protocol is invalid: ${protocol}`);
  if (!inRange || fromPort > toPort) invalid(`The ports are invalid: ${fromPort} to ${toPort}`);
  const cidrs = texts("cidrs");
  const bad = cidrs.find((cidr) => !/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(cidr));
  if (bad !== undefined) invalid(`The CIDR is invalid: ${bad}`);
  const [ipv6Cidrs, cidrListAliases] = [texts("ipv6Cidrs"), texts("cidrListAliases")];
  const anyone = cidrs.length + ipv6Cidrs.length + cidrListAliases.length === 0;
  return { fromPort, toPort, protocol, cidrs: anyone ? ["0.0.0.0/0"] : cidrs, ipv6Cidrs, cidrListAliases };
}

export function changePorts(
  type: "PutInstancePublicPorts" | "OpenInstancePublicPorts" | "CloseInstancePublicPorts",
): (context: Context) => object {
  return (context) => {
    const { parameters } = context;
    const instance = instanceOf(context, parameters.text("instanceName"));
    const given = type === "PutInstancePublicPorts" ? parameters.objects("portInfos") : [parameters.object("portInfo")];
    const ports = given.map(readPort);
    const same = (a: PortInfo, b: PortInfo): boolean =>
      a.fromPort === b.fromPort && a.toPort === b.toPort && a.protocol === b.protocol;
    const kept =
      type === "PutInstancePublicPorts"
        ? []
        : instance.ports.filter((port) => !ports.some((other) => same(port, other)));
    instance.ports = type === "CloseInstancePublicPorts" ? kept : [...kept, ...ports];
    const { name, zone } = instance;
    return { operation: operation(context, type, { name, type: "Instance", zone }) };
  };
}

/** How an instance is entered, without the temporary login that Lightsail would make: the lab has no use for one. */
export function accessDetails(context: Context): object {
  const instance = instanceOf(context, context.parameters.text("instanceName"));
  const [algorithm = "", publicKey = ""] = (context.hostKeyOf(instance) ?? "").split(" ");
  const hostKeys = publicKey === "" ? [] : [{ algorithm, publicKey, witnessedAt: context.nowMs / 1000 }];
  const { name: instanceName, publicIp: ipAddress } = instance;
  return {
    accessDetails: { instanceName, ipAddress, protocol: "ssh", username: userNameOf(instance.blueprintId), hostKeys },
  };
}
