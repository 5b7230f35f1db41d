import * as pulumi from "@pulumi/pulumi";
import { shellVariables } from "../shared/shell.ts";
import { rootStep, type HostConnection } from "./rootStep.ts";
import type { StepScripts } from "./storageScripts.ts";

const unit = "hive-lxc-cpuset.service";

/**
 * Keeps every container off the dedicated cores. Proxmox has no affinity for containers and its daemon spreads them
 * over the CPUs of their common cgroup, so the limit goes there, before the guests start.
 */
export function renderCpusetStep(cpus: string): StepScripts {
  const file = `/etc/systemd/system/${unit}`;
  const head = `set -eu\n${shellVariables({ HIVE_CONTAINER_CPUS: cpus })}\n`;
  return {
    create: `${head}mkdir -p /etc/systemd/system
cat >${file}.new <<'HIVE_END'
[Unit]
Description=Hive: CPUs that containers may use
Before=pve-guests.service
ConditionPathExists=/sys/fs/cgroup/cgroup.controllers

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control && mkdir -p /sys/fs/cgroup/lxc && echo ${cpus} >/sys/fs/cgroup/lxc/cpuset.cpus'

[Install]
WantedBy=multi-user.target
HIVE_END
chmod 644 ${file}.new
mv ${file}.new ${file}
systemctl daemon-reload
systemctl enable ${unit}
systemctl restart ${unit}
systemctl is-active ${unit} >/dev/null || { echo "${unit} is not active" >&2; exit 1; }
echo "containers run on CPUs $HIVE_CONTAINER_CPUS"
`,
    delete: `${head}systemctl disable --now ${unit} || true
rm -f ${file} ${file}.new
systemctl daemon-reload
if [ -w /sys/fs/cgroup/lxc/cpuset.cpus ]; then echo >/sys/fs/cgroup/lxc/cpuset.cpus; fi
`,
  };
}

/** Arguments of {@link HostCpuset}. */
export interface HostCpusetArgs {
  /** CPU list that containers share, for example `3-15,19-31`. */
  readonly containerCpus: string;
  readonly host: HostConnection;
}

/** The CPUs that the host's containers share. */
export class HostCpuset extends pulumi.ComponentResource {
  constructor(name: string, args: HostCpusetArgs, opts?: pulumi.ComponentResourceOptions) {
    const { host, ...plain } = args;
    super("hive:index:HostCpuset", name, plain, opts);
    rootStep(`${name}-containers`, { host, ...renderCpusetStep(args.containerCpus) }, { parent: this });
    this.registerOutputs({});
  }
}
