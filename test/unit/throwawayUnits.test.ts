import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { planAgent, type AgentSpec } from "../../components/shared/agent/agentPlan.ts";
import { agentUnitName } from "../../components/shared/agent/agentPlace.ts";
import { renderInstallStep, renderPrepareStep } from "../../components/shared/agent/installScripts.ts";
import { renderRunnerUnit, renderSentinelUnit } from "../../components/shared/agent/throwawayUnits.ts";
import { skip } from "../run/skip.ts";

const systemd = "systemd-analyze";
const release = { version: "1.4.0", sha256: "ab".repeat(32) };
const common = { release, allow: [], healthSec: 60 };
const runner: AgentSpec = {
  ...common,
  role: "runner",
  config: {
    version: 1,
    sentinel: { address: "10.20.20.5:8944" },
    address: "own-address.invalid:8943",
    agent: { name: "ghost-shopper" },
  },
  secretNames: ["agent.key"],
};
const sentinel: AgentSpec = {
  ...common,
  role: "sentinel",
  config: { version: 1, role: "sentinel" },
  secretNames: [],
};

function faultsOf(spec: AgentSpec): readonly string[] {
  const planned = planAgent(spec);
  return planned.ok ? [] : planned.faults.map(({ property }) => property);
}

describe("runner and Sentinel as they are installed", () => {
  it("let the runner speak with its Sentinel alone, and start after nothing but before its agent", () => {
    const planned = planAgent(runner);
    assert.ok(planned.ok, JSON.stringify(planned));
    const { unit, config } = planned.value;
    assert.match(unit, /^IPAddressDeny=any\nIPAddressAllow=localhost 10\.20\.20\.5$/m);
    assert.match(unit, /^Before=heavy-agent@ghost-shopper\.service$/m);
    assert.match(unit, /^ExecStart=\S+\/hive-agent runner --config \/etc\/hive-agent\/runner\.yaml$/m);
    assert.match(unit, /^ReadWritePaths=-\/var\/lib\/heavy-agent-run$/m);
    assert.match(config, /^address: own-address\.invalid:8943$/m);
  });

  it("refuse the cloud's metadata to the Sentinel, and give it no devices, homes or capabilities but the ping's", () => {
    const planned = planAgent(sentinel);
    assert.ok(planned.ok, JSON.stringify(planned));
    assert.match(planned.value.unit, /^IPAddressDeny=169\.254\.169\.254\/32/m);
    assert.match(planned.value.unit, /^CapabilityBoundingSet=CAP_NET_RAW$/m);
    assert.doesNotMatch(planned.value.unit, /IPAddressAllow/);
  });

  it("are refused with all faults at once: addresses in words, secrets that are not given, folders elsewhere", () => {
    const config = { ...runner.config, sentinel: { address: "sentinel.example:8944" }, paths: { state: "/srv/r" } };
    assert.deepEqual(faultsOf({ ...runner, config, secretNames: [], healthSec: 1 }), [
      "healthSec",
      "config.paths.state",
      "config.sentinel.address",
      "config.sentinel.keyFile",
    ]);
    assert.deepEqual(faultsOf({ ...runner, config: { ...runner.config, agents: {} } as typeof runner.config }), [
      "config.agents",
    ]);
    const ssh = { keyFile: "/etc/hive-agent/secrets/ssh.key" };
    const named = faultsOf({ ...sentinel, config: { version: 1, role: "sentinel", ssh } } as const);
    assert.deepEqual(named, ["config.ssh.keyFile"]);
  });

  it("are each the only part of the agent on their machine, and run without a side", () => {
    const context = { role: "runner", owner: "hive/agent-x", healthSec: 30, steadySec: 2 } as const;
    const prepare = renderPrepareStep(context, { login: "admin", secretNames: ["agent.key"] });
    assert.match(prepare.create, /^HIVE_SIDE='runner'$/m);
    assert.match(prepare.create, /this machine has another agent/);
    const install = renderInstallStep(context, { release, secretNames: [], config: "x\n", unit: "y\n" });
    assert.match(install.create, /hive-agent" runner --check --config/);
    for (const script of [...Object.values(prepare), ...Object.values(install)])
      assert.equal(spawnSync("sh", ["-n"], { input: script }).status, 0);
  });

  describe("judged by systemd", () => {
    let folder = "";
    const analyze = (...args: string[]) => spawnSync(systemd, args, { encoding: "utf8" });
    before(function () {
      if (analyze("--version").status !== 0) skip(this, "no systemd-analyze here");
      folder = mkdtempSync(join(tmpdir(), "throwaway-unit-"));
    });
    after(() => {
      if (folder !== "") rmSync(folder, { recursive: true });
    });
    const units = [
      ["runner", renderRunnerUnit({ agent: "x", network: ["10.20.20.5"] })],
      ["sentinel", renderSentinelUnit()],
    ] as const;
    for (const [role, text] of units) {
      it(`${role}: valid, exposure at most 2.0`, () => {
        const file = join(folder, agentUnitName(role));
        writeFileSync(file, text);
        const judged = analyze("security", "--offline=yes", "--threshold=20", "--no-pager", file);
        assert.equal(judged.status, 0, judged.stdout.trim().split("\n").at(-1));
        // The program is not installed here: any that is will do.
        writeFileSync(file, text.replaceAll("/opt/hive-agent/current/bin/hive-agent", process.execPath));
        const checked = analyze("verify", "--man=no", file);
        assert.deepEqual([checked.status, checked.stderr], [0, ""]);
      });
    }
  });
});
