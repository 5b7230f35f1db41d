import assert from "node:assert/strict";
import { projectRoot } from "../../cli/setup/paths.ts";
import { faultsOf, importFaults, importsOf, lengthFaults } from "../run/check/imports.ts";

describe("direction of imports", () => {
  const forbidden: readonly (readonly [string, string])[] = [
    ["components/shared/cpu.ts", "@pulumi/pulumi"],
    ["components/shared/cpu.ts", "@muhlba91/pulumi-proxmoxve"],
    ["components/shared/cpu.ts", "node:fs"],
    ["components/shared/cpu.ts", "node:fs/promises"],
    ["components/shared/cpu.ts", "node:net"],
    ["components/shared/cpu.ts", "node:http"],
    ["components/shared/cpu.ts", "node:child_process"],
    ["components/shared/cpu.ts", "../proxmox/guest.ts"],
    ["components/proxmox/guest.ts", "../../stacks/genesis.ts"],
    ["components/proxmox/guest.ts", "../../lab/proxmox/server.ts"],
    ["stacks/genesis.ts", "../cli/main.ts"],
    ["policies/rules/gpu-owner.ts", "../../stacks/genesis.ts"],
    ["policies/rules/gpu-owner.ts", "../../runtime-agent/src/shared/x.ts"],
    ["lab/proxmox/server.ts", "../../components/proxmox/guest.ts"],
    ["lab/proxmox/server.ts", "../../cli/setup/paths.ts"],
    ["cli/main.ts", "../test/support/world.ts"],
    ["lab/page/page.ts", "../../test/support/world.ts"],
  ];
  for (const [file, name] of forbidden)
    it(`refuses ${name} in ${file}`, () => assert.notDeepEqual(faultsOf(file, [name]), []));

  const allowed: readonly (readonly [string, string])[] = [
    ["components/shared/cpu.ts", "./faults.ts"],
    ["components/shared/cpu.ts", "node:util"],
    ["components/proxmox/guest.ts", "../shared/faults.ts"],
    ["components/proxmox/guest.ts", "@pulumi/pulumi"],
    ["stacks/genesis.ts", "../components/index.ts"],
    ["cli/main.ts", "../stacks/genesis.ts"],
    ["lab/proxmox/server.ts", "../../components/shared/machines.ts"],
    ["policies/rules/gpu-owner.ts", "../../components/shared/machines.ts"],
    ["test/unit/x.test.ts", "../../lab/proxmox/server.ts"],
  ];
  for (const [file, name] of allowed)
    it(`allows ${name} in ${file}`, () => assert.deepEqual(faultsOf(file, [name]), []));

  it("sees every way of importing", () => {
    const text = `import a from "./a.ts"; import type { B } from "./b.ts"; export * from "./c.ts"; await import("./d.ts"); import "./e.ts";`;
    assert.deepEqual(importsOf(text).sort(), ["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });

  it("holds in the whole tree", async () => assert.deepEqual(await importFaults(projectRoot), []));
  it("no file is longer than it may be", async () => assert.deepEqual(await lengthFaults(projectRoot), []));
});
