import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** The lab's stand-in for AWS: its address, and a file with the credentials that it knows. */
export interface LabAws {
  readonly url: string;
  readonly region: string;
  readonly credentialsFile: string;
}

/** What AWS's own tools read, for the stand-in. The file is the lab's: its values are worth nothing elsewhere. */
function labAwsVariables({ url, region, credentialsFile }: LabAws): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_LIGHTSAIL: url,
    AWS_REGION: region,
    AWS_SHARED_CREDENTIALS_FILE: credentialsFile,
    AWS_EC2_METADATA_DISABLED: "true",
  };
}

/**
 * Lets this very process forget the user's own AWS, and see the lab's: a stack's program runs in it and looks prices up.
 */
export function forgetAws(env: NodeJS.ProcessEnv, aws: LabAws): void {
  for (const name of Object.keys(env)) if (name.startsWith("AWS_")) delete env[name];
  Object.assign(env, labAwsVariables(aws));
}

/**
 * The environment of an engine that works on the lab: without any variable by which the user's own backend, login,
 * Proxmox host or SSH agent could be reached.
 */
export function labEnvironment(
  env: Environment,
  lab: {
    readonly backendFolder: string;
    readonly passphraseFile: string;
    readonly pulumiHome: string;
    /** Home folder of the engine and its providers; made by whoever makes the state folder. */
    readonly home: string;
    /** The lab's stand-in for AWS. @default the lab has none */
    readonly aws?: LabAws | undefined;
  },
): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (/^(PULUMI_|PROXMOX_VE_|PM_|AWS_|AZURE_|GOOGLE_|SSH_AUTH_SOCK$|SSH_AGENT_PID$|HIVE_PROXMOX_SSH$)/.test(name))
      continue;
    kept[name] = value;
  }
  return {
    ...kept,
    // The Proxmox provider keeps the host keys it has met in ~/.ssh/known_hosts: a lab's key belongs not into the user's.
    HOME: lab.home,
    ...(lab.aws === undefined ? {} : labAwsVariables(lab.aws)),
    PULUMI_BACKEND_URL: `file://${lab.backendFolder}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: lab.passphraseFile,
    PULUMI_HOME: lab.pulumiHome,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // The backend's folder is ours alone: 20 backups of each state would only grow.
    PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: "true",
  };
}

/** The user's environment as it is. */
export function realEnvironment(env: Environment): Record<string, string> {
  const kept: Record<string, string> = { PULUMI_SKIP_UPDATE_CHECK: "true" };
  for (const [name, value] of Object.entries(env)) if (value !== undefined) kept[name] = value;
  return kept;
}

/**
 * The environment of the engine that the set-up has made ready. `PULUMI_HOME`, where the login to the backend is kept, is
 * the target's own and never the set-up's: on a real host it is the user's, `~/.pulumi` unless they set another.
 */
export function engineEnvironment(
  target: { readonly kind: "lab" | "real"; readonly env: Readonly<Record<string, string>> },
  toolchain: Readonly<Record<string, string>>,
  userHome: string,
): Record<string, string> {
  const { PULUMI_HOME: setUp, ...rest } = toolchain;
  const home = target.env["PULUMI_HOME"] ?? (target.kind === "real" ? join(userHome, ".pulumi") : setUp);
  return { ...target.env, ...rest, ...(home === undefined ? {} : { PULUMI_HOME: home }) };
}
