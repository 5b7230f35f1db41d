/** Sentinel and runner as they ship, with each other: over HTTP, and over SSH where HTTP does not get through. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import ssh2 from "ssh2";
import { checkRunnerConfig } from "../../components/shared/agent/runnerConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { runRunner } from "../../runtime-agent/src/runner/daemon.ts";
import { runSignalCommand } from "../../runtime-agent/src/runner/signalCommand.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { buildAgent } from "../support/arbiterDaemon.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { SentinelSite, until } from "../support/sentinelDaemon.ts";

const unit =
  "LoadState=loaded\\nActiveState=active\\nResult=success\\nInvocationID=0123456789abcdef0123456789abcdef\\n" +
  "ExecMainCode=0\\nExecMainStatus=0\\nNRestarts=0\\n";

describe("Sentinel and runner", () => {
  let program: AgentProgram;
  let site: SentinelSite;
  let agent: Server;
  let ssh: ssh2.Server;
  let stop: AbortController;
  let running: Promise<number> | undefined;
  const [host, user] = [ssh2.utils.generateKeyPairSync("ed25519"), ssh2.utils.generateKeyPairSync("ed25519")];
  const done: string[] = [];
  /** Keys that somebody logged in with. */
  const offered = new Set<string>();
  const at = (name: string): string => join(site.folder, name);

  before(async () => {
    program = await buildAgent();
  });
  after(() => program.remove());
  beforeEach(async () => {
    stop = new AbortController();
    site = await SentinelSite.open(program);
    await writeFile(at("ssh-key"), user.private, { mode: 0o600 });
    await writeFile(at("systemctl"), `#!/bin/sh\nprintf '${unit}'\n`, { mode: 0o755 });
    await writeFile(at("journalctl"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    await site.configure({ ssh: { keyFile: at("ssh-key") } });
    done.length = 0;
    offered.clear();
    agent = createServer((socket) => {
      socket.once("data", (line) => {
        const { runId, payload }: { runId: string; payload: unknown } = JSON.parse(line.toString());
        done.push(runId);
        socket.end(`${JSON.stringify({ ok: true, result: { echo: payload } })}\n`);
      });
    });
    await new Promise<void>((resolve) => agent.listen(at("agent.sock"), () => resolve()));
    ssh = new ssh2.Server({ hostKeys: [host.private] }, (connection) => {
      connection.on("error", () => undefined);
      connection.on("authentication", (context) => {
        if (context.method !== "publickey") return void context.reject(["publickey"]);
        offered.add(context.key.data.toString("base64"));
        context.accept();
      });
      connection.on("session", (accept) =>
        accept().on("exec", (acceptExec, _reject, { command }) => {
          assert.equal(command, "hive-agent signal --name ghost");
          const channel = acceptExec();
          const output = new PassThrough();
          void runSignalCommand({ runtime: at("runner-run"), input: channel, output, errors: new PassThrough() }).then(
            (code) => {
              channel.write(output.read() ?? "");
              channel.exit(code);
              channel.end();
            },
          );
        }),
      );
    });
    await new Promise<void>((resolve) => ssh.listen(0, "127.0.0.1", () => resolve()));
  });
  afterEach(async () => {
    stop.abort();
    await running;
    agent.close();
    ssh.close();
    await site.close();
  });

  const sshPort = (): number => {
    const address = ssh.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  };

  async function startRunner(key: string, port: number, told: number, more: object = {}): Promise<void> {
    await mkdir(at("secrets"), { recursive: true });
    await writeFile(at("secrets/agent.key"), key, { mode: 0o600 });
    const config = valueOrThrow(
      "runner",
      checkRunnerConfig({
        ...{ version: 1, paths: { state: at("runner-state"), runtime: at("runner-run") } },
        sentinel: { address: `127.0.0.1:${String(site.port)}`, keyFile: at("secrets/agent.key") },
        ...{ listen: `127.0.0.1:${String(port)}`, address: `127.0.0.1:${String(told)}`, ...more },
        agent: {
          name: "ghost",
          mode: "resident",
          socket: at("agent.sock"),
          state: at("agent-state"),
          run: at("agent-run"),
        },
      }),
    );
    running = runRunner({
      config,
      signal: stop.signal,
      log: createLog({ level: "error" }),
      programs: { systemctl: at("systemctl"), journalctl: at("journalctl"), boot: "boot" },
    });
    await until(async () => {
      const { registered } = (await site.call("GET", "/agents/ghost")).json;
      return registered !== undefined;
    }, "registered");
  }

  it("run what is asked for once, and results wait for a Sentinel that was killed", async () => {
    await site.start();
    const port = await freePort();
    await startRunner(await site.newAgent("ghost", { mode: "resident" }), port, port);
    const ids: unknown[] = [];
    for (let n = 0; n < 5; n += 1)
      ids.push((await site.call("POST", "/agents/ghost/signals", { key: `k${String(n)}`, payload: { n } })).json.runId);
    site.kill();
    await site.daemon?.ended;
    await site.start();
    for (const [n, id] of ids.entries()) {
      await until(async () => (await site.call("GET", `/runs/${String(id)}`)).json.state === "completed", String(n));
      const { report } = (await site.call("GET", `/runs/${String(id)}`)).json;
      assert.deepEqual(Reflect.get(Object(report), "result"), { echo: { n } });
    }
    const again = await site.call("POST", "/agents/ghost/signals", { key: "k0", payload: { n: 0 } });
    assert.deepEqual(again.json, { runId: ids[0], state: "completed" });
    assert.deepEqual(done, ids);
  });

  it("speak by SSH alone where the runner was made so: with the Sentinel's own key, to the host key that it told", async () => {
    await site.configure({});
    await site.start();
    const { json: shown } = await site.call("GET", "/ssh-key");
    await writeFile(at("host.pub"), `${host.public.trim()} root@server\n`);
    await writeFile(at("journalctl"), `#!/bin/sh\nprintf '%s\\n' '{"MESSAGE":"a line","__CURSOR":"c"}'\n`, {
      mode: 0o755,
    });
    const way = { address: `127.0.0.1:${String(sshPort())}`, user: "hive-signal", hostKeyFile: at("host.pub") };
    // Nobody answers where HTTP would go.
    await startRunner(await site.newAgent("ghost", { mode: "resident" }), await freePort(), await freePort(), {
      ssh: way,
    });
    const { json } = await site.call("POST", "/agents/ghost/signals", { key: "k", payload: [1] });
    const runOf = async () => (await site.call("GET", `/runs/${String(json.runId)}`)).json;
    await until(async () => (await runOf()).state === "completed", "by SSH alone");
    assert.deepEqual(done, [json.runId]);
    assert.deepEqual([...offered], [String(shown.publicKey).split(" ")[1]]);
    assert.equal((await runOf()).attempts, 1);
    const log = await site.call("GET", `/runs/${String(json.runId)}/log`);
    assert.deepEqual([log.status, Object.keys(log.json).toSorted()], [200, ["end", "from", "next", "text"]]);
    const counted = /tries_total\{transport="ssh",outcome="taken",.*\} 1\n/;
    await until(async () => counted.test(String((await site.call("GET", "/metrics")).json.text)), "counted");
    // After a restart the way is still known, and pinned: another host key is not spoken to.
    site.kill();
    await site.daemon?.ended;
    await site.start();
    const { json: agentSeen } = await site.call("GET", "/agents/ghost");
    assert.equal(Reflect.get(Object(Reflect.get(Object(agentSeen.registered), "ssh")), "hostKey"), host.public.trim());
  });
});
