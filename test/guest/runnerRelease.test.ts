// The runner's release as it ships, in its own fence on a real systemd: a crash loop reaches its Sentinel, and passes.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { planAgent } from "../../components/shared/agent/agentPlan.ts";
import {
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
} from "../../components/shared/agent/installScripts.ts";
import { heavyAgentUnitName, renderHeavyAgentUnits } from "../../components/shared/vps/heavyAgentUnit.ts";
import { renderAccountStep, renderPlaceStep, sourcesUpload } from "../../components/shared/vps/installAgent.ts";
import { entryPointOf, packSources } from "../../components/shared/vps/pack.ts";
import { writeTarball } from "../../runtime-agent/build/tarball.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { adminUser, type Guest } from "../support/guest.ts";
import { openGuest, type GuestScene } from "../support/guestScene.ts";
import { runIdOf, sendSignal, until } from "../support/runnerSignals.ts";
import { sentinelStub } from "../support/sentinelStub.ts";

const agent = "x";
/** Does well only when it is asked to. */
const source = `#!/bin/sh
echo "run $HEAVY_AGENT_RUN_ID"
grep -q well "$HEAVY_AGENT_PAYLOAD" || exit 3
printf '{"user":"%s"}' "$(id -un)" >"$HEAVY_AGENT_RESULT"
`;

describe("the runner's release on a real systemd", function () {
  this.timeout(300_000);
  let folder = "";
  let guest: Guest;
  let scene: GuestScene;
  before(async function () {
    scene = await openGuest(this, "runner-release");
    ({ guest, folder } = scene);
  });
  after(async () => {
    await scene?.close();
  });

  const step: GuestScene["step"] = (...how) => scene.step(...how);
  const place = (path: string): string => {
    mkdirSync(dirname(join(guest.root, path)), { recursive: true });
    return join(guest.root, path);
  };

  it("tells the Sentinel of a crash loop, and does the next run all the same", async () => {
    await using stack = new AsyncDisposableStack();
    const key = randomBytes(32);
    const sentinel = await sentinelStub(agent, key);
    stack.defer(() => sentinel.close());
    const [port, built] = [await freePort(), await writeTarball(folder, 1)];
    const release = { version: built.version, sha256: built.sha256 };
    const packed = packSources(
      [{ path: "run", kind: "file", executable: false, content: Buffer.from(source) }],
      entryPointOf(agent, undefined),
    );
    const units = renderHeavyAgentUnits({ name: agent, idempotent: true, server: { vcpus: 1, ramMiB: 1024 } });
    assert.ok(packed.ok && units.ok);
    const { sha256, tar } = packed.value;
    const address = `127.0.0.1:${String(port)}`;
    const secrets = { "agent.key": key.toString("hex") };
    const secretNames = Object.keys(secrets);
    const planned = planAgent({
      role: "runner",
      config: {
        ...{ version: 1, listen: address, address },
        sentinel: { address: `127.0.0.1:${String(sentinel.port)}` },
        agent: { name: agent, idempotent: true },
      },
      ...{ release, secretNames, allow: [], healthSec: 60 },
    });
    assert.ok(planned.ok, JSON.stringify(planned));

    await step(renderAccountStep(adminUser));
    writeFileSync(place(sourcesUpload(sha256)), tar);
    await step(renderPlaceStep({ name: agent, sha256, runtime: "node", units: units.value }));
    // A person's own: five pauses of 30 s would make the loop's end two minutes and a half away.
    const own = `etc/systemd/system/${heavyAgentUnitName(agent)}.d/override.conf`;
    writeFileSync(place(own), "[Service]\nRestartSec=200ms\n");
    await step("systemctl daemon-reload");
    const context = { role: "runner", owner: "hive/agent-x", healthSec: 60, steadySec: 0 } as const;
    await step(renderPrepareStep(context, { login: adminUser, secretNames }).create, secretLines(secrets));
    copyFileSync(built.file, place(uploadFile(release)));
    await step(renderInstallStep(context, { release, secretNames, ...planned.value }).create);

    const to = { agent, key, port };
    const resultOf = (name: string) =>
      until(() => sentinel.results.find(({ runId }) => runId === runIdOf(name)), `the result of ${name}`);
    assert.equal(await sendSignal(to, "ill", "ill"), 202);
    const ill = await resultOf("ill");
    assert.deepEqual([ill.state, ill.exit, ill.attempts], ["failed", 3, 5]);
    assert.equal(ill.reason, "a crash loop, ended by the start limit (exit-code)");
    assert.ok(ill.logTail.includes(`run ${runIdOf("ill")}`), ill.logTail);
    const beat = await until(() => sentinel.heartbeats.find(({ crashLoop }) => crashLoop), "a crash loop's heartbeat");
    assert.equal(beat.ready, false);

    // The count of starts is cleared for each run.
    assert.equal(await sendSignal(to, "fine", "well"), 202);
    const fine = await resultOf("fine");
    assert.deepEqual([fine.state, fine.attempts, fine.result], ["completed", 1, { user: "antigravity" }]);
    const heard = sentinel.heartbeats.length;
    await until(() => sentinel.heartbeats.slice(heard).find(({ crashLoop }) => !crashLoop), "a heartbeat without it");
  });
});
