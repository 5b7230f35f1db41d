import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { planAgent } from "../../components/shared/agent/agentPlan.ts";
import {
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
  type Release,
} from "../../components/shared/agent/installScripts.ts";
import { renderHeavyAgentUnits } from "../../components/shared/vps/heavyAgentUnit.ts";
import {
  environmentText,
  renderAccountStep,
  renderPlaceStep,
  renderReadyStep,
  sourcesUpload,
} from "../../components/shared/vps/installAgent.ts";
import { entryPointOf, packSources } from "../../components/shared/vps/pack.ts";
import { fakeRunner, fakeHeavyAgent } from "../support/throwawayAgent.ts";
import { adminUser, type Guest } from "../support/guest.ts";
import { openGuest, type GuestScene } from "../support/guestScene.ts";

describe("a throwaway server on a real systemd, over a real sshd", function () {
  this.timeout(120_000);
  let folder = "";
  let guest: Guest;
  let scene: GuestScene;
  before(async function () {
    scene = await openGuest(this, "throwaway-scripts");
    ({ guest, folder } = scene);
  });
  after(async () => {
    await scene?.close();
  });

  const step: GuestScene["step"] = (...how) => scene.step(...how);
  const sent = (path: string, content: Buffer): void => {
    mkdirSync(dirname(join(guest.root, path)), { recursive: true });
    writeFileSync(join(guest.root, path), content);
  };

  const release = (): Release => {
    const made = fakeRunner(folder);
    sent(uploadFile(made.release), readFileSync(made.path));
    return made.release;
  };

  it("gets its agent and its runner, which starts the agent and reads its result through both fences", async () => {
    const packed = packSources(
      [{ path: "run", kind: "file", executable: false, content: Buffer.from(fakeHeavyAgent) }],
      entryPointOf("x", undefined),
    );
    const units = renderHeavyAgentUnits({ name: "x", server: { vcpus: 1, ramMiB: 1024 } });
    assert.ok(packed.ok && units.ok);
    const { sha256, tar } = packed.value;
    await step(renderAccountStep(adminUser));
    sent(sourcesUpload(sha256), tar);
    const place = renderPlaceStep({ name: "x", sha256, runtime: "node", units: units.value });
    await step(place, environmentText({ TOKEN: "one $word `two`" }));

    const secrets = { "agent.key": "0".repeat(64) };
    const planned = planAgent({
      role: "runner",
      config: {
        version: 1,
        sentinel: { address: "127.0.0.1:8944" },
        address: "127.0.0.1:8943",
        agent: { name: "x" },
      },
      release: { version: "1.0.0", sha256: "0".repeat(64) },
      secretNames: Object.keys(secrets),
      allow: [],
      healthSec: 60,
    });
    assert.ok(planned.ok, JSON.stringify(planned));
    const context = { role: "runner", owner: "hive/agent-x", healthSec: 60, steadySec: 0 } as const;
    const secretNames = Object.keys(secrets);
    await step(renderPrepareStep(context, { login: adminUser, secretNames }).create, secretLines(secrets));
    await step(renderInstallStep(context, { release: release(), secretNames, ...planned.value }).create);
    await step(renderReadyStep({ name: "x", resident: false, registerSec: 30 }));

    const said: unknown = JSON.parse((await guest.ssh("/opt/hive-agent/current/bin/hive-agent status")).stdout);
    assert.deepEqual(said, {
      healthy: true,
      sentinel: "up",
      key: 64,
      started: true,
      writesOutside: false,
      result: { token: "one $word `two`", run: "run_7", user: "antigravity" },
    });
    // The same again changes nothing, and starts nothing.
    const again = await step(place, environmentText({ TOKEN: "another" }));
    assert.match(again.stderr, /are in place/);
    assert.equal((await guest.ssh("systemctl is-enabled heavy-agent@x.service")).stdout.trim(), "disabled");
  });
});
