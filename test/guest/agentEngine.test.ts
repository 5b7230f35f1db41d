import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, PulumiCommand, type Stack } from "@pulumi/pulumi/automation/index.js";
import { HiveAgent, Keeper, agentSecretFile } from "../../components/host/index.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { planGenesis } from "../../components/shared/genesisPlan.ts";
import { findEngine } from "../support/engine.ts";
import { genesisSettings } from "../support/genesisSettings.ts";
import { startGuest, type Guest } from "../support/guest.ts";
import { fakeTarball, type Tarball } from "../support/guestAgent.ts";
import { ensureGuestTools, guestImpossible, guestTree } from "../support/guestTree.ts";
import { skip } from "../run/skip.ts";

const provider = fileURLToPath(new URL("../../lab/providers/command/main.ts", import.meta.url));
const canary = "canary-psk-b07f";

describe("HiveAgent by the real engine, on a real systemd", function () {
  this.timeout(180_000);
  let folder = "";
  let guest: Guest;
  let stack: Stack;
  let wanted: Tarball;
  /** What the stack's program declares. */
  let agent: () => { readonly version: pulumi.Output<string> };
  const place = () => ({
    ...{ host: "127.0.0.1", port: guest.port, user: "root", hostKey: guest.hostKey },
    privateKey: pulumi.secret(guest.privateKey),
  });

  before(async function () {
    const why = guestImpossible();
    if (why !== undefined) skip(this, why);
    const engine = findEngine();
    if ("missing" in engine) skip(this, engine.missing);
    await ensureGuestTools();
    guest = await startGuest(await guestTree((line) => process.stderr.write(`${line}\n`)));
    folder = mkdtempSync(join(tmpdir(), "agent-engine-"));
    for (const name of ["bin", "backend"]) mkdirSync(join(folder, name));
    const wrapper = join(folder, "bin", "pulumi-resource-command");
    writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${provider}' "$@"\n`);
    chmodSync(wrapper, 0o755);
    agent = () =>
      new HiveAgent("keeper", {
        connection: place(),
        side: "arbiter",
        config: {
          version: 1,
          side: "arbiter",
          arbiter: { link: { listen: "127.0.0.1:8741", pskFile: agentSecretFile("psk") } },
        },
        tarball: { path: wanted.path, sha256: wanted.release.sha256 },
        version: wanted.release.version,
        secrets: { psk: pulumi.secret(canary) },
        allow: ["10.20.10.1"],
        healthSec: 20,
      });
    const program = (): Promise<Record<string, unknown>> => Promise.resolve({ version: agent().version });
    stack = await LocalWorkspace.createOrSelectStack(
      { stackName: "t", projectName: "p", program },
      {
        workDir: folder,
        pulumiCommand: await PulumiCommand.get({ root: join(engine.folder, ".."), skipVersionCheck: true }),
        projectSettings: { name: "p", runtime: "nodejs", backend: { url: `file://${join(folder, "backend")}` } },
        secretsProvider: "passphrase",
        envVars: {
          PATH: [join(folder, "bin"), engine.folder, process.env["PATH"] ?? ""].join(delimiter),
          PULUMI_CONFIG_PASSPHRASE: "t",
          PULUMI_HOME: join(folder, "home"),
          PULUMI_SKIP_UPDATE_CHECK: "true",
          PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
          SSH_AUTH_SOCK: "",
        },
      },
    );
  });
  after(async () => {
    await guest?.close();
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  const status = async (): Promise<string> => (await guest.ssh("cat /run/hive-agent/keeper/status")).stdout;

  it("installs, rests, goes back from a bad release, upgrades and removes, with no secret in clear", async () => {
    wanted = fakeTarball(folder, "1.0.0");
    const printed: string[] = [];
    const onOutput = (text: string): void => void printed.push(text);
    const up = await stack.up({ onOutput });
    assert.equal(up.outputs["version"]?.value, "1.0.0");
    assert.match(await status(), /"version":"1\.0\.0".*"secret":"15"/);

    const again = await stack.up({ onOutput });
    assert.deepEqual(Object.keys(again.summary.resourceChanges ?? {}), ["same"]);

    wanted = fakeTarball(folder, "2.0.0", "crash");
    await assert.rejects(
      stack.up({ onOutput }),
      /cannot go on: no reason[^]*rolled back to release 1\.0\.0-\w+, which is healthy/,
    );
    assert.match(await status(), /"version":"1\.0\.0"/);

    wanted = fakeTarball(folder, "2.0.1");
    await stack.up({ onOutput });
    assert.match(await status(), /"version":"2\.0\.1"/);

    const state = readFileSync(join(folder, "backend/.pulumi/stacks/p/t.json"), "utf8");
    assert.match(state, /keeper-prepare/);
    for (const secret of [canary, Buffer.from(canary).toString("base64")]) {
      assert.ok(!state.includes(secret), "a secret stands in the state in clear");
      assert.ok(!printed.join("").includes(secret), "a secret was printed");
    }

    await stack.destroy({ onOutput });
    const left = await guest.ssh("find /opt /etc /var /run -path '*hive-agent*' -print; ls -A /var/lib/hive/undo");
    assert.equal(left.stdout, "");
  });

  it("brings up genesis' Keeper whole on the host where no VM is given a card, rests, and leaves nothing", async () => {
    wanted = fakeTarball(folder, "3.0.0");
    const keeper = { tarball: wanted.path, ...wanted.release, healthSec: 20 };
    const settings = { ...genesisSettings(), devices: { gpu: undefined, tpu: undefined }, keeper };
    const { keeper: plan } = valueOrThrow("plan", planGenesis(settings));
    assert.ok(plan);
    const secrets = { linkKey: pulumi.secret(canary), proxmoxToken: pulumi.secret("keeper@pve!agent=canary") };
    agent = () => new Keeper("keeper", { plan, secrets, host: place() });
    const up = await stack.up();
    assert.equal(up.outputs["version"]?.value, "3.0.0");
    const running = "systemctl is-active hive-agent-keeper hive-agent-keeper-arbiter";
    assert.equal((await guest.ssh(running)).stdout, "active\nactive\n");
    const again = await stack.up();
    assert.deepEqual(Object.keys(again.summary.resourceChanges ?? {}), ["same"]);
    await stack.destroy();
    const left = await guest.ssh("find /opt /etc /var /run -path '*hive-agent*' -print; ls -A /var/lib/hive/undo");
    assert.equal(left.stdout, "");
  });
});
