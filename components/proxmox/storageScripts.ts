import { shellVariables, shellWord } from "../shared/shell.ts";
import type { SnapshotSchedule } from "../shared/storagePlan.ts";

/** Scripts of one step over SSH. */
export interface StepScripts {
  readonly create: string;
  readonly delete: string;
}

/**
 * Makes the dataset below an existing pool, marked as ours by the ZFS property `hive:stack` in the creating call; one
 * that is there without that mark is somebody else's and stops the run. Removal leaves the dataset, and every snapshot
 * in it, where it stands while anything else is still below it.
 */
export function renderDatasetStep(pool: string, path: string, owner: string): StepScripts {
  const head = `set -eu
${shellVariables({ HIVE_POOL: pool, HIVE_DATASET: path, HIVE_OWNER: owner })}
there() { zfs list -H -o name "$HIVE_DATASET" >/dev/null 2>&1; }
owner() { zfs get -H -o value hive:stack "$HIVE_DATASET"; }
`;
  return {
    create: `${head}if ! zpool list -H -o name "$HIVE_POOL" >/dev/null 2>&1; then
  echo "ZFS pool $HIVE_POOL does not exist on this host; create it, or name an existing one in hive:storage.pool" >&2
  exit 1
fi
there || zfs create -p -o "hive:stack=$HIVE_OWNER" "$HIVE_DATASET"
found=$(owner)
if [ "$found" != "$HIVE_OWNER" ]; then
  echo "dataset $HIVE_DATASET is not of this stack (hive:stack is '$found', wanted '$HIVE_OWNER'); name another one in hive:storage.dataset" >&2
  exit 1
fi
zfs list -H -o name "$HIVE_DATASET"
`,
    delete: `${head}there || exit 0
found=$(owner)
if [ "$found" != "$HIVE_OWNER" ]; then
  echo "dataset $HIVE_DATASET is not of this stack (hive:stack is '$found') and stays" >&2
  exit 0
fi
below=$(zfs list -H -o name -r -t filesystem,volume "$HIVE_DATASET")
if [ "$below" != "$HIVE_DATASET" ]; then
  echo "dataset $HIVE_DATASET still holds other datasets and stays, with its snapshots" >&2
  exit 0
fi
snapshots=$(zfs list -H -o name -r -t snapshot "$HIVE_DATASET")
for snapshot in $snapshots; do
  case "$snapshot" in *@hive-*) zfs destroy "$snapshot" ;; esac
done
zfs destroy "$HIVE_DATASET"
`,
  };
}

const snapshotProgram = "/usr/local/sbin/hive-snapshot";
const unitFolder = "/etc/systemd/system";

/** The program that a timer runs: one snapshot of each covered disk, then the oldest beyond `keep` go. */
export function renderSnapshotProgram(path: string, guests: readonly number[]): string {
  return `#!/bin/sh
# hive-snapshot LABEL KEEP: snapshots the disks of the covered guests and prunes older ones of the same label.
# A disk that fails does not keep the others from their snapshot, and a covered guest without a disk is a failure too.
set -eu
label=$1
keep=$2
failed=0
now=$(date -u +%Y%m%dT%H%M%SZ)
disks=$(zfs list -H -o name -r ${shellWord(path)})
for guest in ${guests.join(" ")}; do
  covered=$(printf '%s\\n' "$disks" | grep -E "/(vm|base|subvol)-$guest-" || true)
  if [ -z "$covered" ]; then
    echo "guest $guest has no disk below ${path}" >&2
    failed=1
  fi
  for disk in $covered; do
    zfs snapshot "$disk@hive-$label-$now" || failed=1
    taken=$(zfs list -H -o name -t snapshot -s creation "$disk" | grep -F "$disk@hive-$label-" || true)
    for old in $(printf '%s\\n' "$taken" | head -n "-$keep"); do zfs destroy "$old" || failed=1; done
  done
done
exit "$failed"
`;
}

/** The two unit files of one schedule, by file name. */
export function renderSnapshotUnits(schedule: SnapshotSchedule): Readonly<Record<string, string>> {
  const unit = `hive-snapshot-${schedule.label}`;
  return {
    [`${unit}.service`]: `[Unit]
Description=Hive ${schedule.label} snapshots (${String(schedule.keep)} kept)
After=zfs.target

[Service]
Type=oneshot
ExecStart=${snapshotProgram} ${schedule.label} ${String(schedule.keep)}
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
`,
    [`${unit}.timer`]: `[Unit]
Description=Hive ${schedule.label} snapshots

[Timer]
OnCalendar=${schedule.onCalendar}
Persistent=true
RandomizedDelaySec=30

[Install]
WantedBy=timers.target
`,
  };
}

// The files' own last line ends each of these documents, so nothing in them is expanded by the shell.
function writeFile(path: string, mode: string, content: string): string {
  return `cat >${shellWord(`${path}.new`)} <<'HIVE_END'\n${content}HIVE_END\nchmod ${mode} ${shellWord(`${path}.new`)}\nmv ${shellWord(`${path}.new`)} ${shellWord(path)}\n`;
}

/** Installs the snapshot program and its timers; policies read the covered guests from `HIVE_SNAPSHOT_GUESTS`. */
export function renderSnapshotStep(input: {
  readonly path: string;
  readonly schedules: readonly SnapshotSchedule[];
  readonly guests: readonly number[];
}): StepScripts {
  const head = `set -eu\n${shellVariables({ HIVE_SNAPSHOT_GUESTS: input.guests.join(",") })}\n`;
  const timers = input.schedules.map((schedule) => `hive-snapshot-${schedule.label}.timer`).join(" ");
  const units = input.schedules.map((schedule) => renderSnapshotUnits(schedule));
  const files = units
    .flatMap((unit) => Object.entries(unit))
    .map(([file, text]) => writeFile(`${unitFolder}/${file}`, "644", text))
    .join("");
  return {
    create: `${head}mkdir -p /usr/local/sbin ${unitFolder}
${writeFile(snapshotProgram, "755", renderSnapshotProgram(input.path, input.guests))}${files}systemctl daemon-reload
systemctl enable --now ${timers}
for timer in ${timers}; do systemctl is-active "$timer" >/dev/null || { echo "$timer is not active" >&2; exit 1; }; done
echo "snapshots of guests $HIVE_SNAPSHOT_GUESTS: ${timers}"
`,
    delete: `${head}systemctl disable --now ${timers} || true
rm -f ${[snapshotProgram, ...units.flatMap((unit) => Object.keys(unit).map((file) => `${unitFolder}/${file}`))]
      // A creation that was cut off may have left a file half-written beside its place.
      .flatMap((file) => [file, `${file}.new`])
      .join(" ")}
systemctl daemon-reload
`,
  };
}
