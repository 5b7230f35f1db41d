import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ssh2 from "ssh2";
import { stringify } from "yaml";
import type { LabInfo } from "../../lab/index.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import { projectRoot } from "../setup/paths.ts";
import { ownSecrets } from "../agents/stackConfig.ts";
import { agentOfStack } from "../args/stacks.ts";
import { labEnvironment } from "./environment.ts";
import { labAgentConfig } from "./labAgent.ts";
import { labConfig } from "./labConfig.ts";
import { type StateFolder, prepareStateFolder, readIfThere, writeWhole } from "./stateFolder.ts";
import type { Target } from "./target.ts";
import { readTracked } from "./tracked.ts";

/** The target that a running lab is. */
export function labTarget(stack: string, info: LabInfo, folder: StateFolder): Target {
  prepareStateFolder(folder);
  const { project, settings } = readTracked(stack);
  const passphrase = readFileSync(folder.passphraseFile, "utf8").trim();
  const token = readFileSync(info.tokenFile, "utf8").trim();
  const sshPrivateKey = readFileSync(info.ssh.privateKeyFile, "utf8");
  const { host, port, user, hostPublicKey } = info.ssh;
  const ssh = { host, port, user, hostKey: hostPublicKey.trim() };
  const connection = { project, endpoint: info.apiUrl, apiToken: token };
  const isAgent = agentOfStack(stack) !== undefined;
  const written = isAgent
    ? labAgentConfig(readTracked(stack, folder.stacks).config, { ...connection, network: info.network })
    : labConfig(readTracked(stack).config, {
        ...{ ...connection, ssh, sshPrivateKey, secretSeed: passphrase },
        adminPublicKey: publicKeyOf(sshPrivateKey),
        adminCidrs: [`${info.adminAddress}/32`],
      });
  if (!written.ok)
    throw new CommandFailure("the lab's configuration would reach beyond this machine", { faults: written.faults });
  const { leftOut, plain, secrets } = written.value;
  if (leftOut.includes(`${project}:keeper`))
    progress(
      `lab: ${project}:keeper is left out here: the lab's Proxmox host runs no units. npm start runs a Keeper beside`,
    );
  const nodeName = plain[`${project}:nodeName`];
  writeProject(folder, project, settings);
  return {
    kind: "lab",
    project,
    stack,
    workDir: folder.project,
    env: labEnvironment(process.env, {
      backendFolder: folder.backend,
      passphraseFile: folder.passphraseFile,
      pulumiHome: join(folder.root, "pulumi-home"),
      home: folder.home,
      aws: info.aws,
    }),
    backendFolder: folder.backend,
    write: {
      plain,
      secrets,
      ...(isAgent ? { kept: ownSecrets.map((name) => `${project}:${name}`) } : {}),
      digestFile: isAgent ? join(folder.stacks, `${stack}.digest.json`) : join(folder.root, "secrets.digest.json"),
      digestKey: createHmac("sha256", passphrase).update("secrets").digest("hex"),
    },
    host: {
      endpoint: info.apiUrl,
      apiToken: token,
      insecure: true,
      nodeName: typeof nodeName === "string" ? nodeName : "pve",
      ssh: { ...ssh, privateKey: sshPrivateKey },
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
