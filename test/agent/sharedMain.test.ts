import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { installedConfigFiles, keeperConfigFile } from "../../runtime-agent/src/shared/config.ts";
import { acquireInstanceLock } from "../../runtime-agent/src/shared/instanceLock.ts";
import { startLocalApi } from "../../runtime-agent/src/shared/localApi/index.ts";
import type { Ended } from "../support/agentChild.ts";
import { start, temporaryFolder } from "../support/agentChild.ts";

const main = path.resolve(import.meta.dirname, "../../runtime-agent/src/main.ts");

function agent(...args: readonly string[]): Promise<Ended> {
  return start(process.execPath, [main, ...args], { PATH: "/usr/bin:/bin" }).ended;
}

async function written(folder: string, text: string, mode = 0o600): Promise<string> {
  const file = path.join(folder, "keeper.yaml");
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}

function config(folder: string): string {
  const at = (name: string): string => path.join(folder, name);
  return [
    "version: 1",
    "side: arbiter",
    `paths: {state: ${at("state")}, runtime: ${at("run")}, log: ${at("log")}}`,
    "arbiter:",
    "  gpu: {library: libnvidia-not-here.so.1}",
    `  services: [{name: eva, rank: 2, kind: interactive, vram: 8 GB, pidFile: /run/eva.pid, tokenFile: ${at("eva.token")}}]`,
  ].join("\n");
}

describe("hive-agent", () => {
  it("helps, and refuses commands and options it does not have with the ones that were meant", async () => {
    const help = await agent("--help");
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    assert.match(help.stdout, /keeper --side arbiter\|host/);
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [["statsu"], /unknown command statsu; did you mean status\?/],
      [["status", "--wach"], /unknown option --wach; did you mean --watch\?/],
      [["doctor", "--side", "host"], /unknown option --side/],
      [["status", "extra"], /unexpected extra/],
      [["status", "--config"], /--config needs a value/],
      [["status", "--json=yes"], /--json takes no value/],
      [["keeper"], /keeper needs --side/],
      [["keeper", "--side", "left"], /keeper needs --side/],
    ];
    const ended = await Promise.all(wrong.map(([args]) => agent(...args)));
    ended.forEach(({ code, stdout, stderr }, index) => {
      assert.deepEqual([code, stdout], [64, ""], stderr);
      assert.match(stderr, wrong[index]?.[1] ?? /never/);
    });
  });

  it("refuses a configuration with every fault, one of the other side, and one that others may write", async () => {
    await using place = await temporaryFolder();
    const faulty = await written(place.folder, "version: 1\nside: arbiter\narbitre: {}\nmarket: {open: 25:00}\n");
    const refused = await agent("keeper", "--side", "arbiter", "--config", faulty, "--check");
    assert.equal(refused.code, 78);
    assert.match(refused.stderr, /3 fault\(s\)\n/);
    for (const text of ["Did you mean arbiter?", "market.open", "arbiter is missing"]) {
      assert.ok(refused.stderr.includes(text), refused.stderr);
    }
    const good = await written(place.folder, config(place.folder));
    assert.deepEqual(
      (
        await Promise.all([
          agent("keeper", "--side", "arbiter", "--config", good, "--check"),
          agent("keeper", "--side", "host", "--config", good),
        ])
      ).map(({ code }) => code),
      [0, 78],
    );
    const open = await written(place.folder, config(place.folder), 0o666);
    const unsafe = await agent("keeper", "--side", "arbiter", "--config", open, "--check");
    assert.equal(unsafe.code, 78);
    assert.match(unsafe.stderr, /is 0666; allowed: writable by its owner alone\. chmod 0600/);
  });

  it("says in one line that another agent runs, on either side, and ends with 75", async () => {
    await using place = await temporaryFolder();
    const proxmox = { url: "https://127.0.0.1:8006", node: "pve", tokenFile: "/none", caFile: "/none" };
    const host = `${config(place.folder).split("arbiter:\n")[0]?.replace("side: arbiter", "side: host")}host: ${JSON.stringify({ proxmox })}`;
    const lock = await acquireInstanceLock(path.join(place.folder, "state"));
    try {
      for (const [side, text] of Object.entries({ arbiter: config(place.folder), host })) {
        const file = await written(place.folder, text);
        const { code, stdout, stderr } = await agent("keeper", "--side", side, "--config", file);
        assert.deepEqual([code, stdout], [75, ""], stderr);
        assert.match(stderr, /^[^\n]*another agent runs \(pid \d+\)[^\n]*\n$/);
      }
    } finally {
      await lock.release();
    }
  });

  it("finds the configuration of every agent of a machine: of one role, and of an arbiter beside the host side", async () => {
    await using place = await temporaryFolder();
    const { folder: root } = place;
    const put = async (file: string): Promise<void> => {
      await mkdir(path.dirname(path.join(root, file)), { recursive: true });
      await writeFile(path.join(root, file), "");
    };
    const [first, second] = ["/etc/hive-agent/keeper.yaml", "/etc/hive-agent-arbiter/keeper.yaml"] as const;
    assert.deepEqual(await installedConfigFiles(root), [first]);
    assert.equal(await keeperConfigFile("arbiter", root), first);
    await put(second);
    assert.deepEqual(await installedConfigFiles(root), [second]);
    await put(first);
    assert.deepEqual(await installedConfigFiles(root), [first, second]);
    assert.equal(await keeperConfigFile("arbiter", root), second);
    assert.equal(await keeperConfigFile("host", root), first);
    await put("/etc/hive-agent/runner.yaml");
    assert.deepEqual(await installedConfigFiles(root), [first, second]);
  });

  it("prints the JSON schema of the configuration", async () => {
    const { code, stdout } = await agent("schema");
    const schema: unknown = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.ok(typeof schema === "object" && schema !== null && "additionalProperties" in schema);
  });

  it("examines the machine: no GPU is a warning, a missing token is a failure with its repair", async () => {
    await using place = await temporaryFolder();
    const file = await written(place.folder, config(place.folder));
    const { code, stdout } = await agent("doctor", "--config", file, "--json");
    const report: { findings: { check: string; state: string; fix?: string }[] } = JSON.parse(stdout);
    const state = new Map(report.findings.map((finding) => [finding.check, finding.state]));
    assert.equal(code, 1);
    const token = path.join(place.folder, "eva.token");
    assert.deepEqual(
      ["system calls", "configuration", "state", "NVML", "token of eva", "agent"].map((check) => state.get(check)),
      ["ok", "ok", "ok", "warning", "failed", "skipped"],
    );
    for (const finding of report.findings) assert.ok(finding.state !== "failed" || finding.fix !== undefined);
    await writeFile(token, "t".repeat(40));
    // What the arbiter takes: a token that its service's group can read too, and none that others can.
    for (const [mode, code] of [
      [0o600, 0],
      [0o640, 0],
      [0o644, 1],
    ] as const) {
      await chmod(token, mode);
      assert.equal((await agent("doctor", "--config", file)).code, code, mode.toString(8));
    }
  });

  it("shows the status of a running agent once or for ever, and says when there is none", async () => {
    await using place = await temporaryFolder();
    const runtime = path.join(place.folder, "run");
    await mkdir(runtime);
    assert.match((await agent("status", "--runtime", runtime)).stderr, /no agent runs here/);
    let asked = 0;
    const api = await startLocalApi({
      socket: path.join(runtime, "api.sock"),
      tokenFile: path.join(runtime, "api.token"),
      routes: [{ method: "GET", path: "/status", role: "admin", handle: () => ({ json: { asked: (asked += 1) } }) }],
    });
    try {
      const once = await agent("status", "--runtime", runtime);
      assert.deepEqual([once.code, once.stdout], [0, "asked  1\n"]);
      const file = await written(place.folder, config(place.folder));
      assert.equal((await agent("status", "--json", "--config", file)).stdout, '{"asked":2}\n');
      const watch = start(process.execPath, [main, "status", "--watch", "--runtime", runtime]);
      await watch.said("asked  4\n");
      watch.child.kill();
      await watch.ended;
    } finally {
      await api.close();
    }
    const gone = await agent("status", "--runtime", runtime);
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /does not answer/);
    assert.ok((await readFile(path.join(runtime, "api.token"), "utf8")).length > 40);
  });
});
