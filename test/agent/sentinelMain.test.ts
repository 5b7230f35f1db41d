import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { Ended } from "../support/agentChild.ts";
import { start, temporaryFolder } from "../support/agentChild.ts";

const main = path.resolve(import.meta.dirname, "../../runtime-agent/src/main.ts");

function agent(...args: readonly string[]): Promise<Ended> {
  return start(process.execPath, [main, ...args], { PATH: "/usr/bin:/bin" }).ended;
}

describe("hive-agent: sentinel and runner", () => {
  it("checks their configurations, and prints the schema of each role", async () => {
    await using place = await temporaryFolder();
    const file = path.join(place.folder, "a.yaml");
    await writeFile(file, "version: 1\nrole: sentinel\nleases: {validsec: 5}\n", { mode: 0o600 });
    const [refused, runner, missing, ...schemas] = await Promise.all([
      agent("sentinel", "--config", file),
      agent("runner", "--config", file, "--check"),
      agent("sentinel", "--config", path.join(place.folder, "none"), "--check"),
      ...["keeper", "sentinel", "runner", "sentinal"].map((role) => agent("schema", "--role", role)),
    ]);
    assert.deepEqual([refused.code, runner.code, missing.code], [78, 78, 78]);
    assert.match(refused.stderr, /leases\.validsec .* Did you mean validSec\?/);
    assert.match(missing.stderr, /unreadable \(ENOENT\)/);
    assert.deepEqual(
      schemas.map(({ code }) => code),
      [0, 0, 0, 64],
    );
    assert.match(schemas[1]?.stdout ?? "", /"title": "hive-agent sentinel configuration"/);
    assert.match(schemas[2]?.stdout ?? "", /"title": "hive-agent runner configuration"/);
    assert.match(schemas[3]?.stderr ?? "", /did you mean sentinel\?/);
    assert.equal((await agent("signal")).code, 64);
  });

  it("examines the machine for the Sentinel: a secret that is missing is a failure with its repair", async () => {
    await using place = await temporaryFolder();
    const at = (name: string): string => path.join(place.folder, name);
    const config = {
      ...{
        version: 1,
        role: "sentinel",
        paths: { state: at("state"), runtime: at("run") },
        ssh: { keyFile: at("key") },
      },
      hooks: { listen: "127.0.0.1:1", list: [{ name: "shop", agent: "ghost", secretFile: at("shop") }] },
      watch: { channels: [{ type: "ntfy", name: "phone", topicFile: at("topic") }] },
    };
    await writeFile(at("a.yaml"), JSON.stringify(config), { mode: 0o600 });
    assert.equal((await agent("sentinel", "--config", at("a.yaml"), "--check")).code, 0);
    await writeFile(at("shop"), "x", { mode: 0o600 });
    const { code, stdout } = await agent("doctor", "--config", at("a.yaml"), "--json");
    const report: { findings: { check: string; state: string }[] } = JSON.parse(stdout);
    const state = new Map(report.findings.map((finding) => [finding.check, finding.state]));
    assert.equal(code, 1);
    assert.deepEqual(
      ["configuration", "state", "webhook shop", "SSH key", "topic of phone", "agent"].map((check) => state.get(check)),
      ["ok", "ok", "ok", "failed", "failed", "skipped"],
    );
  });
});
