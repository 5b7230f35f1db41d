import { shellVariables } from "./shell.ts";

/**
 * Fields of a guest's configuration that Proxmox lets only `root@pam` itself set, never an API token, root's own
 * included. Source: `PVE/API2/Qemu.pm` of qemu-server, `check_vm_modify_config_perm`: options in none of its privilege
 * lists end in "only root can set '<option>' config". We set those of {@link RootOnlySettings} by `qm set` over SSH.
 */
export const rootOnlyFields = ["affinity", "args", "hookscript", "hugepages", "keephugepages"] as const;

/** What the root-only step of one VM sets. */
export interface RootOnlySettings {
  readonly vmId: number;
  /** CPU list for the vCPU threads, for example `1-2,17-18`. */
  readonly affinity: string;
  /** Size of the huge pages in MiB (2 or 1024), or `undefined` for ordinary pages. */
  readonly hugepagesMiB?: 2 | 1024 | undefined;
  /** Whether the first run of the step also starts the VM, with its pins in place from its first instruction. */
  readonly start: boolean;
}

/** The settings as the variables that stand at the head of the step's script; policies read them there. */
export function rootStepVariables(settings: RootOnlySettings): Readonly<Record<string, string>> {
  return {
    HIVE_VMID: String(settings.vmId),
    HIVE_AFFINITY: settings.affinity,
    HIVE_HUGEPAGES: settings.hugepagesMiB === undefined ? "" : String(settings.hugepagesMiB),
  };
}

/** Reads back what {@link rootStepVariables} wrote, from a script's text. */
export function parseRootStep(script: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [, name, value] of script.matchAll(/^(HIVE_[A-Z_]+)='([^']*)'$/gm)) {
    if (name !== undefined && value !== undefined) found[name] = value;
  }
  return found;
}

// Every call of `qm` starts an interpreter on the host (most of a second on a small one): one reading serves until a change.
const apply = `
config=$(qm config "$HIVE_VMID")
value() { printf '%s\\n' "$config" | sed -n "s/^$1: //p"; }
set --
dropped=
change() {
  [ "$(value "$1")" != "$2" ]
}
if change hugepages "$HIVE_HUGEPAGES"; then
  if [ -n "$HIVE_HUGEPAGES" ]; then set -- "$@" --hugepages "$HIVE_HUGEPAGES"; else dropped="$dropped,hugepages"; fi
fi
if change affinity "$HIVE_AFFINITY"; then
  if [ -n "$HIVE_AFFINITY" ]; then set -- "$@" --affinity "$HIVE_AFFINITY"; else dropped="$dropped,affinity"; fi
fi
if [ -n "$dropped" ]; then set -- "$@" --delete "\${dropped#,}"; fi
# One call for all of them, which Proxmox writes at once: a guest that has one has the others, wherever a run is cut off.
if [ $# -gt 0 ]; then
  qm set "$HIVE_VMID" "$@"
  config=$(qm config "$HIVE_VMID")
  for field in hugepages affinity; do
    if [ "$field" = hugepages ]; then wanted=$HIVE_HUGEPAGES; else wanted=$HIVE_AFFINITY; fi
    if change "$field" "$wanted"; then
      echo "guest $HIVE_VMID: $field reads back as '$(value "$field")', wanted '$wanted'" >&2
      exit 1
    fi
  done
fi`;

// A VM that runs keeps its old pins until its next start; the Keeper moves the threads that already run.
const report = `
echo "guest $HIVE_VMID: affinity=$(value affinity) hugepages=$(value hugepages)"`;

const start = `
if [ "$(qm status "$HIVE_VMID")" = "status: stopped" ]; then qm start "$HIVE_VMID" >&2; fi`;

/**
 * The step's scripts, to be run as root on the Proxmox host. Both are idempotent and read back what they set;
 * only `create` starts the guest, for its run state is the Keeper's afterwards.
 */
export function renderRootStep(settings: RootOnlySettings): { readonly create: string; readonly update: string } {
  const head = `set -eu\n${shellVariables(rootStepVariables(settings))}`;
  const update = `${head}${apply}${report}\n`;
  return { create: settings.start ? `${head}${apply}${report}${start}\n` : update, update };
}
