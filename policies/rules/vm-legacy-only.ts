import { resourceRule } from "../rule.ts";
import { namesSchema } from "../topics.ts";

/** VMs by the resource type that is finished. */
export default resourceRule({
  name: "vm-legacy-only",
  description: "VMs are declared as VmLegacy, never as Vm.",
  reason: "The provider's maker says not to use Vm yet: it lacks fields, and its state cannot be carried over.",
  fix: "Declare the VM as VmLegacy, or better through ProxmoxGuest.",
  config: {
    defaults: {
      forbiddenTypes: [
        "proxmoxve:index/vm:Vm",
        "proxmoxve:index/vm2Legacy:Vm2Legacy",
        "proxmoxve:cloned/vm:Vm",
        "proxmoxve:cloned/vmLegacy:VmLegacy",
      ],
    },
    schema: { forbiddenTypes: namesSchema("Resource types that may not be used.") },
  },
  check: (resource, config) =>
    config.forbiddenTypes.includes(resource.type) ? [`${resource.name} is of type ${resource.type}.`] : [],
});
