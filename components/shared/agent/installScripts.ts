/**
 * Scripts that install, upgrade, roll back and remove the agent on one machine, as root. Pure; POSIX shell, free of
 * findings of shellcheck. Each may be killed at any point: the next run goes on from what it finds.
 *
 * Below `root` ({@link agentPathsIn}): `owner` (whose it is), `side` (which), one folder for each release, `current` (a link
 * to the one that runs), `proven/` (release, configuration and unit of the last one that was healthy), `previous` (the
 * one before it).
 */
import { shellWord } from "../shell.ts";
import { agentPathsIn, type AgentPlace } from "./agentPlace.ts";
import {
  activation,
  claiming,
  onlyOurs,
  partArguments,
  replacing,
  scriptHead,
  type InstallContext,
} from "./installParts.ts";

/** Scripts of one step. */
export interface StepScripts {
  readonly create: string;
  readonly delete: string;
}

/** One release, as it is to be installed. */
export interface Release {
  /** Version as the tarball's own program reports it, for example `1.4.0`. */
  readonly version: string;
  /** Checksum of the tarball, lower-case hexadecimal. */
  readonly sha256: string;
}

/** Folder of a release: two builds of one version never share one. */
export function releaseName(release: Release): string {
  return `${release.version}-${release.sha256.slice(0, 12)}`;
}

/** Where the tarball of a release arrives. */
export function uploadFile(release: Release, place: AgentPlace = {}): string {
  return `${agentPathsIn(place).upload}/hive-agent-${releaseName(release)}.tar.gz`;
}

/** Secrets as {@link renderPrepareStep} reads them from its standard input: a line `name base64` for each. */
export function secretLines(secrets: Readonly<Record<string, string>>): string {
  return Object.entries(secrets)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} ${Buffer.from(value, "utf8").toString("base64")}\n`)
    .join("");
}

/**
 * The first step: our folder, the folder for the upload, and the secrets, which come by standard input. Changed secrets
 * are given to a running agent by a restart, and taken back when it is not healthy with them and was before.
 *
 * The agent still has its former configuration then. So files that are no longer wanted stay until the install step has
 * proven one that does not name them, and an agent that was sick already may be waiting for just that step.
 */
export function renderPrepareStep(
  context: InstallContext,
  input: { readonly login: string; readonly secretNames: readonly string[] },
): StepScripts {
  const own = { HIVE_LOGIN: input.login, HIVE_SECRETS: input.secretNames.toSorted().join(" ") };
  const places = ["unit", "config_file", "secrets", "uploads", "HIVE_HEALTH_CS", "HIVE_STEADY_CS"] as const;
  return {
    create: `${scriptHead(context, places, own)}${activation}${claiming(context)}install -d -m 700 -o "$HIVE_LOGIN" "$uploads"
install -d -m 700 "\${secrets%/*}"
# A run that was cut off between the two moves below.
if [ ! -d "$secrets" ] && [ -d "$secrets.old" ]; then mv -T "$secrets.old" "$secrets"; fi
rm -rf "$secrets.new"
mkdir "$secrets.new"
while IFS=' ' read -r name data; do
  if [ -n "$name" ]; then printf '%s' "$data" | base64 -d >"$secrets.new/$name"; fi
done
for name in $HIVE_SECRETS; do
  [ -s "$secrets.new/$name" ] || fail "secret $name is empty or did not arrive"
done
former=$secrets
if [ -d "$secrets.old" ]; then former=$secrets.old; fi
for file in "$former"/*; do
  if [ -f "$file" ] && [ ! -e "$secrets.new/\${file##*/}" ]; then cp "$file" "$secrets.new/"; fi
done
# Secrets that a killed run left unproven count as changed.
if [ ! -d "$secrets.old" ] && diff -rq "$secrets" "$secrets.new" >/dev/null 2>&1; then
  rm -rf "$secrets.new"
  say "secrets unchanged: \${HIVE_SECRETS:-none}"
  exit 0
fi
sync -f "$secrets.new"
# What a killed run restarted says nothing of how the agent was before it.
was_well=
if [ -f "$root/proven/release" ] && { [ -d "$secrets.old" ] || probe; }; then was_well=yes; fi
if [ -d "$secrets" ]; then
  if [ -d "$secrets.old" ]; then rm -rf "$secrets"; else mv -T "$secrets" "$secrets.old"; fi
fi
mv -T "$secrets.new" "$secrets"
if [ -d "$secrets.old" ] && { [ -n "$was_well" ] || systemctl is-active --quiet "$unit"; } && ! activate; then
  if [ -n "$was_well" ]; then
    say "the agent is not healthy with the new secrets; the former ones are put back"
    tell_journal
    rm -rf "$secrets"
    mv -T "$secrets.old" "$secrets"
    activate || say "it is not healthy with those either"
    exit 1
  fi
  say "the agent is not healthy with the new secrets, nor was it before; they stay, and the install step goes on"
fi
rm -rf "$secrets.old"
say "secrets in place: \${HIVE_SECRETS:-none}"
`,
    delete: `${scriptHead(context, ["secrets", "uploads"])}${onlyOurs}rm -rf "$secrets" "$secrets.new" "$secrets.old" "$uploads"
rmdir "\${secrets%/*}" 2>/dev/null || true
rm -rf "$root"
`,
  };
}

const removal = `# Removes what the install made; the mark of ownership stays for the step that set it.
remove() {
  systemctl stop "$unit" 2>/dev/null || true
  if systemctl is-active --quiet "$unit"; then fail "$unit does not stop; see: systemctl status $unit"; fi
  systemctl disable --quiet --no-reload "$unit" 2>/dev/null || true
  rm -f "$unit_file" "$unit_file.new"
  systemctl daemon-reload
  systemctl reset-failed "$unit" 2>/dev/null || true
  rm -rf "$config_file" "$config_file.new" "$config_file.check" "$state" "$runtime" "$log"
  find "$root" -mindepth 1 -maxdepth 1 ! -name owner ! -name side -exec rm -rf {} +
}
`;

const unpacking = `# Unpacks and tries the release; the running one is not touched.
unpack() {
  [ -f "$HIVE_UPLOAD" ] || fail "release $HIVE_RELEASE is not here and its tarball $HIVE_UPLOAD is missing; upload it again: pulumi up --replace <urn of the tarball>"
  found=$(sha256sum "$HIVE_UPLOAD")
  found=\${found%% *}
  [ "$found" = "$HIVE_SHA256" ] || fail "$HIVE_UPLOAD has sha256 $found, wanted $HIVE_SHA256; nothing was changed"
  staging=$root/.$HIVE_RELEASE.new
  rm -rf "$staging"
  mkdir "$staging"
  # A daemon of another user may run programs of the release, and nobody but root may change them.
  tar -xzf "$HIVE_UPLOAD" -C "$staging" --no-same-owner
  chmod -R u=rwX,go=rX "$staging"
  [ -x "$staging/bin/hive-agent" ] || fail "the tarball holds no program bin/hive-agent; nothing was changed"
  said=$(timeout 20 "$staging/bin/hive-agent" version 2>&1) || fail "release $HIVE_RELEASE does not run on this machine; nothing was changed: $said"
  case "$said" in
  *"$HIVE_VERSION"*) ;;
  *) fail "the tarball's program says it is '$said', wanted version $HIVE_VERSION; nothing was changed" ;;
  esac
  printf '%s\\n' "$HIVE_SHA256" >"$staging/.sha256"
  sync -f "$staging"
  rm -rf "\${root:?}/$HIVE_RELEASE"
  mv -T "$staging" "$root/$HIVE_RELEASE"
}
`;

const proving = `# What is healthy is noted, whole, as the place to go back to; its forerunner's files stay, all others go.
prove() {
  new=$root/.proven.new
  rm -rf "$new"
  mkdir "$new"
  cp "$config_file" "$new/config"
  cp "$unit_file" "$new/unit"
  printf '%s\\n' "$HIVE_RELEASE" >"$new/release"
  sync -f "$new"
  was=$(cat "$root/proven/release" 2>/dev/null || true)
  if [ -n "$was" ] && [ "$was" != "$HIVE_RELEASE" ]; then printf '%s\\n' "$was" >"$root/previous"; fi
  rm -rf "$root/.proven.old"
  if [ -d "$root/proven" ]; then mv -T "$root/proven" "$root/.proven.old"; fi
  mv -T "$new" "$root/proven"
  sync -f "$root"
  keep=$(cat "$root/previous" 2>/dev/null || true)
  for folder in "$root"/*/ "$root"/.*.new "$root/.proven.old"; do
    folder=\${folder%/}
    case "\${folder##*/}" in "$HIVE_RELEASE" | "$keep" | proven) continue ;; esac
    if [ -d "$folder" ] && [ ! -L "$folder" ]; then rm -rf "$folder"; fi
  done
  for file in "$uploads"/*.tar.gz; do
    if [ "$file" != "$HIVE_UPLOAD" ]; then rm -f "$file"; fi
  done
}
go_back() {
  say "release $HIVE_RELEASE was not healthy within $((HIVE_HEALTH_CS / 100)) s"
  tell_journal
  if [ ! -f "$root/proven/release" ]; then
    remove
    fail "there was no earlier release to go back to: release $HIVE_RELEASE is removed again"
  fi
  back=$(cat "$root/proven/release")
  put "$config_file" 600 "$(cat "$root/proven/config")
"
  put "$unit_file" 644 "$(cat "$root/proven/unit")
"
  point current "$back"
  if activate; then
    if [ "$back" != "$HIVE_RELEASE" ]; then rm -rf "\${root:?}/$HIVE_RELEASE"; fi
    fail "rolled back to release $back, which is healthy"
  fi
  tell_journal
  fail "rolled back to release $back, which is not healthy either; this machine has no working agent"
}
`;

const forgetting = `# Secrets that no configuration names any more.
forget_secrets() {
  for file in "$secrets"/*; do
    case " $HIVE_SECRETS " in *" \${file##*/} "*) ;; *) rm -f "$file" ;; esac
  done
}
`;

/** The last step: the release unpacked and tried, configuration and unit in place, health awaited, or back again. */
export function renderInstallStep(
  context: InstallContext,
  input: {
    readonly release: Release;
    /** Those that `config` may name; all others are deleted once it is proven. */
    readonly secretNames: readonly string[];
    /** Text of the configuration file, ending in a line feed; it holds no secret. */
    readonly config: string;
    /** Text of the unit file, ending in a line feed. */
    readonly unit: string;
  },
): StepScripts {
  const own = {
    HIVE_RELEASE: releaseName(input.release),
    HIVE_VERSION: input.release.version,
    HIVE_SHA256: input.release.sha256,
    HIVE_UPLOAD: uploadFile(input.release, context),
    HIVE_CONFIG: input.config,
    HIVE_UNIT: input.unit,
    HIVE_SECRETS: input.secretNames.toSorted().join(" "),
  };
  const removed = ["unit", "unit_file", "config_file", "state", "runtime", "log"] as const;
  const places = [...removed, "secrets", "uploads", "HIVE_HEALTH_CS", "HIVE_STEADY_CS"] as const;
  return {
    create: `${scriptHead(context, places, own)}${replacing}${activation}${removal}${unpacking}${proving}${forgetting}${claiming(context)}# A run that was cut off between the two moves of prove.
if [ ! -d "$root/proven" ] && [ -f "$root/.proven.new/release" ]; then mv -T "$root/.proven.new" "$root/proven"; fi
if [ ! -d "$root/proven" ] && [ -d "$root/.proven.old" ]; then mv -T "$root/.proven.old" "$root/proven"; fi
same() { [ "$(cat "$1" 2>/dev/null)" = "\${2%?}" ]; }
if [ "$(cat "$root/$HIVE_RELEASE/.sha256" 2>/dev/null)" != "$HIVE_SHA256" ]; then unpack; fi
if same "$root/proven/release" "$HIVE_RELEASE." && same "$root/proven/config" "$HIVE_CONFIG" && same "$root/proven/unit" "$HIVE_UNIT" &&
  same "$config_file" "$HIVE_CONFIG" && same "$unit_file" "$HIVE_UNIT" && [ "$(readlink "$root/current")" = "$HIVE_RELEASE" ] && probe; then
  forget_secrets
  say "release $HIVE_RELEASE is in place and healthy"
  exit 0
fi
install -d -m 700 "\${config_file%/*}"
# The release itself refuses a faulty configuration while the running one is still untouched.
put "$config_file.check" 600 "$HIVE_CONFIG"
said=$("$root/$HIVE_RELEASE/bin/hive-agent" ${partArguments(context)} --check --config "$config_file.check" 2>&1) || fail "the configuration is refused; nothing was changed: $said"
rm -f "$config_file.check"
put "$config_file" 600 "$HIVE_CONFIG"
put "$unit_file" 644 "$HIVE_UNIT"
point current "$HIVE_RELEASE"
if ! activate; then go_back; fi
prove
forget_secrets
say "release $HIVE_RELEASE is in place and healthy"
`,
    delete: `${scriptHead(context, removed)}${removal}${onlyOurs}remove
`,
  };
}

/** The script as a command of the login user: as it is for root, by sudo for anyone else. */
export function asRoot(login: string, script: string): string {
  return login === "root" ? script : `exec sudo -n /bin/sh -c ${shellWord(script)}\n`;
}
