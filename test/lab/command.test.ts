import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import type { Stack } from "@pulumi/pulumi/automation/index.js";
import { startHost } from "../../lab/host/index.ts";
import type { RunningHost } from "../../lab/host/index.ts";
import { Ports } from "../../lab/host/ports.ts";
import { CommandProvider } from "../../lab/providers/command/provider.ts";
import { startFakeProxmox } from "./host-fake-api.ts";
import type { FakeProxmox } from "./host-fake-api.ts";
import { skip } from "../run/skip.ts";

const enginePath = [...(process.env["PATH"] ?? "").split(delimiter), join(homedir(), ".cache/hive/bin")].find(
  (folder) => existsSync(join(folder, "pulumi")),
);
const entry = fileURLToPath(new URL("../../lab/providers/command/main.ts", import.meta.url));
const urn = (type: string): string => `urn:pulumi:s::p::${type}::x`;
const silent = { reporter: () => ({ line: () => undefined, status: () => undefined, warn: () => undefined }) };

describe("lab command provider", function () {
  this.timeout(180_000);
  const provider = new CommandProvider(silent);

  describe("check and diff", () => {
    it("names every fault at once and never repeats a value", async () => {
      const connection = {
        host: "",
        port: 99_999,
        privateKey: 5,
        hostKey: "nonsense",
        colour: "red",
        password: "canary-password",
      };
      const { failures = [] } = await provider.check(
        urn("command:remote:Command"),
        {},
        { connection, create: 3, unknown: 1, environment: { "A B": "x" } },
      );
      const properties = failures.map((failure) => failure.property).sort();
      assert.deepEqual(properties, [
        "connection.colour",
        "connection.host",
        "connection.hostKey",
        "connection.port",
        "connection.privateKey",
        "create",
        "environment.A B",
        "unknown",
      ]);
      assert.doesNotMatch(JSON.stringify(failures), /canary/);
    });

    it("replaces on triggers, updates on the rest, and rests when nothing changed", async () => {
      const inputs = { connection: { host: "h", port: 1 }, create: "a", triggers: [1] };
      const diff = (news: object) =>
        provider.diff("id", urn("command:remote:Command"), { ...inputs, stdout: "o", stderr: "" }, news);
      assert.deepEqual(await diff(inputs), { changes: false, replaces: [], deleteBeforeReplace: false });
      assert.deepEqual((await diff({ ...inputs, triggers: [2] })).replaces, ["triggers"]);
      assert.deepEqual(await diff({ ...inputs, connection: { host: "h", port: 2 } }), {
        changes: true,
        replaces: [],
        deleteBeforeReplace: false,
      });
      assert.equal((await diff({ ...inputs, delete: "b" })).changes, true);
    });
  });

  describe("with the real engine", () => {
    let folder: string;
    let api: FakeProxmox;
    let host: RunningHost;
    const secretValue = "canary-in-stdin-93f1";

    before(async function () {
      if (enginePath === undefined) {
        skip(this, "no pulumi on PATH or in the cache");
      }
      folder = mkdtempSync(join(tmpdir(), "lab-command-"));
      api = await startFakeProxmox(folder);
      host = await startHost({ stateDir: folder, rootSocket: api.rootSocket, ports: new Ports(folder) });
      if (host.limitation !== undefined) skip(this, host.limitation);
      mkdirSync(join(folder, "bin"));
      mkdirSync(join(folder, "backend"));
      const wrapper = join(folder, "bin", "pulumi-resource-command");
      writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`);
      chmodSync(wrapper, 0o755);
    });
    after(async () => {
      if (folder === undefined) return;
      await host.close();
      await api.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const stackOf = async (program: () => unknown): Promise<Stack> => {
      const pulumiCommand = await PulumiCommand.get({ root: join(enginePath ?? "", ".."), skipVersionCheck: true });
      const stack = await LocalWorkspace.createOrSelectStack(
        {
          stackName: "t",
          projectName: "p",
          program: () => Promise.resolve(program()).then((outputs) => Object(outputs)),
        },
        {
          workDir: folder,
          pulumiCommand,
          projectSettings: { name: "p", runtime: "nodejs", backend: { url: `file://${join(folder, "backend")}` } },
          secretsProvider: "passphrase",
          envVars: {
            PATH: `${join(folder, "bin")}${delimiter}${enginePath}${delimiter}${process.env["PATH"] ?? ""}`,
            PULUMI_CONFIG_PASSPHRASE: "t",
            PULUMI_HOME: join(folder, "home"),
            PULUMI_SKIP_UPDATE_CHECK: "true",
            PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
            SSH_AUTH_SOCK: "",
          },
        },
      );
      return stack;
    };
    const connection = (extra: object = {}) => ({
      host: "127.0.0.1",
      port: host.port,
      privateKey: pulumi.secret(host.privateKey),
      hostKey: host.hostPublicKey,
      ...extra,
    });
    const shell = (args: { create: string; trigger?: number; stdin?: string }) => (): object => {
      const made = new command.remote.Command("step", {
        connection: connection(),
        create: args.create,
        update: "echo updated >> /root/log; echo updated",
        delete: "echo deleted >> /root/log",
        triggers: [args.trigger ?? 1],
        ...(args.stdin === undefined ? {} : { stdin: pulumi.secret(args.stdin) }),
      });
      return { stdout: made.stdout };
    };

    it("creates, rests, updates, replaces and deletes for real", async () => {
      const log = join(host.root, "root/log");
      const lines: string[] = [];
      const create = "echo created >> /root/log; qm set 200 --cores 6 >/dev/null; echo line-from-host; hostname";
      let stack = await stackOf(shell({ create }));
      const up = await stack.up({ onOutput: (text) => lines.push(text) });
      assert.equal(up.outputs["stdout"]?.value, "line-from-host\npve");
      assert.equal(up.outputs["stdout"]?.secret, false);
      assert.equal(api.guests.get("200")?.config["cores"], "6");
      assert.match(lines.join(""), /line-from-host/);
      const again = await stack.up();
      assert.equal(again.summary.resourceChanges?.["same"], 2);
      assert.equal(again.summary.resourceChanges?.["update"], undefined);
      stack = await stackOf(shell({ create: `${create}; true` }));
      assert.equal((await stack.up()).summary.resourceChanges?.["update"], 1);
      stack = await stackOf(shell({ create: `${create}; true`, trigger: 2 }));
      assert.equal((await stack.up()).summary.resourceChanges?.["replace"], 1);
      await stack.destroy();
      assert.equal(readFileSync(log, "utf8"), "created\nupdated\ncreated\ndeleted\ndeleted\n");
    });

    it("keeps secrets out of state, output and errors", async () => {
      const shown: string[] = [];
      const stack = await stackOf(shell({ create: "read -r x; echo got $x; echo $x >&2; false", stdin: secretValue }));
      const error: unknown = await stack
        .up({ onOutput: (text) => shown.push(text), onError: (text) => shown.push(text) })
        .catch((reason: unknown) => reason);
      assert.ok(error instanceof Error);
      assert.match(`${error.message}${shown.join("")}`, /Process exited with status 1/);
      assert.doesNotMatch(`${error.message}${shown.join("")}`, new RegExp(secretValue));
      const good = await stackOf(shell({ create: "cat", stdin: secretValue }));
      const result = await good.up({ onOutput: (text) => shown.push(text) });
      assert.equal(result.outputs["stdout"]?.secret, true);
      assert.equal(result.outputs["stdout"]?.value, secretValue);
      const state = readFileSync(join(folder, "backend/.pulumi/stacks/p/t.json"), "utf8");
      assert.doesNotMatch(state, new RegExp(secretValue));
      assert.doesNotMatch(state, /PRIVATE KEY/);
      assert.doesNotMatch(shown.join(""), new RegExp(secretValue));
      await good.destroy();
    });

    it("refuses a host whose key is not the expected one, and says which host", async () => {
      const other = host.hostPublicKey.replace(/.{8}$/, "AAAAAAAA");
      const stack = await stackOf(() => {
        new command.remote.Command("step", {
          connection: connection({ hostKey: other, dialErrorLimit: 0 }),
          create: "true",
        });
      });
      await assert.rejects(stack.up(), /root@127\.0\.0\.1:\d+: after 1 failed attempts: .*[Hh]ost/);
      await stack.destroy();
    });

    it("copies a file and runs local commands", async () => {
      const file = join(folder, "agent.service");
      writeFileSync(file, "[Unit]\n");
      const stack = await stackOf(() => {
        new command.remote.CopyToRemote("copy", {
          connection: connection(),
          source: new pulumi.asset.FileAsset(file),
          remotePath: "/etc/hive/new/agent.service",
        });
        return {
          local: new command.local.Command("here", {
            create: "echo $A-$PULUMI_COMMAND_STDOUT",
            environment: { A: "1" },
          }).stdout,
        };
      });
      const up = await stack.up();
      assert.equal(up.outputs["local"]?.value, "1-");
      assert.equal(readFileSync(join(host.root, "etc/hive/new/agent.service"), "utf8"), "[Unit]\n");
      await stack.destroy();
    });

    it("copies assets and archives by CopyToRemote", async () => {
      const of = (text: string) => (): object => {
        new command.remote.CopyToRemote("text", {
          connection: connection(),
          source: new pulumi.asset.StringAsset(text),
          remotePath: "/etc/hive/text",
        });
        const archive = new pulumi.asset.AssetArchive({ "a/b": new pulumi.asset.StringAsset("inner") });
        new command.remote.CopyToRemote("tree", {
          connection: connection(),
          source: archive,
          remotePath: "/etc/hive/tree",
        });
        return {};
      };
      await (await stackOf(of("one"))).up();
      assert.equal(readFileSync(join(host.root, "etc/hive/text"), "utf8"), "one");
      assert.equal(readFileSync(join(host.root, "etc/hive/tree/a/b"), "utf8"), "inner");
      const stack = await stackOf(of("two"));
      assert.equal((await stack.up()).summary.resourceChanges?.["update"], 1);
      assert.equal(readFileSync(join(host.root, "etc/hive/text"), "utf8"), "two");
      await stack.destroy();
    });
  });
});
