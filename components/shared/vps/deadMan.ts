/**
 * The check from outside that misses the Sentinel: every minute its server calls an address elsewhere, if and only if the
 * Sentinel says that it is well. Whoever is at that address raises the alarm when the calls stay away, whatever the
 * reason: the Sentinel, its server, its provider or its network. Pure; POSIX shell, run as root.
 */
import { agentPaths, agentUnitName } from "../agent/agentPlace.ts";
import { shellWord } from "../shell.ts";

const unit = "hive-dead-man";
const folder = agentPaths.units;
/** Holds the address, which is as good as a password for keeping the alarm quiet. */
const urlFile = "/etc/hive-dead-man/url";
const program = `${agentPaths.root}/current`;

const check = `const { execFileSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const said = execFileSync("${program}/bin/hive-agent", ["status", "--json", "--config", "${agentPaths.config}/sentinel.yaml"], { timeout: 10000 });
const { healthy, unhealthy } = JSON.parse(said);
if (healthy !== true) throw new Error("the Sentinel is not well: " + JSON.stringify(unhealthy));
fetch(readFileSync(process.env.CREDENTIALS_DIRECTORY + "/url", "utf8").trim(), { signal: AbortSignal.timeout(20000) })
  .then(({ ok, status }) => { if (!ok) throw new Error("the check elsewhere answered " + status); });
`;

const service = `[Unit]
Description=Tells a check elsewhere that the Sentinel is well
After=network-online.target ${agentUnitName("sentinel")}
Wants=network-online.target

[Service]
Type=oneshot
LoadCredential=url:${urlFile}
ExecStart=${program}/lib/node /etc/hive-dead-man/check.cjs
TimeoutStartSec=40
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
MemoryMax=128M
`;

const timer = `[Unit]
Description=Tells a check elsewhere every minute that the Sentinel is well

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
`;

/** Scripts of the check; the address comes by standard input. */
export function renderDeadMan(): { readonly create: string; readonly delete: string } {
  const put = (file: string, text: string): string => `printf '%s' ${shellWord(text)} >${file}\n`;
  return {
    create: `set -eu
umask 077
mkdir -p ${urlFile.slice(0, urlFile.lastIndexOf("/"))}
cat >${urlFile}.new
[ -s ${urlFile}.new ] || { echo "the address did not arrive" >&2; exit 1; }
mv -f ${urlFile}.new ${urlFile}
${put("/etc/hive-dead-man/check.cjs", check)}umask 022
${put(`${folder}/${unit}.service`, service)}${put(`${folder}/${unit}.timer`, timer)}systemctl daemon-reload
systemctl enable --quiet --now ${unit}.timer
# Once now: a check that does not know the address is worth nothing.
systemctl start ${unit}.service || { journalctl --unit=${unit}.service --lines=10 --no-pager --output=cat >&2; exit 1; }
`,
    delete: `systemctl disable --quiet --now ${unit}.timer 2>/dev/null || true
rm -f ${folder}/${unit}.service ${folder}/${unit}.timer
rm -rf /etc/hive-dead-man
systemctl daemon-reload
`,
  };
}
