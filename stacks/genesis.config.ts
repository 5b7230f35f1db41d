/** The one place that reads the configuration of stack `genesis`. */
import { existsSync } from "node:fs";
import type * as pulumi from "@pulumi/pulumi";
import type { KeeperSecrets } from "../components/host/index.ts";
import type { KeeperSettings } from "../components/shared/agent/keeperSettings.ts";
import type { GenesisSettings } from "../components/shared/genesisSettings.ts";
import { fault } from "../components/shared/check.ts";
import { configNamespace, parseGenesisConfig } from "../components/shared/genesisConfig.ts";
import { configError, rawConfig } from "./rawConfig.ts";

/** Secrets of stack `genesis`; they stay Pulumi secrets wherever they flow. */
export interface GenesisSecrets {
  /** Proxmox API token, `USER@REALM!NAME=UUID`. */
  readonly apiToken: pulumi.Output<string>;
  /** Private key for the root-only steps on the host. */
  readonly sshPrivateKey: pulumi.Output<string>;
  /** Secrets of the Keeper; undefined where it is not installed. */
  readonly keeper?: KeeperSecrets | undefined;
}

/**
 * Settings and secrets of stack `genesis`. @throws RunError with every fault of the configuration at once: property
 * path, value (never a secret's), limit and fix.
 */
export function readGenesisConfig(config: pulumi.Config): {
  readonly settings: GenesisSettings;
  readonly secrets: GenesisSecrets;
} {
  const checked = parseGenesisConfig(rawConfig());
  const subject = "Configuration of stack genesis";
  if (!checked.ok) throw configError(subject, checked.faults);
  const settings = checked.value;
  const { keeper } = settings;
  // Looked for before anything is declared: the engine would stop at it half-way.
  if (keeper !== undefined && !existsSync(keeper.tarball)) {
    const limit = "a file on this machine, from the project's folder or from /";
    const fix = "Download the release's tarball, or correct the path.";
    throw configError(subject, [fault(`${configNamespace}:keeper.tarball`, keeper.tarball, limit, fix)]);
  }
  const secrets = {
    apiToken: config.requireSecret("apiToken"),
    sshPrivateKey: config.requireSecret("sshPrivateKey"),
    keeper: keeper === undefined ? undefined : keeperSecrets(config, keeper),
  };
  return { settings, secrets };
}

function keeperSecrets(config: pulumi.Config, keeper: KeeperSettings): KeeperSecrets {
  return {
    linkKey: config.requireSecret("keeperLinkKey"),
    proxmoxToken: config.requireSecret("keeperProxmoxToken"),
    watchdogKey: keeper.watchdog === undefined ? undefined : config.requireSecret("keeperWatchdogKey"),
  };
}
