/** What the agent's install scripts share: POSIX shell, run as root on the machine that gets the agent. Pure. */
import { shellVariables } from "../shell.ts";
import { agentConfigFile, agentPathsIn, agentUnitName, type AgentPart } from "./agentPlace.ts";

/** What every script is told. A place on a machine has one part of the agent: two would share links and folders. */
export type InstallContext = AgentPart & {
  /** Who may change the installation: `project/stack`. */
  readonly owner: string;
  /** How long an agent may take to report health, s. */
  readonly healthSec: number;
  /** How long the same process must have been healthy without a break, s; whole hundredths. */
  readonly steadySec: number;
};

/** What the mark in a place says of the part that it has. */
export function partName({ role, side }: AgentPart): string {
  return side ?? role;
}

/** The arguments with which the agent runs as a part. */
export function partArguments({ role, side }: AgentPart): string {
  return side === undefined ? role : `${role} --side ${side}`;
}

/** Variables that the steps need one or another of. */
export interface Places {
  readonly unit: string;
  readonly unit_file: string;
  readonly config_file: string;
  readonly secrets: string;
  readonly uploads: string;
  readonly state: string;
  readonly runtime: string;
  readonly log: string;
  /** Times are in hundredths of a second, as the kernel's uptime is. */
  readonly HIVE_HEALTH_CS: number;
  readonly HIVE_STEADY_CS: number;
}

/** The head of a script: its variables and the functions that speak. */
export function scriptHead(
  context: InstallContext,
  used: readonly (keyof Places)[],
  own: Readonly<Record<string, string | number>> = {},
): string {
  const { root, units, secrets, upload, state, runtime, log } = agentPathsIn(context);
  const unit = agentUnitName(context.role, context);
  const places: Places = {
    unit,
    unit_file: `${units}/${unit}`,
    config_file: agentConfigFile(context.role, context),
    ...{ secrets, uploads: upload, state, runtime, log },
    HIVE_HEALTH_CS: Math.round(context.healthSec * 100),
    HIVE_STEADY_CS: Math.round(context.steadySec * 100),
  };
  return `set -eu
umask 077
${shellVariables({ HIVE_OWNER: context.owner, HIVE_SIDE: partName(context), root, ...Object.fromEntries(used.map((name) => [name, places[name]])), ...own })}
say() { printf 'hive-agent: %s\\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}
ours() { [ "$(cat "$root/owner" 2>/dev/null)" = "$HIVE_OWNER" ]; }
# A mark of before sides were noted is of any side.
other_side() { [ -s "$root/side" ] && [ "$(cat "$root/side")" != "$HIVE_SIDE" ]; }
`;
}

/** Ends a removal quietly where there is nothing of ours. */
export const onlyOurs = `[ -e "$root" ] || exit 0
if ! ours; then
  say "$root is not of this stack and stays"
  exit 0
fi
if other_side; then
  say "$root is of the other side and stays"
  exit 0
fi
`;

/** Why a place that has another part is left alone, as the script says it. */
function refusal({ role }: AgentPart): string {
  const has = '$(cat "$root/side")';
  return role === "keeper"
    ? `this machine has another agent ($root: ${has}); nothing was changed: remove that one first, give the $HIVE_SIDE side a machine of its own, or, for the Keeper's two sides on one machine, install the arbiter with besideHost`
    : `this machine has another agent (${has}), and one machine has one; nothing was changed: remove that agent first, or give the ${role} a machine of its own`;
}

/** Stops where the other place of the machine has an arbiter already: two would both hold the one card. */
function onlyArbiter({ side, besideHost = false }: AgentPart): string {
  if (side !== "arbiter") return "";
  const other = agentPathsIn({ besideHost: !besideHost }).root;
  return `if [ "$(cat ${other}/side 2>/dev/null)" = "$HIVE_SIDE" ]; then
  fail "this machine has an arbiter already (${other}), and the card has one; nothing was changed: remove that one first"
fi
`;
}

/** Makes our folder with the mark of stack and side in it, in one step, and stops at a stranger's. */
export function claiming(part: AgentPart): string {
  return `${onlyArbiter(part)}if [ ! -e "$root" ]; then
  rm -rf "$root.new"
  mkdir -p "$root.new"
  chmod 755 "$root.new"
  printf '%s\\n' "$HIVE_OWNER" >"$root.new/owner"
  printf '%s\\n' "$HIVE_SIDE" >"$root.new/side"
  mv -T "$root.new" "$root"
fi
ours || fail "$root is not of this stack (its owner file says '$(cat "$root/owner" 2>/dev/null || true)', wanted '$HIVE_OWNER'); remove that agent with its own stack first"
if other_side; then
  fail "${refusal(part)}"
fi
if [ ! -s "$root/side" ]; then
  printf '%s\\n' "$HIVE_SIDE" >"$root/side.new"
  mv -T "$root/side.new" "$root/side"
fi
`;
}

/** `put FILE MODE TEXT` and `point NAME RELEASE` replace a file and a link in one step each. */
export const replacing = `put() {
  printf '%s' "$3" >"$1.new"
  chmod "$2" "$1.new"
  sync "$1.new"
  mv -f "$1.new" "$1"
}
point() {
  ln -sfn "$2" "$root/$1.new"
  mv -T "$root/$1.new" "$root/$1"
}
`;

/**
 * `activate` starts the installed agent anew and waits until one process of it, another one than before, has reported
 * health for a while without a break. Time is the kernel's uptime: a clock that is set meanwhile changes nothing.
 */
export const activation = `uptime_cs() {
  read -r up _ </proc/uptime
  printf '%s\\n' "\${up%.*}\${up#*.}"
}
main_pid() { systemctl show --property=MainPID --value "$unit"; }
reported=
probe() {
  systemctl is-active --quiet "$unit" || { reported="the unit is $(systemctl is-active "$unit" || true)"; return 1; }
  reported=$(timeout 5 "$root/current/bin/hive-agent" status --json --config "$config_file" 2>&1) || return 1
  # Health is said: an agent that only answers is not well.
  case "$reported" in *'"healthy":true'* | *'"healthy": true'*) ;; *) return 1 ;; esac
}
await_health() {
  deadline=$(($(uptime_cs) + HIVE_HEALTH_CS))
  steady=
  while :; do
    now=$(uptime_cs)
    pid=$(main_pid)
    if [ "$pid" != "$1" ] && probe && [ "$(main_pid)" = "$pid" ]; then
      if [ "$pid" != "$steady" ]; then
        steady=$pid
        since=$now
      fi
      [ $((now - since)) -lt "$HIVE_STEADY_CS" ] || return 0
    else
      steady=
      # Given up by systemd, or dying again and again: waiting longer changes nothing.
      if systemctl is-failed --quiet "$unit"; then return 1; fi
      [ "$(systemctl show --property=NRestarts --value "$unit")" -lt 5 ] || return 1
    fi
    [ "$now" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}
activate() {
  systemctl enable --quiet --no-reload "$unit" || return 1
  systemctl daemon-reload || return 1
  systemctl reset-failed "$unit" 2>/dev/null || true
  before=$(main_pid)
  [ "$before" != 0 ] || before=none
  systemctl restart --no-block "$unit" || return 1
  await_health "$before"
}
tell_journal() {
  printf '%s\\n' "$reported" | head -c 2000 >&2
  say "last lines of its journal:"
  journalctl --unit="$unit" --lines=40 --no-pager --output=cat >&2 || true
}
`;
