import assert from "node:assert/strict";
import { confirmLoss, losses } from "../../cli/commands/loss.ts";
import { mayCreateStack } from "../../cli/commands/context.ts";
import { type Step, noProgress } from "../../cli/engine/progress.ts";
import { engineEnvironment } from "../../cli/targets/environment.ts";

const urn = (types: string, name: string): string => `urn:pulumi:genesis::hive::${types}::${name}`;
const vm = (name: string): string => urn("hive:index:ProxmoxGuest$proxmoxve:index/vmLegacy:VmLegacy", name);

describe("an update of a real host", () => {
  it("names each object that it deletes or replaces once, and no other", () => {
    const steps: Step[] = [
      { op: "create", urn: vm("new") },
      { op: "update", urn: vm("changed") },
      { op: "same", urn: vm("same") },
      { op: "refresh", urn: vm("read") },
      { op: "delete", urn: vm("gone") },
      { op: "create-replacement", urn: vm("again") },
      { op: "replace", urn: vm("again") },
      { op: "delete-replaced", urn: vm("again") },
      { op: "delete", urn: urn("hive:index:ProxmoxGuest", "component") },
      { op: "delete", urn: urn("command:remote:Command", "step") },
    ];
    assert.deepEqual(losses(steps), [vm("gone"), vm("again"), urn("command:remote:Command", "step")]);
  });

  it("is previewed even with --yes, so that a rule about the whole stack stops it; the lab's is not", async () => {
    const policy = { policy: "trading-cores-physical", level: "mandatory", resource: "trading", message: "" } as const;
    const ran: string[] = [];
    const session = (kind: "lab" | "real") => ({
      target: { kind, project: "hive", stack: "genesis", workDir: "/", env: {} },
      run: (operation: string) => {
        ran.push(`${kind} ${operation}`);
        return Promise.resolve({ succeeded: false, progress: { ...noProgress, policies: [policy] }, events: [] });
      },
    });
    await assert.rejects(confirmLoss({ yes: true }, session("real")), /1 mandatory policy violation/);
    await confirmLoss({ yes: true }, session("lab"));
    assert.deepEqual(ran, ["real preview"]);
  });

  it("makes a stack only by up, start and adopt; on the lab every command does", () => {
    for (const command of ["doctor", "preview", "outputs", "review", "destroy", "repair"]) {
      assert.equal(mayCreateStack({ command, target: "real" }, "genesis"), false, command);
      assert.equal(mayCreateStack({ command, target: "lab" }, "genesis"), true, command);
    }
    for (const command of ["up", "start", "adopt"])
      assert.equal(mayCreateStack({ command, target: "real" }, "genesis"), true);
  });

  it("uses the user's login to the backend, never the set-up's", () => {
    const toolchain = { PATH: "/cache/bin", PULUMI_HOME: "/cache/pulumi-home" };
    const home = (kind: "lab" | "real", env: Record<string, string>): string | undefined =>
      engineEnvironment({ kind, env }, toolchain, "/home/u")["PULUMI_HOME"];
    assert.equal(home("real", {}), "/home/u/.pulumi");
    assert.equal(home("real", { PULUMI_HOME: "/elsewhere" }), "/elsewhere");
    assert.equal(home("lab", { PULUMI_HOME: "/lab/pulumi-home" }), "/lab/pulumi-home");
    assert.equal(engineEnvironment({ kind: "real", env: { PATH: "/bin" } }, toolchain, "/h")["PATH"], "/cache/bin");
  });
});
