import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { actionsMarkdown } from "../../lab/aws/actions.ts";
import { startAws } from "../../lab/aws/index.ts";
import type { RunningAws } from "../../lab/aws/index.ts";
import { ensureKeyPair, generateKeyPair } from "../../lab/host/keys.ts";
import type { MachinesOptions } from "../../lab/host/machine.ts";
import { openNetwork } from "../../lab/host/network.ts";
import type { LabNetwork } from "../../lab/host/network.ts";
import { Ports } from "../../lab/host/ports.ts";
import { Uplink } from "../../lab/host/uplink.ts";
import { CallFailed, Lightsail } from "../../lab/providers/aws/client.ts";
import { reaperPolicy } from "../../components/shared/vps/reaperRights.ts";
import { lightsailHostKey } from "../../stacks/lightsailHostKey.ts";
import { skip } from "../run/skip.ts";
import { login, run } from "./host-client.ts";
import { eventually } from "./machine-scene.ts";

const table = join(import.meta.dirname, "../../docs/lab-aws-actions.md");
const head = `# Actions of the lab's AWS

Every action of Lightsail that the lab answers, its parameters, and where it was read. Any other is answered as an unknown
operation. Generated from the definitions (\`UPDATE_SNAPSHOTS=1 npm test -- --tier lab --grep "actions of the lab"\`).

`;

describe("the table of the actions of the lab's AWS", () => {
  it("is the one in the documentation", () => {
    const actual = `${head}${actionsMarkdown()}\n`;
    if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(table, actual);
    assert.equal(actual, readFileSync(table, "utf8"));
  });
});

describe("the lab's AWS", function () {
  this.timeout(120_000);
  let stateDir: string;
  let network: LabNetwork | undefined;
  let machines: MachinesOptions;
  let aws: RunningAws;
  const key = generateKeyPair();

  const start = (): Promise<RunningAws> => startAws({ machines, network, delayMs: 20, onServers: () => undefined });
  before(async () => {
    stateDir = mkdtempSync(join(tmpdir(), "lab-aws-"));
    const ports = new Ports(stateDir);
    network = await openNetwork(ports);
    const client = ensureKeyPair(join(stateDir, "keys"), "client");
    const uplink = new Uplink(network, { open: [], reach: [] });
    machines = { stateDir, ports, labPublicKey: client.publicKey, uplink };
    aws = await start();
  });
  after(async () => {
    await aws.close();
    await machines.uplink.close();
    await network?.close();
    rmSync(stateDir, { recursive: true, force: true });
  });
  afterEach(() => aws.faults.clear());

  const as = (credential: { accessKeyId: string; secretAccessKey: string }, region = "us-east-1"): Lightsail =>
    new Lightsail({ endpoint: new URL(aws.url), region, ...credential });
  const api = (): Lightsail => as(aws.admin);
  const instance = (name: string, more: object = {}): Record<string, unknown> => ({
    ...{ instanceNames: [name], availabilityZone: "us-east-1a", blueprintId: "debian_12", bundleId: "small_3_0" },
    ...more,
  });
  const refused = async (call: Promise<unknown>): Promise<string> => {
    const error: unknown = await call.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof CallFailed, String(error));
    return `${error.type}: ${error.message}`;
  };

  /** The host key as a stack's program asks for it. */
  const witnessed = async (name: string, createdMs: number): Promise<string> => {
    const wanted = { AWS_ENDPOINT_URL_LIGHTSAIL: aws.url, AWS_SHARED_CREDENTIALS_FILE: aws.credentialsFile };
    const before = Object.keys(wanted).map((key) => [key, process.env[key]] as const);
    Object.assign(process.env, wanted);
    try {
      return await lightsailHostKey("us-east-1", name, new Date(createdMs).toISOString());
    } finally {
      for (const [key, value] of before)
        if (value === undefined) delete process.env[key];
        else process.env[key] = value;
    }
  };

  it("takes signed requests alone, and knows each credential's rights", async () => {
    const unsigned = await fetch(aws.url, { method: "POST", body: "{}" });
    assert.deepEqual(
      [unsigned.status, Object(await unsigned.json()).__type],
      [403, "MissingAuthenticationTokenException"],
    );
    const stranger = as({ ...aws.admin, accessKeyId: "AKIAAAAAAAAAAAAAAAAA" });
    assert.match(await refused(stranger.call("GetInstances", {})), /^UnrecognizedClientException/);
    const guess = as({ ...aws.admin, secretAccessKey: "x".repeat(40) });
    assert.match(await refused(guess.call("GetInstances", {})), /^InvalidSignatureException/);
    assert.match(await refused(api().call("GetDistributions", {})), /^UnknownOperationException/);
    assert.match(await refused(api().call("GetBundles", { nonsense: 1 })), /nonsense/);
    const [see, remove] = reaperPolicy("lab").Statement;
    assert.deepEqual(
      aws.reaper.may.map(({ actions }) => actions.map((name) => `lightsail:${name}`)),
      [see?.Action, remove?.Action],
    );
    const wanted = { "hive:throwaway": "true", "hive:estate": "lab" };
    assert.deepEqual(aws.reaper.may[1]?.whenTagged, wanted);
    const bound = Object.entries(wanted).map(([key, value]) => [`aws:ResourceTag/${key}`, value]);
    assert.deepEqual(remove?.Condition, { StringEquals: Object.fromEntries(bound) });
  });

  it("refuses what Lightsail refuses before anything is made", async () => {
    const cases: [object, RegExp][] = [
      [{ bundleId: "small_2_0" }, /bundle/],
      [{ blueprintId: "windows_95" }, /blueprint/],
      [{ availabilityZone: "eu-west-3a" }, /Availability Zone/],
      [{ keyPairName: "none" }, /NotFoundException/],
      [{ instanceNames: ["a b"] }, /not a valid resource name/],
      [{ tags: [{ key: "aws:x", value: "" }] }, /reserved/],
      [{ instanceNames: "no-list" }, /SerializationException/],
    ];
    for (const [more, why] of cases)
      assert.match(await refused(api().call("CreateInstances", instance("faulty", more))), why);
    assert.deepEqual(await api().call("GetInstances", {}), { instances: [] });
    assert.match(await refused(api().call("GetInstance", { instanceName: "faulty" })), /NotFoundException/);
  });

  it("sells what the project's table says", async () => {
    const { bundles } = await api().call("GetBundles", {});
    const { readBundlesPage, knownBundles } = await import("../../components/shared/vps/lightsail.ts");
    const sold = readBundlesPage({ bundles })?.offers ?? [];
    const known = knownBundles("us-east-1").filter((offer) => sold.some(({ id }) => id === offer.id));
    assert.deepEqual(sold, known);
    assert.equal(sold.length, 7);
  });

  it("makes a machine that is logged in to and closed but for its firewall, and leaves nothing of it", async function () {
    await api().perform("ImportKeyPair", { keyPairName: "agent-key", publicKeyBase64: key.publicKey });
    const wanted = {
      keyPairName: "agent-key",
      userData: "echo launched >/root/launched",
      tags: [
        { key: "hive:throwaway", value: "true" },
        { key: "hive:estate", value: "lab" },
      ],
    };
    await api().perform("CreateInstances", instance("agent", wanted));
    assert.match(await refused(api().call("AllocateStaticIp", { staticIpName: "agent" })), /already in use: agent/);
    const [server] = await eventually(
      () => aws.servers.list(),
      (list) => list.length === 1,
    );
    assert.ok(server);
    const told = Object((await api().call("GetInstance", { instanceName: "agent" }))["instance"]);
    assert.deepEqual([told.state.name, told.username, told.hardware.ramSizeInGb], ["running", "admin", 2]);
    assert.equal(told.publicIpAddress, server.address);
    assert.equal(await witnessed("agent", Date.now()), server.hostPublicKey);
    if (server.limitation !== undefined) skip(this, server.limitation);
    if (network === undefined) skip(this, "no network of the lab's own could be had");
    const to = { port: server.port, privateKey: key.privateKey, user: "admin" };
    await eventually(
      () => run(to, "cat /root/launched; ls /var/lib/cloud/instance/boot-finished; sudo -n id -u"),
      ({ stdout }) => stdout === "launched\n/var/lib/cloud/instance/boot-finished\n0\n",
    );
    const ssh = network.sshPort;
    const portsOf = (): number[] => aws.servers.list()[0]?.open.map(({ port }) => port) ?? [];
    assert.deepEqual(portsOf(), [ssh]);
    await api().perform("PutInstancePublicPorts", {
      instanceName: "agent",
      portInfos: [{ fromPort: 8943, toPort: 8943, protocol: "tcp", cidrs: ["203.0.113.7/32"] }],
    });
    await eventually(portsOf, (open) => open.join() === "8943");
    await api().perform("AllocateStaticIp", { staticIpName: "agent-ip" });
    await api().perform("AttachStaticIp", { staticIpName: "agent-ip", instanceName: "agent" });
    const { staticIp } = await api().call("GetStaticIp", { staticIpName: "agent-ip" });
    await eventually(
      () => aws.servers.list()[0],
      (now) => now !== undefined && now.address === Object(staticIp).ipAddress && now.open[0]?.host === now.address,
    );
    await aws.close();
    aws = await start();
    assert.equal(aws.servers.list()[0]?.name, "agent", "a lab that comes back brings its servers");
    assert.equal(
      (await run({ ...to, port: aws.servers.list()[0]?.port ?? 0 }, "cat /root/launched")).stdout,
      "launched\n",
    );
    await as(aws.reaper).call("DeleteInstance", { instanceName: "agent" });
    await eventually(
      () => aws.servers.list().length,
      (count) => count === 0,
    );
    assert.equal(existsSync(join(stateDir, "roots/server-1")), false);
    await assert.rejects(login({ ...to, port: server.port }));
    await api().perform("ReleaseStaticIp", { staticIpName: "agent-ip" });
    await api().perform("DeleteKeyPair", { keyPairName: "agent-key" });
  });

  it("lets the reaper delete what carries the tag and nothing else", async () => {
    await api().perform("CreateInstances", instance("sentinel"));
    const reaper = as(aws.reaper);
    assert.match(await refused(reaper.call("DeleteInstance", { instanceName: "sentinel" })), /^AccessDeniedException/);
    assert.match(await refused(reaper.call("DeleteInstance", { instanceName: "not-there" })), /^AccessDeniedException/);
    assert.match(
      await refused(
        reaper.call("TagResource", { resourceName: "sentinel", tags: [{ key: "hive:throwaway", value: "true" }] }),
      ),
      /^AccessDeniedException/,
    );
    assert.equal(Object((await reaper.call("GetInstances", {}))["instances"]).length, 1);
    await api().perform("DeleteInstance", { instanceName: "sentinel" });
  });

  it("fails on demand, before the work or after it", async () => {
    aws.faults.add({ kind: "500", path: "CreateInstances", times: "3" });
    assert.match(await refused(api().call("CreateInstances", instance("fickle"))), /^ServiceException/);
    assert.deepEqual(await api().call("GetInstances", {}), { instances: [] });
    aws.faults.add({ kind: "drop", path: "CreateInstances", phase: "after" });
    // The answer was lost, the client asks again, and AWS has the instance already.
    assert.match(await refused(api().call("CreateInstances", instance("fickle"))), /already in use/);
    aws.faults.add({ kind: "slow-task", path: "DeleteInstance", delayMs: "100" });
    const said = await api().call("DeleteInstance", { instanceName: "fickle" });
    assert.equal(Object(said["operations"])[0].status, "Started");
  });
});
