import { containerType, vmType } from "../estate.ts";
import { at, booleanAt, isKnown, keysOf, listAt, stringAt, unknownYet } from "../facts.ts";
import { resourceRule } from "../rule.ts";

/** Nothing on a guest's resource that the API token may not set. */
export default resourceRule({
  name: "root-field-declared",
  description: "A guest's resource sets nothing that only root@pam may set.",
  reason:
    "Guests are made with an API token; Proxmox answers it with 403 half-way through an update, root's own token included.",
  fix: "Give the field to the guest's root step (ProxmoxGuest's affinity and hugepages), and devices as resource mappings.",
  config: { defaults: {}, schema: {} },
  check: (resource) => {
    const fields =
      resource.type === vmType
        ? vmFields(resource.props)
        : resource.type === containerType
          ? containerFields(resource.props)
          : [];
    // A field that is ignored holds what the root step set and the last refresh read: the token never sends it.
    const declared = fields.filter((field) => !resource.opts.ignoreChanges.includes(field));
    return declared.map((field) => `${resource.name} sets ${field}, which only root@pam may do.`);
  },
});

// qemu-server, PVE/API2/Qemu.pm: `check_vm_modify_config_perm`, `check_usb_perm`, `check_hostpci_perm`.
function vmFields(props: unknown): readonly string[] {
  const texts: readonly (readonly string[])[] = [
    ["cpu", "affinity"],
    ["memory", "hugepages"],
    ["hookScriptFileId"],
    ["kvmArguments"],
  ];
  return [
    ...texts.filter((path) => isSet(at(props, ...path))).map((path) => path.join(".")),
    ...(booleanAt(props, "memory", "keepHugepages") === true ? ["memory.keepHugepages"] : []),
    ...each(props, "hostpcis", (device) => (isSet(stringAt(device, "id")) ? "id" : undefined)),
    ...each(props, "usbs", (device) => {
      const host = stringAt(device, "host");
      return isSet(host) && host !== "spice" ? "host" : undefined;
    }),
    ...each(props, "serialDevices", (device) => {
      const port = stringAt(device, "device");
      return isSet(port) && port !== "socket" ? "device" : undefined;
    }),
  ];
}

// pve-container, PVE/LXC.pm: `check_ct_modify_config_perm`.
function containerFields(props: unknown): readonly string[] {
  const features = at(props, "features");
  return [
    ...(isSet(at(props, "hookScriptFileId")) ? ["hookScriptFileId"] : []),
    ...keysOf(features)
      // `__defaults` is the provider bridge's own note of what nobody set.
      .filter((name) => name !== "nesting" && name !== "__defaults" && enabled(at(features, name)))
      .map((name) => `features.${name}`),
    ...each(props, "devicePassthroughs", (device) => (isSet(at(device, "path")) ? "path" : undefined)),
    ...each(props, "idmaps", () => "idmap"),
    ...each(props, "mountPoints", (mount) => {
      const volume = stringAt(mount, "volume");
      return isKnown(volume) && volume.startsWith("/") ? "volume" : undefined;
    }),
  ];
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== unknownYet && value !== "";
}

function enabled(value: unknown): boolean {
  return value === true || (Array.isArray(value) && value.length > 0);
}

/** Paths of the elements of a list in which `field` names a root-only field. */
function each(props: unknown, list: string, field: (element: unknown) => string | undefined): readonly string[] {
  const elements = listAt(props, list);
  if (!isKnown(elements)) return [];
  return elements.flatMap((element, index) => {
    const name = element === unknownYet ? undefined : field(element);
    return name === undefined ? [] : [`${list}[${String(index)}].${name}`];
  });
}
