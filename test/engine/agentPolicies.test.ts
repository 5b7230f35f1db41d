// The policy pack on real HeavyAgent and Sentinel components, in previews by the real engine: sound stacks pass, and of
// each that somebody bent behind the components' own checks the rule is named.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { type EngineEvent, LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import { analyzerScript } from "../../cli/setup/scripts.ts";
import { publicKeyOf } from "../../components/shared/sshKey.ts";
import { formatUtc } from "../../components/shared/vps/utc.ts";
import { entryPointOf, HeavyAgent, packSources, Sentinel, type HeavyAgentArgs } from "../../components/vps/index.ts";
import { startAws, type RunningAws } from "../../lab/aws/index.ts";
import { ensureKeyPair } from "../../lab/host/keys.ts";
import { Ports } from "../../lab/host/ports.ts";
import { Uplink } from "../../lab/host/uplink.ts";
import { skip } from "../run/skip.ts";
import { findEngine } from "../support/engine.ts";
import { fakeHeavyAgent, fakeRunner } from "../support/throwawayAgent.ts";
import { sshKeyPair } from "../support/vpsSettings.ts";

const pack = fileURLToPath(new URL("../../policies", import.meta.url));
const entryOf = (name: string): string =>
  fileURLToPath(new URL(`../../lab/providers/${name}/main.ts`, import.meta.url));
const sentinelAddress = "192.0.2.77";

interface Outcome {
  readonly succeeded: boolean;
  readonly text: string;
  /** Whose resource broke which rule, `<agent>: <rule>`; of the stack as a whole, `hive`. */
  readonly found: readonly string[];
}

/** Changes the properties of every resource of one type, as a person's own transformation can. */
function bent(bentType: string, change: Readonly<Record<string, unknown>>): pulumi.ResourceTransform {
  return ({ type, props, opts }) => (type === bentType ? { props: { ...props, ...change }, opts } : undefined);
}

describe("the policy pack on agents' own stacks", function () {
  this.timeout(300_000);
  let folder = "";
  let aws: RunningAws;
  let uplink: Uplink;
  let common: Omit<HeavyAgentArgs, "name" | "publicKey" | "privateKey">;
  let preview: (program: () => void, config?: Readonly<Record<string, unknown>>) => Promise<Outcome>;

  before(async function () {
    const engine = findEngine();
    if ("missing" in engine) skip(this, engine.missing);
    folder = mkdtempSync(join(tmpdir(), "agent-policies-"));
    for (const name of ["bin", "backend"]) mkdirSync(join(folder, name));
    const { publicKey: labPublicKey } = ensureKeyPair(join(folder, "keys"), "client");
    uplink = new Uplink(undefined, { open: [], reach: [] });
    aws = await startAws({
      machines: { stateDir: folder, ports: new Ports(folder), labPublicKey, uplink },
      network: undefined,
      delayMs: 0,
      onServers: () => undefined,
    });
    const program = (name: string, text: string): void => {
      writeFileSync(join(folder, "bin", name), text);
      chmodSync(join(folder, "bin", name), 0o755);
    };
    for (const name of ["aws", "command"])
      program(`pulumi-resource-${name}`, `#!/bin/sh\nexec '${process.execPath}' '${entryOf(name)}' "$@"\n`);
    program("pulumi-analyzer-policy-nodejs", analyzerScript(process.execPath));
    common = commonArgs(folder);
    const command = await PulumiCommand.get({ root: join(engine.folder, ".."), skipVersionCheck: true });
    const env = {
      PATH: [join(folder, "bin"), engine.folder, process.env["PATH"] ?? ""].join(delimiter),
      PULUMI_CONFIG_PASSPHRASE: "t",
      PULUMI_HOME: join(folder, "home"),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      AWS_ENDPOINT_URL_LIGHTSAIL: aws.url,
      AWS_REGION: aws.region,
      AWS_ACCESS_KEY_ID: aws.admin.accessKeyId,
      AWS_SECRET_ACCESS_KEY: aws.admin.secretAccessKey,
    };
    preview = async (declare, config = {}) => {
      const configFile = join(folder, "policies.json");
      writeFileSync(configFile, JSON.stringify(config));
      const stack = await LocalWorkspace.createOrSelectStack(
        {
          stackName: "agent-x",
          projectName: "hive",
          program: () => {
            declare();
            return Promise.resolve();
          },
        },
        {
          workDir: folder,
          pulumiCommand: command,
          projectSettings: { name: "hive", runtime: "nodejs", backend: { url: `file://${join(folder, "backend")}` } },
          secretsProvider: "passphrase",
          envVars: env,
        },
      );
      const events: EngineEvent[] = [];
      const onEvent = (event: EngineEvent): void => void events.push(event);
      const outcome = await stack.preview({ policyPacks: [pack], policyPackConfigs: [configFile], onEvent }).then(
        ({ stdout }) => ({ succeeded: true, text: stdout }),
        (error: unknown) => ({ succeeded: false, text: String(error) }),
      );
      const found = events.flatMap(({ policyEvent }) =>
        policyEvent === undefined
          ? []
          : [`${/::(\w+)[^:]*$/.exec(policyEvent.resourceUrn ?? "")?.[1] ?? ""}: ${policyEvent.policyName}`],
      );
      return { ...outcome, found: [...new Set(found)].toSorted() };
    };
  });
  after(async () => {
    if (folder === "") return;
    await aws?.close();
    await uplink?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A heavy agent of its own name and key. */
  function agent(name: string, opts: pulumi.ComponentResourceOptions = {}, more: Partial<HeavyAgentArgs> = {}): void {
    new HeavyAgent(name, { ...common, name, ...keyFor(`agent-${name}`), ...more }, opts);
  }

  function sentinel(): Sentinel {
    const { place, budget, release, adminCidrs } = common;
    return new Sentinel("sentinel", {
      ...{ place, budget, release, adminCidrs, ...keyFor("sentinel") },
      config: { version: 1, role: "sentinel" },
      deadManUrl: pulumi.secret("https://example.invalid/ping"),
      connect: { host: sentinelAddress },
    });
  }

  it("lets a heavy agent and a Sentinel pass as they are", async () => {
    const outcome = await preview(() => {
      sentinel();
      agent("x");
    });
    assert.deepEqual(outcome.found, [], outcome.text);
    assert.equal(outcome.succeeded, true, outcome.text);
  });

  it("stops those that somebody bent, each by its rule, with what to do, and finds nothing with another", async () => {
    const instance = "aws:lightsail/instance:Instance";
    const ports = "aws:lightsail/instancePublicPorts:InstancePublicPorts";
    const everywhere = [{ fromPort: 0, toPort: 65_535, protocol: "tcp", cidrs: ["0.0.0.0/0"] }];
    const shield: pulumi.ResourceTransform = ({ type, props, opts }) =>
      type === instance ? { props, opts: { ...opts, protect: true } } : undefined;
    const { succeeded, found, text } = await preview(
      () => {
        agent("sound");
        agent("endless", { transforms: [bent(instance, { tags: { "hive:throwaway": "true" } })] });
        agent("shielded", { transforms: [shield] });
        agent("small", { transforms: [bent(instance, { bundleId: "nano_3_0" })] });
        agent("open", { transforms: [bent(ports, { portInfos: everywhere })] });
        agent("borrower", {}, keyFor("agent-sound"));
        agent("guest", { parent: sentinel() });
      },
      { "server-budget": { centsPerMonth: 5000 } },
    );
    assert.equal(succeeded, false, text);
    assert.deepEqual(found, [
      "borrower: server-key-own",
      "endless: server-expires",
      "guest: sentinel-no-agent",
      "hive: server-budget",
      "open: server-ports-closed",
      "shielded: throwaway-unprotected",
      "small: server-size-fits",
    ]);
    for (const rule of found.map((one) => one.replace(/^.*: /, "")))
      assert.match(text, new RegExp(`${rule}[^]*Why: [^]*Fix: `));
  });
});

/** What agents have in common; the sources and the release are a few kilobytes. */
function commonArgs(folder: string): Omit<HeavyAgentArgs, "name" | "publicKey" | "privateKey"> {
  const runner = fakeRunner(folder);
  const packed = packSources(
    [{ path: "run", kind: "file", executable: true, content: Buffer.from(fakeHeavyAgent) }],
    entryPointOf("x", undefined),
  );
  assert.ok(packed.ok);
  const path = join(folder, "x.tar");
  writeFileSync(path, packed.value.tar);
  return {
    ...{ kind: "browser-light", created: formatUtc(Math.floor(Date.now() / 1000) - 60), ttlSec: 86_400 },
    mode: { mode: "job" },
    ...{ estate: "hive", sentinel: { host: sentinelAddress, port: 8944 } },
    adminCidrs: ["203.0.113.7"],
    sources: { path, sha256: packed.value.sha256 },
    release: { tarball: runner.path, sha256: runner.release.sha256, version: runner.release.version },
    place: { provider: "lightsail", zone: "us-east-1a" },
    budget: { centsPerMonth: 5000 },
    registrationKey: pulumi.secret("0".repeat(64)),
  };
}

/** An SSH key as `hive agent new` makes it: named for its stack. */
function keyFor(stack: string): { readonly publicKey: string; readonly privateKey: pulumi.Output<string> } {
  const { privateKey } = sshKeyPair("-C", stack);
  return { publicKey: publicKeyOf(privateKey) ?? "", privateKey: pulumi.secret(privateKey) };
}
