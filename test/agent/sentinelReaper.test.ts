import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { throwawayPool } from "../../components/shared/vps/reaperRights.ts";
import type { AwsCredentials } from "../../components/shared/vps/lightsailCall.ts";
import { lightsailTags, proxmoxTagList } from "../../components/shared/vps/tags.ts";
import { ensureCredentials } from "../../lab/aws/credentials.ts";
import { startEndpoint } from "../../lab/aws/server.ts";
import { AwsStore } from "../../lab/aws/state.ts";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import { lightsailServers, readAwsCredentials } from "../../runtime-agent/src/sentinel/reaper/lightsail.ts";
import { createFaults } from "../../lab/proxmox/shell/faults.ts";
import { openProviders } from "../../runtime-agent/src/sentinel/reaper/open.ts";
import { proxmoxServers } from "../../runtime-agent/src/sentinel/reaper/proxmox.ts";
import type { ServerProvider, ServerSeen } from "../../runtime-agent/src/sentinel/reaper/types.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { pveClient } from "../../runtime-agent/src/shared/proxmox/client.ts";
import { lab, rows, type LabClient } from "../support/lab-client.ts";
import { reaperToken } from "../support/reaperToken.ts";

const tags = { estate: "lab", agent: "ghost-shopper", expiresSec: 1_764_000_000 };
const reasonOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => JSON.stringify(value),
    (error: unknown) => String(error),
  );
const ids = (servers: readonly ServerSeen[]): string[] => servers.map(({ id }) => id).toSorted();

describe("Sentinel, reaper at Proxmox: a token that is limited to one pool", () => {
  let pve: RunningProxmox;
  let root: LabClient;
  let token = "";
  let servers: ServerProvider;
  const asRoot = { root: true };
  const words = (server = tags): string => proxmoxTagList(server).join(";");
  const run = (method: string, path: string, params: Record<string, string | number> = {}): Promise<string> =>
    root.run(method, path, params, asRoot);
  const exists = async (path: string): Promise<boolean> =>
    (await root.call("GET", `/nodes/pve/${path}/config`, {}, asRoot)).status === 200;
  const client = () =>
    pveClient({
      url: pve.url,
      token,
      trust: { fingerprint: new X509Certificate(ca).fingerprint256 },
      node: "pve",
      clock: realClock(),
      retryMs: 5,
    });
  let ca = "";

  before(async () => {
    ({ pve, client: root } = await lab());
    ca = await readFile(pve.caCertFile, "utf8");
    token = await reaperToken(root);
    await run("POST", "/nodes/pve/storage/local/download-url", {
      content: "vztmpl",
      filename: "x.tar.xz",
      url: "https://mirror.example/alpine-3.22-default_amd64.tar.xz",
      checksum: "a".repeat(64),
      "checksum-algorithm": "sha256",
    });
    servers = proxmoxServers(client(), token, throwawayPool);
  });
  after(async () => {
    servers.close();
    await pve.close();
  });

  const vm = (vmid: number, more: Record<string, string | number> = {}): Promise<string> =>
    run("POST", "/nodes/pve/qemu", { vmid, name: `agent-${String(vmid)}`, memory: 512, scsi0: "local-zfs:1", ...more });
  const container = (vmid: number, more: Record<string, string | number> = {}): Promise<string> =>
    run("POST", "/nodes/pve/lxc", {
      vmid,
      hostname: `agent-${String(vmid)}`,
      ostemplate: "local:vztmpl/x.tar.xz",
      rootfs: "local-zfs:1",
      ...more,
    });

  it("sees the guests of the pool that carry every tag, and names those that do not", async () => {
    await vm(800, { pool: throwawayPool, tags: words() });
    await container(801, { pool: throwawayPool, tags: words({ ...tags, agent: "pdf" }) });
    await vm(802, { pool: throwawayPool, tags: "hive-throwaway" });
    await vm(803, { tags: words() });
    const seen = await servers.look();
    assert.deepEqual(seen.strangers, [{ id: "802", why: "it lacks one of our tags" }]);
    assert.deepEqual(
      seen.servers.toSorted((a, b) => Number(a.id) - Number(b.id)),
      [
        { provider: "proxmox", id: "800", name: "agent-800", tags },
        { provider: "proxmox", id: "801", name: "agent-801", tags: { ...tags, agent: "pdf" } },
      ],
    );
  });

  it("deletes running guests with their disks, and says when one is gone already", async () => {
    for (const kind of ["qemu/800", "lxc/801"]) await run("POST", `/nodes/pve/${kind}/status/start`);
    for (const server of (await servers.look()).servers) assert.equal(await servers.remove(server), "deleted");
    assert.deepEqual([await exists("qemu/800"), await exists("lxc/801")], [false, false]);
    const content = rows((await root.call("GET", "/nodes/pve/storage/local-zfs/content", {}, asRoot)).data);
    assert.deepEqual(
      content.filter(({ volid }) => /80[01]/.test(String(volid))),
      [],
    );
    const gone: ServerSeen = { provider: "proxmox", id: "800", name: "x", tags };
    assert.equal(await servers.remove(gone), "gone");
  });

  it("touches no guest whose tags changed since, is protected, or is outside the pool", async () => {
    await vm(810, { pool: throwawayPool, tags: words() });
    const [seen] = (await servers.look()).servers;
    assert.ok(seen !== undefined);
    await run("PUT", "/nodes/pve/qemu/810/config", { tags: words({ ...tags, expiresSec: tags.expiresSec + 1 }) });
    assert.match(await reasonOf(servers.remove(seen)), /other tags by now/);
    await run("PUT", "/nodes/pve/qemu/810/config", { tags: words(), protection: 1 });
    assert.match(await reasonOf(servers.remove(seen)), /protection/);
    assert.equal(await servers.remove({ ...seen, id: "803" }), "gone", "it is not in the pool");
    assert.equal(await exists("qemu/803"), true);
    await run("PUT", "/nodes/pve/qemu/810/config", { protection: 0 });
    assert.equal(await servers.remove(seen), "deleted");
  });

  it("has a token that can do nothing else, even if it were asked to", async () => {
    const asReaper = { token };
    const refused = async (method: string, path: string, params = {}): Promise<number> =>
      (await root.call(method, path, params, asReaper)).status;
    assert.equal(await refused("DELETE", "/nodes/pve/qemu/803"), 403);
    assert.equal(await refused("GET", "/nodes/pve/qemu/803/config"), 403);
    assert.equal(await refused("PUT", "/nodes/pve/qemu/802/config", { tags: words() }), 403);
    assert.equal(await refused("PUT", "/pools", { poolid: throwawayPool, vms: "803" }), 403);
    assert.equal(
      await refused("POST", "/nodes/pve/qemu", { vmid: 804, pool: throwawayPool, scsi0: "local-zfs:1" }),
      403,
    );
    const listed = rows((await root.call("GET", "/nodes/pve/qemu", {}, asReaper)).data);
    assert.deepEqual(
      listed.map(({ vmid }) => vmid),
      [802],
    );
  });

  it("gives no half view: a failing call fails the look", async () => {
    await vm(820, { pool: throwawayPool, tags: words() });
    await root.call("POST", "/lab/faults", { kind: "500", path: "/qemu/820/config", times: "9" }, asRoot);
    assert.match(await reasonOf(servers.look()), /PveError/);
    await root.call("DELETE", "/lab/faults", {}, asRoot);
    assert.deepEqual(ids((await servers.look()).servers), ["820"]);
    const other = proxmoxServers(client(), token, "no-such-pool");
    assert.match(await reasonOf(other.look()), /PveError/);
    other.close();
  });

  it("is not used as soon as it may do more than delete what is in its pool", async () => {
    const acl = (path: string, remove: 0 | 1, roles = "HiveReaper"): Promise<string> =>
      run("PUT", "/access/acl", { path, users: "reaper@pve", roles, delete: remove });
    for (const path of ["/", "/vms/803", "/nodes/pve"]) {
      await acl(path, 0);
      const refused = await reasonOf(servers.look());
      assert.match(refused, new RegExp(`reaper@pve!sentinel may do more .* on ${path}[ ;.].*pveum acl`), path);
      assert.ok(!refused.includes(token.split("=")[1] ?? token));
      await acl(path, 1);
    }
    await acl(`/pool/${throwawayPool}`, 0, "PVEVMAdmin");
    assert.match(await reasonOf(servers.look()), /VM\.Config\.Disk.* on \/pool\/hive-throwaway/);
    await acl(`/pool/${throwawayPool}`, 1, "PVEVMAdmin");
    assert.deepEqual(ids((await servers.look()).servers), ["820"]);
  });

  it("is opened from the configuration, with its token from a private file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hive-reaper-"));
    try {
      const tokenFile = join(folder, "token");
      await writeFile(tokenFile, `${token}\n`, { mode: 0o600 });
      const config = { url: pve.url, tokenFile, caFile: pve.caCertFile, node: "pve", pool: throwawayPool };
      const common = { estate: "lab", everySec: 60, graceSec: 0, pauseSec: 0, mostPerHour: 5, never: [] };
      const [opened] = await openProviders({ ...common, proxmox: config });
      assert.ok(opened !== undefined);
      assert.deepEqual(ids((await opened.look()).servers), ["820"]);
      opened.close();
      await assert.rejects(openProviders({ ...common, proxmox: { ...config, tokenFile: "/nowhere" } }), /ENOENT/);
      assert.deepEqual(await openProviders(common), []);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("Sentinel, reaper at Lightsail: a user that may delete what carries our tag", () => {
  const region = "eu-west-3";
  const createdSec = 1_763_900_000;
  let folder = "";
  let store: AwsStore;
  let aws: Awaited<ReturnType<typeof startEndpoint>>;
  let both: ReturnType<typeof ensureCredentials>;
  let servers: ServerProvider;
  const faults = createFaults();
  const open = (credentials: AwsCredentials, endpoint = `http://127.0.0.1:${String(aws.port)}`): ServerProvider =>
    lightsailServers({ region, credentials, endpoint });
  const make = (name: string, given: Readonly<Record<string, string>> = lightsailTags(tags)): void => {
    store.state.instances[name] = {
      ...{ name, number: store.count(), region, zone: `${region}a`, createdSec, bundleId: "micro_3_0" },
      ...{ blueprintId: "debian_12", keyPairName: "", publicKey: "", userData: "", ipAddressType: "ipv4", ports: [] },
      ...{ addOns: [], state: "running", settlesMs: 0, publicIp: "192.0.2.1" },
      tags: Object.entries(given).map(([key, value]) => ({ key, value })),
    };
  };
  const has = (name: string): boolean => store.state.instances[name] !== undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "hive-aws-"));
    store = new AwsStore(folder);
    both = ensureCredentials(folder);
    const credentials = [both.admin, both.reaper];
    const fixed = { delayMs: 0, newAddress: () => "192.0.2.1", changed: () => undefined, port: 0 };
    aws = await startEndpoint({ store, credentials, faults, ...fixed });
    servers = open(both.reaper);
  });
  after(async () => {
    servers.close();
    await aws.close();
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    store.state.instances = {};
    faults.clear();
  });

  it("sees our instances on every page, and leaves the rest of the account alone", async () => {
    const names = Array.from({ length: 120 }, (_, n) => `agent-${String(n)}`);
    for (const name of names) make(name);
    make("website", { owner: "somebody" });
    make("half", { "hive:throwaway": "true" });
    const seen = await servers.look();
    assert.deepEqual(ids(seen.servers), names.toSorted());
    assert.deepEqual(seen.strangers, [{ id: "half", why: "it lacks one of our tags" }]);
    const made = { provider: "lightsail", id: "agent-0", name: "agent-0", tags };
    assert.deepEqual(seen.servers[0], made);
    assert.equal(servers.region, region);
  });

  it("deletes one, if it still is what it was", async () => {
    make("a");
    const [server] = (await servers.look()).servers;
    assert.ok(server !== undefined);
    make("a", lightsailTags({ ...tags, agent: "other" }));
    assert.match(await reasonOf(servers.remove(server)), /other tags by now/);
    assert.ok(has("a"));
    make("a");
    assert.equal(await servers.remove(server), "deleted");
    assert.equal(has("a"), false);
    assert.equal(await servers.remove(server), "gone");
  });

  it("may not delete what is another Hive's, even if it were asked to", async () => {
    const others = { ...tags, estate: "other" };
    make("b", lightsailTags(others));
    const server: ServerSeen = { provider: "lightsail", id: "b", name: "b", tags: others };
    assert.match(await reasonOf(servers.remove(server)), /DeleteInstance: AccessDeniedException/);
    assert.ok(has("b"));
  });

  it("fails in words, and never says a credential", async () => {
    make("a");
    const [server] = (await servers.look()).servers;
    assert.ok(server !== undefined);
    faults.add({ kind: "500", path: "DeleteInstance" });
    assert.match(await reasonOf(servers.remove(server)), /DeleteInstance: ServiceException: injected/);
    faults.add({ kind: "drop", path: "GetInstances" });
    assert.match(await reasonOf(servers.look()), /connection reset|ended/);
    const wrong = { ...both.reaper, secretAccessKey: "not-the-right-one-of-this-account000000" };
    const refused = await reasonOf(open(wrong).look());
    assert.match(refused, /InvalidSignatureException/);
    assert.doesNotMatch(refused, /not-the-right/);
  });

  it("believes no answer of another form", async () => {
    const answers = ["<html>", '{"instances":[{"nom":"a"}]}', '{"instances":[],"nextPageToken":"again"}'];
    let text = "";
    const odd = createServer((request, response) => {
      request.resume().on("end", () => response.end(text));
    });
    await new Promise<void>((resolve) => odd.listen(0, "127.0.0.1", resolve));
    const address = odd.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const strange = open(both.reaper, `http://127.0.0.1:${String(port)}`);
    try {
      const said: string[] = [];
      for (text of answers) said.push(await reasonOf(strange.look()));
      assert.match(said[0] ?? "", /another form/);
      assert.match(said[1] ?? "", /another form/);
      assert.match(said[2] ?? "", /does not end/);
    } finally {
      odd.close();
    }
  });

  it("reads its credentials from a private file in AWS's own form, by profile", async () => {
    const file = join(folder, "key");
    const write = (text: string): Promise<void> => writeFile(file, text, { mode: 0o600 });
    const { accessKeyId, secretAccessKey } = both.reaper;
    const profile = (name: string, id: string): string =>
      `[${name}]\naws_access_key_id = ${id}\n# a comment\naws_secret_access_key=${secretAccessKey}\n\n`;
    await write(profile("default", accessKeyId) + profile("reaper", "AKIAOTHEROTHEROTHER0"));
    assert.deepEqual(await readAwsCredentials(file, "default"), { accessKeyId, secretAccessKey });
    assert.equal((await readAwsCredentials(file, "reaper")).accessKeyId, "AKIAOTHEROTHEROTHER0");
    for (const [name, text] of [
      ["none", profile("default", accessKeyId)],
      ["default", `aws_secret_access_key = ${secretAccessKey}`],
      ["default", `[default]\naws_access_key_id = short\naws_secret_access_key = ${secretAccessKey}`],
    ] as const) {
      await write(text);
      const error = await reasonOf(readAwsCredentials(file, name));
      assert.match(error, /profile/, text);
      assert.ok(!error.includes(secretAccessKey));
    }
    const common = { estate: "lab", everySec: 60, graceSec: 0, pauseSec: 0, mostPerHour: 5, never: [] };
    await write(profile("default", accessKeyId));
    const endpoint = `http://127.0.0.1:${String(aws.port)}`;
    make("a");
    const [opened] = await openProviders({
      ...common,
      lightsail: { region, credentialsFile: file, profile: "default", endpoint },
    });
    assert.deepEqual(ids((await opened?.look())?.servers ?? []), ["a"]);
  });
});
