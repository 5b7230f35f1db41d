import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as lightsail from "@pulumi/aws/lightsail/index.js";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import type { Stack } from "@pulumi/pulumi/automation/index.js";
import { startAws } from "../../lab/aws/index.ts";
import type { RunningAws } from "../../lab/aws/index.ts";
import { ensureKeyPair, generateKeyPair } from "../../lab/host/keys.ts";
import { Ports } from "../../lab/host/ports.ts";
import { Uplink } from "../../lab/host/uplink.ts";
import { Lightsail, settingsFrom } from "../../lab/providers/aws/client.ts";
import { AwsProvider } from "../../lab/providers/aws/provider.ts";
import { types } from "../../lab/providers/aws/schema.ts";
import { skip } from "../run/skip.ts";

const enginePath = [...(process.env["PATH"] ?? "").split(delimiter), join(homedir(), ".cache/hive/bin")].find(
  (folder) => existsSync(join(folder, "pulumi")),
);
const entry = fileURLToPath(new URL("../../lab/providers/aws/main.ts", import.meta.url));
const secretValue = "canary-in-user-data-7c2e";

describe("lab AWS provider", function () {
  this.timeout(180_000);

  it("has the inputs and outputs of the published package", () => {
    for (const [token, { inputs, outputs }] of Object.entries(types)) {
      const [, file = ""] = /lightsail\/(\w+):/.exec(token) ?? [];
      const published = readFileSync(
        fileURLToPath(new URL(`../../node_modules/@pulumi/aws/lightsail/${file}.js`, import.meta.url)),
        "utf8",
      );
      const names = (pattern: RegExp): string[] => [...published.matchAll(pattern)].map(([, name = ""]) => name).sort();
      assert.deepEqual(Object.keys(inputs).sort(), names(/resourceInputs\["(\w+)"\] = args\?\./g), token);
      assert.deepEqual(Object.keys(outputs).sort(), names(/resourceInputs\["(\w+)"\] = undefined/g), token);
    }
  });

  it("names every fault at once", async () => {
    const provider = new AwsProvider(() => assert.fail("no call is needed"));
    const urn = "urn:pulumi:s::p::aws:lightsail/instance:Instance::x";
    const { failures = [] } = await provider.check(
      urn,
      {},
      { name: "a b", bundleId: 5, colour: "red", tags: { a: 1 } },
    );
    const named = failures.map(({ property }) => property).sort();
    assert.deepEqual(named, ["availabilityZone", "blueprintId", "bundleId", "colour", "name", "tags"]);
    const { inputs } = await provider.check(urn, {}, { availabilityZone: "a", blueprintId: "b", bundleId: "c" });
    assert.match(inputs.name, /^x-[0-9a-f]{7}$/);
  });

  it("takes its settings from AWS's own variables, and never goes to AWS itself", () => {
    const file = join(mkdtempSync(join(tmpdir(), "lab-aws-keys-")), "credentials");
    writeFileSync(
      file,
      "[other]\naws_access_key_id = O\n[reaper]\naws_access_key_id = K\naws_secret_access_key=a=/b\n\n[z]\n",
    );
    const env = {
      AWS_REGION: "r",
      AWS_ENDPOINT_URL_LIGHTSAIL: "http://127.0.0.1:1",
      AWS_SHARED_CREDENTIALS_FILE: file,
    };
    const read = settingsFrom({ ...env, AWS_PROFILE: "reaper" });
    assert.deepEqual([read.accessKeyId, read.secretAccessKey, read.endpoint.port], ["K", "a=/b", "1"]);
    assert.throws(() => settingsFrom({ ...env, AWS_PROFILE: "other" }), /no profile other with both keys/);
    assert.throws(() => settingsFrom({ AWS_REGION: "r", AWS_SHARED_CREDENTIALS_FILE: file }), /ENDPOINT_URL_LIGHTSAIL/);
    rmSync(join(file, ".."), { recursive: true });
  });

  describe("with the real engine", () => {
    let folder: string;
    let aws: RunningAws;
    let uplink: Uplink;
    const key = generateKeyPair();

    before(async function () {
      if (enginePath === undefined) skip(this, "no pulumi on PATH or in the cache");
      folder = mkdtempSync(join(tmpdir(), "lab-aws-engine-"));
      const ports = new Ports(folder);
      const { publicKey } = ensureKeyPair(join(folder, "keys"), "client");
      uplink = new Uplink(undefined, { open: [], reach: [] });
      const machines = { stateDir: folder, ports, labPublicKey: publicKey, uplink };
      aws = await startAws({ machines, network: undefined, delayMs: 20, onServers: () => undefined });
      for (const name of ["bin", "backend"]) mkdirSync(join(folder, name));
      const wrapper = join(folder, "bin", "pulumi-resource-aws");
      writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`);
      chmodSync(wrapper, 0o755);
    });
    after(async () => {
      if (folder === undefined) return;
      await aws.close();
      await uplink.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const stackOf = async (program: () => object): Promise<Stack> =>
      LocalWorkspace.createOrSelectStack(
        { stackName: "t", projectName: "p", program: () => Promise.resolve(Object(program())) },
        {
          workDir: folder,
          pulumiCommand: await PulumiCommand.get({ root: join(enginePath ?? "", ".."), skipVersionCheck: true }),
          projectSettings: { name: "p", runtime: "nodejs", backend: { url: `file://${join(folder, "backend")}` } },
          secretsProvider: "passphrase",
          envVars: {
            PATH: `${join(folder, "bin")}${delimiter}${enginePath}${delimiter}${process.env["PATH"] ?? ""}`,
            PULUMI_CONFIG_PASSPHRASE: "t",
            PULUMI_HOME: join(folder, "home"),
            PULUMI_SKIP_UPDATE_CHECK: "true",
            PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
            AWS_ENDPOINT_URL_LIGHTSAIL: aws.url,
            AWS_REGION: aws.region,
            AWS_SHARED_CREDENTIALS_FILE: aws.credentialsFile,
          },
        },
      );
    const program = (args: { tag: string; bundle?: string; port?: number }) => (): object => {
      const pair = new lightsail.KeyPair("key", { name: "agent-key", publicKey: key.publicKey });
      // The old rules' deletion closes ports that new rules would share: it comes first, at AWS too.
      const first = { deleteBeforeReplace: true };
      const instance = new lightsail.Instance(
        "agent",
        {
          ...{ name: "agent", availabilityZone: "us-east-1a", blueprintId: "debian_12" },
          ...{ bundleId: args.bundle ?? "small_3_0", keyPairName: pair.name, ipAddressType: "ipv4" },
          ...{ userData: pulumi.secret(`echo ${secretValue}`), tags: { "hive:throwaway": "true", mark: args.tag } },
          addOn: { type: "AutoSnapshot", snapshotTime: "03:00", status: "Enabled" },
        },
        first,
      );
      new lightsail.InstancePublicPorts(
        "ports",
        {
          instanceName: instance.name,
          portInfos: [22, args.port ?? 8943].map((port) => ({
            ...{ fromPort: port, toPort: port, protocol: "tcp", cidrs: ["203.0.113.7/32"] },
          })),
        },
        { ...first, deletedWith: instance, replaceWith: [instance] },
      );
      const address = new lightsail.StaticIp("address", { name: "agent-address" });
      new lightsail.StaticIpAttachment(
        "attachment",
        { instanceName: instance.name, staticIpName: address.name },
        { ...first, deletedWith: instance, replaceWith: [instance] },
      );
      return { ram: instance.ramSize, user: instance.username, fixed: address.ipAddress };
    };
    const api = (): Lightsail => new Lightsail({ ...aws.admin, endpoint: new URL(aws.url), region: aws.region });

    it("makes, rests, refreshes, retags, replaces, repairs and leaves nothing", async () => {
      const first = await (await stackOf(program({ tag: "one" }))).up();
      assert.deepEqual([first.outputs["ram"]?.value, first.outputs["user"]?.value], [2, "admin"]);
      let stack = await stackOf(program({ tag: "one" }));
      await stack.refresh();
      const again = await stack.up();
      assert.deepEqual(again.summary.resourceChanges, { same: 6 });
      const state = readFileSync(join(folder, "backend/.pulumi/stacks/p/t.json"), "utf8");
      assert.doesNotMatch(state, new RegExp(secretValue));
      stack = await stackOf(program({ tag: "two", port: 8944 }));
      const changed = (await stack.up()).summary.resourceChanges;
      assert.deepEqual([changed?.["update"], changed?.["replace"]], [1, 1]);
      const told = Object((await api().call("GetInstance", { instanceName: "agent" }))["instance"]);
      assert.deepEqual(told.tags.find((tag: { key: string }) => tag.key === "mark").value, "two");
      assert.deepEqual(told.networking.ports.map((port: { fromPort: number }) => port.fromPort).sort(), [22, 8944]);
      assert.equal(told.isStaticIp, true);
      // The provider fails half-way: the next run takes it from there.
      aws.faults.add({ kind: "500", path: "PutInstancePublicPorts", times: "3" });
      stack = await stackOf(program({ tag: "two", port: 8944, bundle: "medium_3_0" }));
      await assert.rejects(stack.up(), /PutInstancePublicPorts: ServiceException/);
      await stack.up();
      // Somebody deleted the server behind the stack's back.
      await api().perform("DeleteInstance", { instanceName: "agent", forceDeleteAddOns: true });
      await stack.refresh();
      await stack.up();
      assert.equal(Object((await api().call("GetInstances", {}))["instances"]).length, 1);
      await stack.destroy();
      for (const [action, rows] of [
        ["GetInstances", "instances"],
        ["GetKeyPairs", "keyPairs"],
        ["GetStaticIps", "staticIps"],
      ] as const)
        assert.deepEqual((await api().call(action, {}))[rows], [], action);
    });
  });
});
