import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, PulumiCommand, type Stack } from "@pulumi/pulumi/automation/index.js";
import { entryPointOf, HeavyAgent, packSources, type HeavyAgentArgs } from "../../components/vps/index.ts";
import { formatUtc } from "../../components/shared/vps/utc.ts";
import { startAws, type RunningAws } from "../../lab/aws/index.ts";
import { ensureKeyPair, generateKeyPair } from "../../lab/host/keys.ts";
import { Ports } from "../../lab/host/ports.ts";
import { Uplink } from "../../lab/host/uplink.ts";
import { Lightsail } from "../../lab/providers/aws/client.ts";
import { skip } from "../run/skip.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { fakeHeavyAgent, fakeRunner } from "../support/throwawayAgent.ts";

const enginePath = [...(process.env["PATH"] ?? "").split(delimiter), join(homedir(), ".cache/hive/bin")].find(
  (folder) => existsSync(join(folder, "pulumi")),
);
const entryOf = (name: string): string =>
  fileURLToPath(new URL(`../../lab/providers/${name}/main.ts`, import.meta.url));

/** The life of a throwaway agent by the real engine, on the lab's AWS, whose servers run units. */
describe("a heavy agent's stack", function () {
  this.timeout(180_000);
  let folder = "";
  let aws: RunningAws;
  let uplink: Uplink;
  let stack: Stack;
  let args: HeavyAgentArgs;
  let limitation: string | undefined;
  const printed: string[] = [];
  const onOutput = (text: string): void => void printed.push(text);

  before(async function () {
    if (enginePath === undefined) skip(this, "no pulumi on PATH or in the cache");
    folder = mkdtempSync(join(tmpdir(), "throwaway-engine-"));
    const ports = new Ports(folder);
    // One server at a time, and always reached at the same port.
    const port = await freePort();
    for (const number of [1, 2, 3, 4, 5]) ports.remember(`server-${String(number)}`, port);
    const { publicKey: labPublicKey } = ensureKeyPair(join(folder, "keys"), "client");
    uplink = new Uplink(undefined, { open: [], reach: [] });
    aws = await startAws({
      machines: { stateDir: folder, ports, labPublicKey, uplink },
      network: undefined,
      delayMs: 20,
      onServers: () => {
        limitation ??= aws?.servers.list()[0]?.limitation;
      },
    });
    for (const name of ["bin", "backend"]) mkdirSync(join(folder, name));
    for (const name of ["aws", "command"]) {
      const wrapper = join(folder, "bin", `pulumi-resource-${name}`);
      writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${entryOf(name)}' "$@"\n`);
      chmodSync(wrapper, 0o755);
    }
    const runner = fakeRunner(folder);
    const packed = packSources(
      [{ path: "run", kind: "file", executable: true, content: Buffer.from(fakeHeavyAgent) }],
      entryPointOf("x", undefined),
    );
    assert.ok(packed.ok);
    const path = join(folder, "x.tar");
    writeFileSync(path, packed.value.tar);
    const { privateKey, publicKey } = generateKeyPair();
    args = {
      estate: "lab",
      name: "x",
      kind: "browser-light",
      created: formatUtc(Math.floor(Date.now() / 1000) - 60),
      ttlSec: 86_400,
      mode: { mode: "job" },
      // Nobody is there: the registration is the fake runner's word.
      sentinel: { host: "192.0.2.77", port: 8944 },
      adminCidrs: ["203.0.113.7"],
      sources: { path, sha256: packed.value.sha256 },
      release: { tarball: runner.path, sha256: runner.release.sha256, version: runner.release.version },
      place: { provider: "lightsail", zone: "us-east-1a" },
      budget: { centsPerMonth: 5000 },
      publicKey,
      privateKey: pulumi.secret(privateKey),
      connect: { host: "127.0.0.1", port },
      registrationKey: pulumi.secret("0".repeat(64)),
      registerSec: 30,
    };
    const program = (): Promise<Record<string, unknown>> => {
      const { address, serverId, expiresSec } = new HeavyAgent("agent", args);
      return Promise.resolve({ address, serverId, expiresSec });
    };
    stack = await LocalWorkspace.createOrSelectStack(
      { stackName: "agent-x", projectName: "hive", program },
      {
        workDir: folder,
        pulumiCommand: await PulumiCommand.get({ root: join(enginePath, ".."), skipVersionCheck: true }),
        projectSettings: { name: "hive", runtime: "nodejs", backend: { url: `file://${join(folder, "backend")}` } },
        secretsProvider: "passphrase",
        envVars: {
          PATH: [join(folder, "bin"), enginePath, process.env["PATH"] ?? ""].join(delimiter),
          PULUMI_CONFIG_PASSPHRASE: "t",
          PULUMI_HOME: join(folder, "home"),
          PULUMI_SKIP_UPDATE_CHECK: "true",
          PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
          SSH_AUTH_SOCK: "",
          AWS_ENDPOINT_URL_LIGHTSAIL: aws.url,
          AWS_REGION: aws.region,
          AWS_ACCESS_KEY_ID: aws.admin.accessKeyId,
          AWS_SECRET_ACCESS_KEY: aws.admin.secretAccessKey,
        },
      },
    );
  });
  after(async () => {
    if (folder === "") return;
    await aws.close();
    await uplink.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const api = (): Lightsail => new Lightsail({ ...aws.admin, endpoint: new URL(aws.url), region: aws.region });
  const resources = async (): Promise<number> => (await stack.exportStack()).deployment.resources?.length ?? 0;

  it("comes up with its price told, rests, moves to a larger server, is over, and goes with a farewell", async function () {
    const up = await stack.up({ onOutput }).catch((error: unknown) => {
      if (limitation !== undefined) skip(this, limitation);
      throw error;
    });
    assert.match(printed.join(""), /agent-x: small_3_0 at lightsail.* at most 12\.00 USD a month/);
    assert.equal(up.outputs["serverId"]?.value, "agent-x");
    const again = await stack.up({ onOutput });
    assert.deepEqual(Object.keys(again.summary.resourceChanges ?? {}), ["same"]);

    args = { ...args, size: "M", budget: { centsPerMonth: 1000 } };
    await assert.rejects(stack.up({ onOutput }), /budget is 10\.00 USD; allowed: at least 44\.00 USD a month/);
    args = { ...args, budget: { centsPerMonth: 5000 } };
    const larger = await stack.up({ onOutput });
    assert.ok((larger.summary.resourceChanges?.["replace"] ?? 0) > 0);
    assert.equal(aws.servers.list().length, 1);

    const { created } = args;
    args = { ...args, created: "2026-01-01T00:00:00Z" };
    await assert.rejects(stack.up({ onOutput }), /its time to live is over\. Renew it/);
    printed.length = 0;
    await stack.destroy({ onOutput });
    args = { ...args, created };
    assert.match(printed.join(""), /farewell said/);
    assert.deepEqual([aws.servers.list().length, await resources()], [0, 0]);
  });

  it("is destroyed when its server is gone already, with and without a look at it first", async function () {
    for (const refresh of [false, true]) {
      await stack.up({ onOutput }).catch((error: unknown) => {
        if (limitation !== undefined) skip(this, limitation);
        throw error;
      });
      await api().call("DeleteInstance", { instanceName: "agent-x" });
      printed.length = 0;
      await stack.destroy({ onOutput, refresh });
      assert.match(printed.join(""), /no farewell from 127\.0\.0\.1/);
      assert.equal(await resources(), 0);
    }
  });
});
