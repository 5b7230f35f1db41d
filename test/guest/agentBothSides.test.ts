// Both sides of the Keeper on one machine, where the card is not passed through: the release as it ships on a real
// systemd, the host side on the lab's Proxmox, the two joined by their link over the loopback.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { agentSecretFile, planAgent, type AgentSpec } from "../../components/shared/agent/agentPlan.ts";
import {
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
  type Release,
} from "../../components/shared/agent/installScripts.ts";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import { writeTarball } from "../../runtime-agent/build/tarball.ts";
import { skip } from "../run/skip.ts";
import { freePort, startGuest, type Guest, type Ran } from "../support/guest.ts";
import { fakeTarball } from "../support/guestAgent.ts";
import { ensureGuestTools, guestImpossible, guestTree } from "../support/guestTree.ts";
import { lab } from "../support/lab-client.ts";

const key = "0123456789abcdef".repeat(4);
const beside = { besideHost: true } as const;
const parts = {
  host: { role: "keeper", side: "host" },
  arbiter: { role: "keeper", side: "arbiter", ...beside },
  /** An arbiter in the first place of its machine, as in a VM. */
  alone: { role: "keeper", side: "arbiter" },
} as const;
type Name = keyof typeof parts;

describe("both sides of the Keeper on one machine", function () {
  this.timeout(180_000);
  let folder = "";
  let guest: Guest;
  let pve: RunningProxmox | undefined;
  let release: Release;
  let secrets: Readonly<Record<Name, Readonly<Record<string, string>>>>;
  let configs: Readonly<Record<Name, Extract<AgentSpec, { readonly side: string }>["config"]>>;

  before(async function () {
    const why = guestImpossible();
    if (why !== undefined) skip(this, why);
    await ensureGuestTools();
    folder = mkdtempSync(join(tmpdir(), "agent-both-"));
    guest = await startGuest(await guestTree((line) => process.stderr.write(`${line}\n`)));
    ({ pve } = await lab({ bootDelayMs: 5 }));
    const { file, ...built } = await writeTarball(folder, 1);
    release = built;
    copyFileSync(file, join(folder, "release.tar.gz"));
    const address = `127.0.0.1:${String(await freePort())}`;
    const { fingerprint256: fingerprint } = new X509Certificate(readFileSync(pve.caCertFile));
    const tokenFile = agentSecretFile("pve.token");
    const proxmox = { url: pve.url, node: "pve", tokenFile, fingerprint };
    const arbiter = (pskFile: string) =>
      ({ version: 1, side: "arbiter", arbiter: { link: { listen: address, pskFile } } }) as const;
    configs = {
      host: {
        ...{ version: 1, side: "host" },
        host: { proxmox, link: { connect: address, vmid: null, pskFile: agentSecretFile("psk") } },
      },
      arbiter: arbiter(agentSecretFile("psk", beside)),
      alone: arbiter(agentSecretFile("psk")),
    };
    const token = readFileSync(pve.tokenFile, "utf8").trim();
    secrets = { host: { psk: key, "pve.token": token }, arbiter: { psk: key }, alone: { psk: key } };
  });
  after(async () => {
    await guest?.close();
    await pve?.close();
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  const stepsOf = (name: Name, of: Release) => {
    const context = { ...parts[name], owner: "hive/genesis", healthSec: 30, steadySec: 0 };
    const [secretNames, config] = [Object.keys(secrets[name]), configs[name]];
    const spec = { ...parts[name], config, release: of, secretNames, allow: [], healthSec: 60 };
    const planned = valueOrThrow(name, planAgent(spec));
    return {
      prepare: renderPrepareStep(context, { login: "root", secretNames }),
      install: renderInstallStep(context, { release: of, secretNames, ...planned }),
    };
  };
  const prepare = (name: Name): Promise<Ran> =>
    guest.ssh(stepsOf(name, release).prepare.create, { stdin: secretLines(secrets[name]) });
  const install = (name: Name, of: Release, tarball: string): Promise<Ran> => {
    copyFileSync(tarball, join(guest.root, uploadFile(of, { besideHost: name === "arbiter" })));
    return guest.ssh(stepsOf(name, of).install.create);
  };
  const remove = async (name: Name): Promise<void> => {
    const { install: last, prepare: first } = stepsOf(name, release);
    for (const { delete: undo } of [last, first]) ok(await guest.ssh(undo));
  };
  const ok = (ran: Ran): void => assert.equal(ran.status, 0, ran.stderr);
  const say = async (command: string): Promise<string> => (await guest.ssh(command)).stdout.trim();
  /** All there is of a side: its process, and its files by name, content and time. */
  const traceOf = (name: "host" | "arbiter"): Promise<string> => {
    const [own, unit] = name === "host" ? ["hive-agent", "keeper"] : ["hive-agent-arbiter", "keeper-arbiter"];
    const files = `/opt/${own} /etc/${own} /etc/systemd/system/hive-agent-${unit}.service`;
    return say(
      `systemctl show --property=MainPID,ActiveState hive-agent-${unit}; find ${files} -printf '%p %T@ %s\\n' | sort; ls -d /var/*/${own} /run/${own}`,
    );
  };
  const program = "/opt/hive-agent/current/bin/hive-agent";

  it("come up beside one another, hear each other, and are both found", async () => {
    for (const name of ["host", "arbiter"] as const) {
      ok(await prepare(name));
      ok(await install(name, release, join(folder, "release.tar.gz")));
    }
    const units = "hive-agent-keeper.service hive-agent-keeper-arbiter.service";
    assert.equal(await say(`systemctl is-active ${units}`), "active\nactive");
    for (const end = Date.now() + 30_000; ; await sleep(200)) {
      // Of either side one document; jq is not on every machine.
      const said = await say(`${program} status --json`);
      const sides = said.split(/\n(?=\{)/).map((text): unknown => JSON.parse(text));
      const shown = sides.map((each) => (typeof each === "object" && each !== null ? Reflect.get(each, "side") : ""));
      assert.deepEqual(shown, ["host", "arbiter"]);
      if (/"arbiter": ?"heard"/.test(said)) break;
      assert.ok(Date.now() < end, `never joined: ${said}`);
    }
    const found = await say(`${program} doctor`);
    for (const line of [/^ok .*host: configuration .*\(host\)$/m, /^ok .*arbiter: agent .*hive-agent-arbiter\/keeper/m])
      assert.match(found, line);
    // Each is found by its side alone, and a second one of it finds the first one's lock.
    const second = await guest.ssh(`${program} keeper --side arbiter`);
    assert.equal(second.status, 75, second.stderr);
    assert.match(second.stderr, /\/var\/lib\/hive-agent-arbiter\/keeper\/agent\.lock is locked/);
    assert.equal((await guest.ssh(`${program} keeper --side host`)).status, 75);
  });

  it("refuse a second one of the same side, in either place", async () => {
    const before = [await traceOf("host"), await traceOf("arbiter")];
    const refused = await prepare("alone");
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /this machine has an arbiter already \(\/opt\/hive-agent-arbiter\)/);
    await remove("alone");
    assert.deepEqual([await traceOf("host"), await traceOf("arbiter")], before);
  });

  it("are upgraded, taken back and removed one without the other", async () => {
    const host = await traceOf("host");
    const bad = fakeTarball(folder, "9.0.0", "crash");
    const back = await install("arbiter", bad.release, bad.path);
    assert.equal(back.status, 1);
    assert.match(back.stderr, /rolled back to release [\w.-]+, which is healthy/);
    assert.equal(await traceOf("host"), host);
    const next = fakeTarball(folder, "9.0.1");
    ok(await install("arbiter", next.release, next.path));
    assert.equal(await traceOf("host"), host);
    await remove("arbiter");
    assert.equal(await traceOf("host"), host);
    assert.equal(await say("find / -xdev -name '*hive-agent*arbiter*' -not -path '/proc/*' -print"), "");

    ok(await prepare("arbiter"));
    ok(await install("arbiter", release, join(folder, "release.tar.gz")));
    const arbiter = await traceOf("arbiter");
    await remove("host");
    assert.equal(await traceOf("arbiter"), arbiter);
    assert.match(await say("/opt/hive-agent-arbiter/current/bin/hive-agent status --json"), /"healthy": ?true/);
    await remove("arbiter");
    const places = "/opt /etc /var/lib /run /var/log /var/cache";
    assert.equal(await say(`find ${places} -path '*hive-agent*' -prune -print; pgrep -af hive-agent`), "");
  });

  it("refuse an arbiter beside the host side where one has the first place", async () => {
    ok(await prepare("alone"));
    const refused = await prepare("arbiter");
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /this machine has an arbiter already \(\/opt\/hive-agent\)/);
    assert.match((await prepare("host")).stderr, /has another agent \(\/opt\/hive-agent: arbiter\).*besideHost/);
    await remove("alone");
  });
});
