/** Loaded before the command line (`node --import`): genesis then declares VM 401 without its tags, which a policy forbids. */
import type * as Pulumi from "@pulumi/pulumi";

if (process.argv[1]?.endsWith("cli/main.ts") === true) {
  const [{ stackPrograms }, pulumi] = await Promise.all([
    import("../../stacks/programs.ts"),
    import("@pulumi/pulumi") as Promise<typeof Pulumi>,
  ]);
  const genesis = stackPrograms["genesis"];
  Reflect.set(stackPrograms, "genesis", async () => {
    pulumi.runtime.registerStackTransformation(({ type, name, props, opts }) =>
      type === "proxmoxve:index/vmLegacy:VmLegacy" && name === "cortex-vm"
        ? { props: { ...props, tags: ["camera"] }, opts }
        : undefined,
    );
    return genesis?.() ?? {};
  });
}
