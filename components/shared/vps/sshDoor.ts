/**
 * The door by which the Sentinel hands signals over by SSH: an account of its own on the agent's server, locked but for one
 * key that runs one command, from one place. Pure; POSIX shell, run as root.
 */
import { agentPaths } from "../agent/agentPlace.ts";
import { shellVariables } from "../shell.ts";

/** The account: no password, no right of its own, nothing of it its own to write. */
export const signalUser = "hive-signal";

/** Whom the door lets in. */
export interface SshDoor {
  /** The agent that it leads to. */
  readonly agent: string;
  /** Public half of the Sentinel's key. */
  readonly key: string;
  /** Addresses and networks that the Sentinel comes from. */
  readonly from: readonly string[];
}

/** The one line of the account's authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). */
export function authorizedLine({ agent, key, from }: SshDoor): string {
  const command = `${agentPaths.root}/current/bin/hive-agent signal --name ${agent}`;
  return `restrict,command="${command}",from="${from.join(",")}" ${key} hive-sentinel\n`;
}

/** Part of a script: takes the door away, with its account, where an agent had one before; else it does nothing. */
export const shutSshDoor: string = `if getent passwd ${signalUser} >/dev/null; then
  rm -rf /var/lib/${signalUser}
  # Also while the Sentinel is logged in: it comes in no more.
  userdel --force ${signalUser}
fi
`;

/** The step that makes the door; again without a change it does nothing. */
export function renderSshDoor(door: SshDoor): string {
  const own = shellVariables({ user: signalUser, home: `/var/lib/${signalUser}`, line: authorizedLine(door) });
  return `set -eu
umask 022
${own}
# The shell runs the one command of the key.
getent passwd "$user" >/dev/null ||
  useradd --system --user-group --home-dir "$home" --no-create-home --shell /bin/sh "$user"
# A password that nobody has. Not "!": without PAM sshd takes that for an account that is locked altogether.
usermod --password '*' "$user"
install -d -m 755 "$home" "$home/.ssh"
printf '%s' "$line" >"$home/.ssh/authorized_keys.new"
mv -f "$home/.ssh/authorized_keys.new" "$home/.ssh/authorized_keys"
[ -s /etc/ssh/ssh_host_ed25519_key.pub ] || {
  printf '%s\n' "heavy-agent: this server has no SSH host key of ed25519 to show the Sentinel: ssh-keygen -A" >&2
  exit 1
}
`;
}
