/** The checks of `hive-agent doctor` for the Sentinel. */
import type { SentinelConfig } from "../../../../components/shared/agent/sentinelConfig.ts";
import type { DoctorCheck } from "./doctor.ts";
import { secretFileCheck } from "./machineChecks.ts";

/** Secrets of the extensions, with what each is for. */
function watchSecrets({ channels, reaper }: SentinelConfig["watch"]): readonly (readonly [string, string])[] {
  const { proxmox, lightsail } = reaper;
  return [
    ...channels.flatMap((channel): [string, string][] =>
      channel.type === "webhook"
        ? [[`secret of ${channel.name}`, channel.secretFile]]
        : [
            [`topic of ${channel.name}`, channel.topicFile],
            ...(channel.tokenFile === undefined
              ? []
              : [[`token of ${channel.name}`, channel.tokenFile] satisfies [string, string]]),
          ],
    ),
    ...(proxmox === undefined ? [] : [["Proxmox token", proxmox.tokenFile] as const]),
    ...(lightsail === undefined ? [] : [["Lightsail credentials", lightsail.credentialsFile] as const]),
  ];
}

export function sentinelChecks({ hooks, ssh, watch }: SentinelConfig): readonly DoctorCheck[] {
  return [
    ...(hooks?.list ?? []).map(({ name, secretFile }) => secretFileCheck(`webhook ${name}`, secretFile)),
    ...watch.watchdogs.flatMap((one) =>
      one.type === "heartbeat" && one.tokenFile !== undefined
        ? [secretFileCheck(`token of heartbeat ${one.name}`, one.tokenFile)]
        : [],
    ),
    ...(ssh === undefined ? [] : [secretFileCheck("SSH key", ssh.keyFile)]),
    ...watchSecrets(watch).map(([name, file]) => secretFileCheck(name, file)),
  ];
}
