import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ssh2 from "ssh2";
import { stringify } from "yaml";
import type { LabInfo } from "../../lab/index.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { projectRoot } from "../setup/paths.ts";
import { labEnvironment } from "./environment.ts";
import { labConfig } from "./labConfig.ts";
import { type StateFolder, prepareStateFolder, readIfThere, writeWhole } from "./stateFolder.ts";
import type { Target } from "./target.ts";
import { readTracked } from "./tracked.ts";

/** The target that a running lab is. */
export function labTarget(stack: string, info: LabInfo, folder: StateFolder): Target {
  prepareStateFolder(folder);
  const tracked = readTracked(stack);
  const passphrase = readFileSync(folder.passphraseFile, "utf8").trim();
  const token = readFileSync(info.tokenFile, "utf8").trim();
  const sshPrivateKey = readFileSync(info.ssh.privateKeyFile, "utf8");
  const { host, port, user, hostPublicKey } = info.ssh;
  const checked = labConfig(tracked.config, {
    project: tracked.project,
    endpoint: info.apiUrl,
    apiToken: token,
    ssh: { host, port, user, hostKey: hostPublicKey.trim() },
    sshPrivateKey,
    adminPublicKey: publicKeyOf(sshPrivateKey),
    adminCidrs: [`${info.adminAddress}/32`],
    secretSeed: passphrase,
  });
  if (!checked.ok)
    throw new CommandFailure("the lab's configuration would reach beyond this machine", { faults: checked.faults });
  const { leftOut, ...written } = checked.value;
  if (leftOut.includes(`${tracked.project}:keeper`))
    progress(
      `lab: ${tracked.project}:keeper is left out here: its guests run no systemd. npm start runs a Keeper beside`,
    );
  const nodeName = written.plain[`${tracked.project}:nodeName`];
  writeProject(folder, tracked.project, tracked.settings);
  return {
    kind: "lab",
    project: tracked.project,
    stack,
    workDir: folder.project,
    env: labEnvironment(process.env, {
      backendFolder: folder.backend,
      passphraseFile: folder.passphraseFile,
      pulumiHome: join(folder.root, "pulumi-home"),
      home: folder.home,
    }),
    backendFolder: folder.backend,
    write: {
      ...written,
      digestFile: join(folder.root, "secrets.digest.json"),
      digestKey: createHmac("sha256", passphrase).update("secrets").digest("hex"),
    },
    host: {
      endpoint: info.apiUrl,
      apiToken: token,
      insecure: true,
      nodeName: typeof nodeName === "string" ? nodeName : "pve",
      ssh: { host, port, user, privateKey: sshPrivateKey, hostKey: hostPublicKey.trim() },
    },
  };
}

/** The public key, in one line, of a private key. */
function publicKeyOf(privateKey: string): string {
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error) throw new CommandFailure(`the lab's SSH key cannot be read: ${parsed.message}`);
  const [key] = Array.isArray(parsed) ? parsed : [parsed];
  return key === undefined ? "" : `${key.type} ${key.getPublicSSH().toString("base64")} hive-lab`;
}

/** The tracked Pulumi.yaml for the lab's own folder: the same project, its program named from there. */
function writeProject(folder: StateFolder, project: string, settings: Readonly<Record<string, unknown>>): void {
  const main = typeof settings["main"] === "string" ? settings["main"] : "stacks/index.ts";
  const { backend: _backend, ...rest } = settings;
  const content = stringify({
    runtime: { name: "nodejs", options: { typescript: false } },
    ...rest,
    name: project,
    main: relative(folder.project, join(projectRoot, main)),
  });
  const file = join(folder.project, "Pulumi.yaml");
  if (readIfThere(file) !== content) writeWhole(file, content);
}
