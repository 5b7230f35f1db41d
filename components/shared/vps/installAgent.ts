/**
 * Scripts that put an agent's own sources, its runtime and its unit on its server, and that wait until it is looked
 * after. Pure; POSIX shell, run as root. Each may be killed at any point: the next run goes on from what it finds.
 *
 * Below /opt/heavy-agent: one folder for each packing of the sources, named by its checksum, and a link with the agent's
 * name to the one that runs. The one before it stays until the next: a run that is going on may still read from it.
 */
import { agentPaths, agentUnitName } from "../agent/agentPlace.ts";
import { runFolder } from "../agent/throwawayUnits.ts";
import { shellVariables, shellWord } from "../shell.ts";
import { heavyAgentPaths } from "./heavyAgent.ts";
import { heavyAgentUnitName, heavyAgentUser, type UnitFile } from "./heavyAgentUnit.ts";
import { isPlainText } from "./unitText.ts";

/** What an agent runs on. */
export type AgentRuntime =
  /** The Node that the runner itself comes with: pinned, checksummed, and nothing is fetched. */
  | "node"
  /** Docker from the distribution; its containers are in the slice of the agents, and so within their limits. */
  | "docker";

/** Where the tarball of the sources arrives. */
export function sourcesUpload(sha256: string): string {
  return `${agentPaths.upload}-sources/${sha256}.tar`;
}

/** A value in double quotes as systemd.exec(5), "EnvironmentFile=", reads it back. */
function quoted(value: string): string {
  return `"${value.replace(/["\\$`]/g, String.raw`\$&`)}"`;
}

/** What is wrong with an environment, as one sentence without its values; undefined when nothing is. */
export function environmentFault(environment: Readonly<Record<string, string>>): string | undefined {
  const names = Object.entries(environment).flatMap(([name, value]) =>
    /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) && !name.startsWith("HEAVY_AGENT_") && isPlainText(value) ? [] : [name],
  );
  return names.length === 0
    ? undefined
    : `environment: ${names.join(", ")}: a name of letters, digits and _ that does not begin with HEAVY_AGENT_, and a value of one line are needed`;
}

/** The file that systemd reads before it becomes the agent's user; the same for the same values. */
export function environmentText(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join("");
}

const head = `set -eu
umask 022
say() { printf 'heavy-agent: %s\\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}
`;

const put = `put() {
  if [ "$(cat "$1" 2>/dev/null; echo .)" = "$2." ]; then return 0; fi
  mkdir -p "\${1%/*}"
  printf '%s' "$2" >"$1.new"
  sync "$1.new"
  mv -f "$1.new" "$1"
  changed=yes
}
`;

/** Before the upload: the agent's user, and a folder of the login's own for the tarball. */
export function renderAccountStep(login: string): string {
  const own = shellVariables({ login, uploads: `${agentPaths.upload}-sources`, user: heavyAgentUser });
  return `${head}${own}
getent passwd "$user" >/dev/null ||
  useradd --system --user-group --home-dir /var/lib/heavy-agent --no-create-home --shell /usr/sbin/nologin "$user"
install -d -m 700 -o "$login" "$uploads"
`;
}

const runtimes: Readonly<Record<AgentRuntime, string>> = {
  node: `ln -sfn ${agentPaths.root}/current/lib/node /usr/local/bin/node.new
mv -T /usr/local/bin/node.new /usr/local/bin/node
`,
  // Docker makes cgroups of its own, outside of the unit: by this they are in its slice.
  docker: `put /etc/docker/daemon.json '{"exec-opts":["native.cgroupdriver=systemd"],"cgroup-parent":"heavy-agent.slice","log-driver":"journald"}
'
restart=$changed
command -v dockerd >/dev/null || {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -q -y --no-install-recommends docker.io >&2
}
if [ -n "$restart" ]; then systemctl restart docker.service; fi
`,
};

/**
 * The step that puts the agent there: sources, environment (by standard input), units, runtime. Nothing is started, and a
 * run that is going on is left alone. @param input.units files below /etc/systemd/system.
 */
export function renderPlaceStep(input: {
  readonly name: string;
  readonly sha256: string;
  readonly runtime: AgentRuntime;
  readonly units: readonly UnitFile[];
}): string {
  const root = heavyAgentPaths.sources.replace("/%i", "");
  const own = shellVariables({
    name: input.name,
    sha256: input.sha256,
    root,
    release: `.${input.name}-${input.sha256.slice(0, 12)}`,
    upload: sourcesUpload(input.sha256),
    environment: heavyAgentPaths.environment.replace("%i", input.name),
    runs: runFolder,
    user: heavyAgentUser,
  });
  const units = input.units.map(
    ({ path, text }) => `put ${shellWord(`${heavyAgentPaths.units}/${path}`)} ${shellWord(text)}\n`,
  );
  return `${head}${own}
changed=
${put}mkdir -p "$root"
if [ "$(cat "$root/$release/.sha256" 2>/dev/null)" != "$sha256" ]; then
  [ -f "$upload" ] || fail "the sources $upload are missing; upload them again: pulumi up --replace <urn of the sources>"
  found=$(sha256sum "$upload")
  found=\${found%% *}
  [ "$found" = "$sha256" ] || fail "$upload has sha256 $found, wanted $sha256; nothing was changed"
  rm -rf "$root/$release.new"
  mkdir "$root/$release.new"
  tar -xf "$upload" -C "$root/$release.new" --no-same-owner
  printf '%s\\n' "$sha256" >"$root/$release.new/.sha256"
  sync -f "$root/$release.new"
  rm -rf "\${root:?}/$release"
  mv -T "$root/$release.new" "$root/$release"
fi
was=$(readlink "$root/$name" || true)
if [ "$was" != "$release" ]; then
  ln -sfn "$release" "$root/.$name.link"
  mv -T "$root/.$name.link" "$root/$name"
  for folder in "$root/.$name"-*; do
    case "\${folder##*/}" in "$release" | "$was") ;; *) rm -rf "$folder" ;; esac
  done
fi
find "\${upload%/*}" -name '*.tar' ! -path "$upload" -exec rm -f {} +
install -d -m 755 "$runs"
# Payloads are the agent's to read, by its group, and nobody else's. The bit makes it the group of every file in there.
install -d -m 2750 "$runs/$name"
chgrp "$user" "$runs/$name"
install -d -m 755 "\${environment%/*}"
(
  umask 077
  cat >"$environment.new"
)
mv -f "$environment.new" "$environment"
${units.join("")}if [ -n "$changed" ]; then systemctl daemon-reload; fi
changed=
${runtimes[input.runtime]}say "sources $release of $name are in place"
`;
}

/**
 * The last step: a resident agent is enabled and started anew, and then the runner must have been heard by the Sentinel,
 * which from then on looks after the server. An agent that nobody watches is not deployed.
 */
export function renderReadyStep(input: {
  readonly name: string;
  readonly resident: boolean;
  readonly registerSec: number;
}): string {
  const own = shellVariables({
    unit: heavyAgentUnitName(input.name),
    runner: agentUnitName("runner"),
    agent: `${agentPaths.root}/current/bin/hive-agent`,
    config: `${agentPaths.config}/runner.yaml`,
    wait: input.registerSec,
  });
  const start = input.resident
    ? `systemctl enable --quiet "$unit"
systemctl reset-failed "$unit" 2>/dev/null || true
systemctl restart "$unit"
`
    : `systemctl disable --quiet "$unit" 2>/dev/null || true
`;
  return `${head}${own}
${start}tries=0
while :; do
  said=$(timeout 5 "$agent" status --json --config "$config" 2>&1) || true
  case "$said" in *'"sentinel":"up"'* | *'"sentinel": "up"'*) break ;; esac
  tries=$((tries + 1))
  if [ "$tries" -ge "$wait" ]; then
    printf '%s\\n' "$said" | head -c 2000 >&2
    journalctl --unit="$runner" --lines=20 --no-pager --output=cat >&2 || true
    fail "the Sentinel has not heard this server within $wait s; see that it is up, that its port 8944 lets this server in, and that the registration key is of this life of the agent; then run it again"
  fi
  sleep 1
done
say "the Sentinel looks after $unit"
`;
}
