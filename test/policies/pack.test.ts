import * as pulumi from "@pulumi/pulumi";
import { type EngineEvent, LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { analyzerScript } from "../../cli/setup/scripts.ts";
import { Host } from "../../components/index.ts";
import { smtTopology } from "../../components/shared/topology.ts";
import { findEngine } from "../support/engine.ts";
import { changed, soundEstate } from "./estateFixture.ts";
import type { FixtureResource } from "./runRule.ts";
import { lightsailAgent, proxmoxAgent, sentinel, withProps } from "./serverFixture.ts";
import { skip } from "../run/skip.ts";

const pack = fileURLToPath(new URL("../../policies", import.meta.url));

/** Stands for a provider's resource: the engine shows a component's inputs and outputs to policies in the same way. */
class Shown extends pulumi.ComponentResource {
  constructor({ type, name, props, protect }: FixtureResource, parent: pulumi.Resource | undefined) {
    super(type, name, props, { protect: protect ?? false, ...(parent === undefined ? {} : { parent }) });
    this.registerOutputs({ ...props });
  }
}

interface Outcome {
  readonly succeeded: boolean;
  readonly text: string;
  readonly policies: readonly NonNullable<EngineEvent["policyEvent"]>[];
}

describe("policy pack in the engine", function () {
  this.timeout(120_000);
  let folder = "";
  let command: PulumiCommand;
  let path = "";

  before(async function () {
    const engine = findEngine();
    if ("missing" in engine) skip(this, engine.missing);
    folder = await mkdtemp(join(tmpdir(), "hive-pack-"));
    const analyzer = join(folder, "pulumi-analyzer-policy-nodejs");
    await writeFile(analyzer, analyzerScript(process.execPath));
    await chmod(analyzer, 0o755);
    path = [folder, engine.folder, process.env["PATH"] ?? ""].join(delimiter);
    const own = process.env["PATH"];
    process.env["PATH"] = path;
    try {
      command = await PulumiCommand.get();
    } finally {
      process.env["PATH"] = own;
    }
  });

  after(async () => {
    if (folder !== "") await rm(folder, { recursive: true, force: true });
  });

  async function run(
    action: "preview" | "up",
    resources: readonly FixtureResource[],
    config: Readonly<Record<string, unknown>> = {},
    declare: () => void = () => undefined,
  ): Promise<Outcome> {
    const state = await mkdtemp(join(folder, "state-"));
    const configFile = join(state, "policies.json");
    await writeFile(configFile, JSON.stringify(config));
    const stack = await LocalWorkspace.createStack(
      {
        stackName: "test",
        projectName: "hive-pack-test",
        program: () => {
          declare();
          const made = new Map<string, pulumi.Resource>();
          for (const r of resources)
            made.set(r.name, new Shown(r, r.parent === undefined ? undefined : made.get(r.parent)));
          return Promise.resolve();
        },
      },
      {
        pulumiCommand: command,
        workDir: state,
        pulumiHome: join(state, "home"),
        envVars: {
          PATH: path,
          PULUMI_BACKEND_URL: `file://${state}`,
          PULUMI_CONFIG_PASSPHRASE: "test",
          PULUMI_SKIP_UPDATE_CHECK: "true",
        },
      },
    );
    const events: EngineEvent[] = [];
    const options = {
      policyPacks: [pack],
      policyPackConfigs: [configFile],
      onEvent: (event: EngineEvent) => {
        events.push(event);
      },
    };
    const outcome = await (action === "preview" ? stack.preview(options) : stack.up(options)).then(
      (result) => ({ succeeded: true, text: result.stdout }),
      (error: unknown) => ({ succeeded: false, text: String(error) }),
    );
    return { ...outcome, policies: events.flatMap((event) => event.policyEvent ?? []) };
  }

  it("lets the seed's estate pass", async () => {
    const { succeeded, text, policies } = await run("preview", soundEstate);
    assert.deepEqual(policies, [], text);
    assert.equal(succeeded, true, text);
  });

  it("stops a preview at a resource that breaks a mandatory rule, with reason and fix", async () => {
    const { succeeded, text, policies } = await run("preview", [
      { type: "proxmoxve:index/vm:Vm", name: "new", props: {} },
    ]);
    assert.equal(succeeded, false, text);
    assert.deepEqual(
      policies.map((p) => [p.policyName, p.enforcementLevel, p.resourceUrn?.split("::").at(-1)]),
      [["vm-legacy-only", "mandatory", "new"]],
    );
    assert.match(text, /Why: The provider's maker says/);
    assert.match(text, /Fix: Declare the VM as VmLegacy/);
  });

  it("stops a preview of a stack that breaks a mandatory rule", async () => {
    const variables = "HIVE_VMID='101'\nHIVE_AFFINITY='2-15'\n";
    const shared = changed(soundEstate, "council-root-command", (r) => ({ ...r, props: { create: variables } }));
    const { succeeded, text, policies } = await run("preview", shared);
    assert.equal(succeeded, false, text);
    assert.deepEqual([...new Set(policies.map((p) => p.policyName))], ["trading-ai-apart", "trading-cores-exclusive"]);
  });

  it("judges by the host that the stack declares, before the seed's", async () => {
    const topology = smtTopology({ sockets: 1, coresPerSocket: 16, threadsPerCore: 2, numbering: "adjacent" });
    const bridges = { lan: "vmbr0", private: "vmbr1", dmz: "vmbr9" };
    const { succeeded, text, policies } = await run("preview", soundEstate, {}, () => {
      new Host("host", { topology, ramMiB: 65_536, arcMiB: 4096, reservedMiB: 4096, bridges });
    });
    assert.equal(succeeded, false, text);
    // Siblings are neighbours there: its pins 1-2,17-18 leave 0, 3, 16 and 19 to others.
    assert.deepEqual([...new Set(policies.map((p) => p.policyName))].toSorted(), [
      "dmz-bridge-only",
      "memory-balloon-floors",
      "trading-ai-apart",
      "trading-cores-exclusive",
      "trading-cores-physical",
    ]);
  });

  it("stops an update too, and never prints a credential", async () => {
    const token = `ghp_${"aB3".repeat(12)}`;
    const script = { type: "command:remote:Command", name: "leak", props: { create: `deploy ${token}` } };
    const { succeeded, text, policies } = await run("up", [script]);
    assert.equal(succeeded, false, text);
    assert.equal(policies[0]?.policyName, "credential-input");
    assert.ok(!policies.some((policy) => policy.message.includes(token)));
  });

  it("lets the Sentinel and its agents pass, and stops a server without an end in preview and update", async () => {
    const agents = [...sentinel, ...lightsailAgent(), ...proxmoxAgent()];
    const sound = await run("preview", agents);
    assert.deepEqual(sound.policies, [], sound.text);
    assert.equal(sound.succeeded, true, sound.text);
    const endless = withProps(agents, "shopper-server-instance", { tags: { "hive:throwaway": "true" } });
    for (const action of ["preview", "up"] as const) {
      const { succeeded, text, policies } = await run(action, endless);
      assert.equal(succeeded, false, text);
      assert.deepEqual([...new Set(policies.map((p) => p.policyName))], ["server-expires"]);
    }
  });

  it("takes levels and settings from a configuration file", async () => {
    const worker = soundEstate.filter((r) => r.name.startsWith("worker-300"));
    const wrong = await run("preview", worker, { "guest-id-range": { workerIdMin: 310 } });
    assert.equal(wrong.succeeded, false, wrong.text);
    assert.match(wrong.text, /allowed for workers: 310 to 399/);
    const advised = await run("preview", worker, {
      "guest-id-range": { enforcementLevel: "advisory", workerIdMin: 310 },
    });
    assert.equal(advised.succeeded, true, advised.text);
    assert.deepEqual(
      advised.policies.map((p) => [p.policyName, p.enforcementLevel]),
      [["guest-id-range", "advisory"]],
    );
  });
});
