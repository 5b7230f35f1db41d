/**
 * What runs on the machine of whoever destroys an agent, before anything of it is deleted: its runner is asked to say
 * farewell, so that the registration goes with the server. Pure; POSIX shell. It never waits long, and fails only
 * when it is ended by a signal: with the Sentinel unreachable, or the server gone already, the lease runs out by itself.
 */
import { agentPaths } from "../agent/agentPlace.ts";
import { shellWord } from "../shell.ts";

/** Longest that all of it takes, s. */
const mostSec = 20;

/** The script; the address comes as `HIVE_HOST` in its environment, the private key on its standard input. */
export function renderFarewell(input: {
  readonly user: string;
  readonly port: number;
  /** The server's public key, checked when given: there is no secret in a farewell. */
  readonly hostKey?: string | undefined;
}): string {
  const { user, port, hostKey } = input;
  const asked = `${user === "root" ? "" : "sudo -n "}${agentPaths.root}/current/bin/hive-agent farewell`;
  // OpenSSH reads no key without its last line feed, which settings lose.
  const checking = hostKey === undefined ? "no" : "yes";
  return `folder=$(mktemp -d) || exit 0
trap 'rm -rf "$folder"' EXIT
# dash has no EXIT for a signal. And it ends a wait for one at once, but lets a program in the foreground end first.
trap 'kill "$asking" 2>/dev/null; exit 1' HUP INT TERM
umask 077
{ cat; echo; } >"$folder/key"
${hostKey === undefined ? ": >" : `printf '%s %s\\n' "[$HIVE_HOST]:${String(port)},$HIVE_HOST" ${shellWord(hostKey)} >`}"$folder/known"
timeout ${String(mostSec)} ssh -F /dev/null -i "$folder/key" -p ${String(port)} -l ${shellWord(user)} \\
  -o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=${checking} \\
  -o UserKnownHostsFile="$folder/known" -o LogLevel=ERROR "$HIVE_HOST" ${shellWord(asked)} </dev/null &
asking=$!
wait "$asking" ||
  printf '%s\\n' "no farewell from $HIVE_HOST (status $?): its registration ends with its lease" >&2
exit 0
`;
}
