import * as lightsail from "@pulumi/aws/lightsail/index.js";
import * as pulumi from "@pulumi/pulumi";
import { regionOf } from "../shared/vps/lightsail.ts";
import type { MadeServer, PartsOf } from "./parts.ts";
import type { LightsailPlace } from "./place.ts";

/** Time of the daily snapshot, UTC; Lightsail keeps the last seven. */
const snapshotTime = "03:00";

/** A server at Lightsail: its own key, closed but for what was asked for, over IPv4 alone. */
export function lightsailServer(parts: PartsOf<LightsailPlace>): MadeServer {
  const { name, place, hostname, plan, parent } = parts;
  const { protect } = plan;
  const tags = { ...plan.tags.lightsail };
  // The zone says where, whatever region the provider was made for.
  const region = regionOf(place.zone);
  const where = region === undefined ? {} : { region };
  // Names are Lightsail's identities, each used once in a region whatever it names (terraform-provider-aws, PR 9008): the
  // old one must go before the new one can come.
  const options: pulumi.CustomResourceOptions = { parent, deleteBeforeReplace: true };
  const key = new lightsail.KeyPair(
    `${name}-key`,
    { name: `${hostname}-key`, publicKey: parts.publicKey, tags, ...where },
    options,
  );
  const instance = new lightsail.Instance(
    `${name}-instance`,
    {
      ...where,
      name: hostname,
      availabilityZone: place.zone,
      blueprintId: place.blueprint ?? "debian_12",
      bundleId: plan.offer.id,
      keyPairName: key.name,
      // No second door: the openings are IPv4 networks.
      ipAddressType: "ipv4",
      tags,
      ...(protect ? { addOn: { type: "AutoSnapshot", snapshotTime, status: "Enabled" } } : {}),
    },
    { ...options, protect },
  );
  const withIt: pulumi.CustomResourceOptions = { ...options, deletedWith: instance, replaceWith: [instance] };
  // What is not named here is closed, the ports 22 and 80 of a new server among it.
  const ports = new lightsail.InstancePublicPorts(
    `${name}-ports`,
    {
      ...where,
      instanceName: instance.name,
      portInfos: plan.openings.map(({ port, protocol, from }) => ({
        fromPort: port,
        toPort: port,
        protocol,
        cidrs: [...from],
      })),
    },
    withIt,
  );
  const { hostKeyOf } = place;
  const witnessed =
    hostKeyOf &&
    pulumi.all([instance.name, instance.createdAt]).apply(([name, createdAt]) => hostKeyOf(name, createdAt));
  const made = {
    ...{ machine: instance, serverId: instance.name, life: instance.createdAt },
    ...(witnessed === undefined ? {} : { witnessedKey: witnessed }),
  };
  if (!protect) return { ...made, ready: [ports], address: instance.publicIpAddress };
  const fixed = new lightsail.StaticIp(
    `${name}-address`,
    { ...where, name: `${hostname}-address` },
    { parent, protect },
  );
  const attached = new lightsail.StaticIpAttachment(
    `${name}-attachment`,
    { ...where, instanceName: instance.name, staticIpName: fixed.name },
    withIt,
  );
  // Through the attachment: before it the address leads nowhere.
  const address = pulumi.all([fixed.ipAddress, attached.id]).apply(([ip]) => ip);
  return { ...made, ready: [ports, attached], address };
}
