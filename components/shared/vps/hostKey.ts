/**
 * The host key by which a server is known from its first connection on. Pure; POSIX shell, run on the machine that brings
 * the stack up, once for each server: what it prints is kept in the stack's state.
 */

/** Looks for an SSH server that is still booting, 2 s apart. */
const tries = 90;

/**
 * The script. In its environment: `HIVE_HOST`, `HIVE_PORT`, and `HIVE_HOST_KEY`, what a trusted party says that the key
 * is. For a container of Proxmox, `HIVE_CONTAINER` is its id, and root on the host is asked, as whoever runs this logs in
 * there himself: `HIVE_PROXMOX_SSH` is for example `root@pve`. Where there is neither the server itself is asked, once,
 * and that is said.
 */
export function renderHostKey(): string {
  return `# Keeps the key $1, which $2 told. Anything else would be demanded for good, and no server has it.
keep() {
  if printf '%s' "$1" | tr '\\n' ' ' | grep -Eqx 'ssh-ed25519 [A-Za-z0-9+/]{68}'; then
    printf '%s' "$1"
  else
    printf '%s\\n' "$2: this is no SSH host key of the form ssh-ed25519 AAAA…, nothing was kept: $(printf '%s' "$1" | head -c 200)" >&2
    exit 1
  fi
}
if [ -n "$HIVE_HOST_KEY" ]; then
  keep "$HIVE_HOST_KEY" "$HIVE_HOST, as its provider tells"
  exit 0
fi
if [ -n "\${HIVE_CONTAINER-}" ] && [ -n "\${HIVE_PROXMOX_SSH-}" ]; then
  # A host that cannot be asked is no reason to believe a stranger.
  told=$(timeout 60 ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -- "$HIVE_PROXMOX_SSH" \\
    pct exec "$HIVE_CONTAINER" -- cat /etc/ssh/ssh_host_ed25519_key.pub </dev/null) || exit 1
  keep "$(printf '%s\\n' "$told" | head -n 1 | cut -d ' ' -f 1,2)" "$HIVE_PROXMOX_SSH"
  exit 0
fi
tries=0
while :; do
  shown=$(ssh-keyscan -T 5 -t ed25519 -p "$HIVE_PORT" "$HIVE_HOST" 2>/dev/null | grep -v '^#' | head -n 1)
  key=\${shown#* }
  case "$key" in "ssh-ed25519 "*) break ;; esac
  tries=$((tries + 1))
  if [ "$tries" -ge ${String(tries)} ]; then
    printf '%s\\n' "no SSH server with a key of ed25519 answers at $HIVE_HOST port $HIVE_PORT (ssh-keyscan, from OpenSSH, asked ${String(tries)} times)" >&2
    exit 1
  fi
  sleep 2
done
keep "$key" "$HIVE_HOST"
print=$(printf '%s\\n' "$key" | ssh-keygen -lf - 2>/dev/null | cut -d ' ' -f 2)
printf '%s\\n' "$HIVE_HOST: nobody could say beforehand which SSH host key it has. It showed \${print:-$key}, which is kept and demanded from now on; compare it on the server: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" >&2
`;
}

/** What an update does: the key stays the one of the server's first connection. */
export const keepHostKey = `printf '%s' "$PULUMI_COMMAND_STDOUT"`;

/** A public key out of Lightsail's `HostKeyAttributes`, as a line of known_hosts without its host. */
export function hostKeyIn(answer: unknown): string | undefined {
  const details = inside(answer, "accessDetails");
  const keys = inside(details, "hostKeys");
  for (const one of Array.isArray(keys) ? (keys as readonly unknown[]) : []) {
    const [algorithm, publicKey] = [inside(one, "algorithm"), inside(one, "publicKey")];
    if (algorithm !== "ssh-ed25519" || typeof publicKey !== "string") continue;
    const [, data] = /^(?:ssh-ed25519\s+)?([A-Za-z0-9+/]{68})(?:\s|$)/.exec(publicKey.trim()) ?? [];
    if (data !== undefined) return `ssh-ed25519 ${data}`;
  }
  return undefined;
}

function inside(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
