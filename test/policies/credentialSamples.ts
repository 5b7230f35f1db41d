/** One made-up credential of each kind. Built from parts, so that no file of the project holds a text of that form. */
export interface CredentialSample {
  readonly kind: string;
  readonly text: string;
  /** The part that must never be shown. */
  readonly secret: string;
}

const mixed = (length: number) => "aB3dE6gH9".repeat(40).slice(0, length);
const hex = (length: number) => "0a1b2c3d4e5f".repeat(12).slice(0, length);
const dashes = "-".repeat(5);
const uuid = `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;

const whole = (kind: string, text: string): CredentialSample => ({ kind, text, secret: text });
const within = (kind: string, secret: string, frame: (secret: string) => string): CredentialSample => ({
  kind,
  text: frame(secret),
  secret,
});

export const samples: readonly CredentialSample[] = [
  within(
    "private key",
    mixed(60),
    (s) => `${dashes}BEGIN OPENSSH PRIVATE KEY${dashes}\n${s}\n${dashes}END OPENSSH PRIVATE KEY${dashes}`,
  ),
  within(
    "private key",
    mixed(60),
    (s) =>
      `${dashes}BEGIN RSA PRIVATE KEY${dashes}\nProc-Type: 4,ENCRYPTED\n\n${s}\n${dashes}END RSA PRIVATE KEY${dashes}`,
  ),
  within("private key", mixed(50), (s) => `LS0tLS1CRUdJTi${s}`),
  whole("age secret key", `AGE-SECRET-KEY-1${"QPZRY9X8".repeat(8).slice(0, 58)}`),
  within("Proxmox API token", uuid, (s) => `root@pam!hive=${s}`),
  whole("Proxmox ticket", `PVE:root@pam:${hex(8).toUpperCase()}::${mixed(60)}`),
  whole("AWS access key", `AKIA${"ABCDEFG2".repeat(2)}`),
  within("AWS secret key", mixed(40), (s) => `aws_secret_access_key = ${s}`),
  whole("GitHub token", `ghp_${mixed(36)}`),
  whole("GitHub token", `github_pat_${mixed(40)}`),
  whole("GitLab token", `glpat-${mixed(20)}`),
  whole("Slack token", `xoxb-${mixed(24)}`),
  within("Slack webhook", `T${mixed(8)}/B${mixed(8)}/${mixed(24)}`, (s) => `https://hooks.slack.com/services/${s}`),
  within("Discord webhook", mixed(60), (s) => `https://discord.com/api/webhooks/123456789012345678/${s}`),
  whole("Telegram bot token", `123456789:AA${mixed(33)}`),
  whole("Google API key", `AIza${mixed(35)}`),
  whole("Stripe key", `sk_live_${mixed(24)}`),
  whole("model service key", `sk-proj-${mixed(40)}`),
  whole("Hugging Face token", `hf_${mixed(34)}`),
  whole("npm token", `npm_${mixed(36)}`),
  whole("Pulumi token", `pul-${hex(40)}`),
  whole("Tailscale key", `tskey-auth-${mixed(12)}-${mixed(30)}`),
  whole("webhook secret", `whsec_${mixed(32)}`),
  whole("JSON web token", `eyJ${mixed(20)}.eyJ${mixed(30)}.${mixed(43)}`),
  whole("password hash", `$6$${mixed(16)}$${mixed(86)}`),
  within("password in a URL", "hunter22", (s) => `https://root:${s}@pve.example:8006/`),
  within("bearer token", mixed(40), (s) => `Authorization: Bearer ${s}`),
  within("password", "correct-horse", (s) => `password: ${s}`),
  within("password", "correct-horse", (s) => `"plain_text_passwd": "${s}"`),
  within("password", "correct-horse", (s) => `DB_PASSWORD=${s}`),
  within("password", "correct-horse", (s) => `MYSQL_ROOT_PASSWORD: ${s}`),
  within("password", "correct-horse", (s) => `export PGPASSWORD='${s}'`),
  within("password", "correct-horse", (s) => `MYSQL_PWD=${s}`),
  within("password", "correct-horse", (s) => `-Dspring.datasource.password=${s}`),
  within("password", "correct-horse", (s) => `{\\"adminPassword\\":\\"${s}\\"}`),
  within("password", "correct-horse", (s) => `\${DB_PASSWORD:-${s}}`),
  within("password", "secret-horse", (s) => `password: ${s}`),
  within("password", "none-horse", (s) => `password: ${s}`),
  within("password", "false-horse", (s) => `password: "${s}"`),
  within("password", "correct-horse", (s) => `echo root:${s} | chpasswd`),
  within("password", "hunter22", (s) => `printf '%s' "root:${s}" | sudo /usr/sbin/chpasswd`),
  within("password", "correct-horse", (s) => `chpasswd <<< 'root:${s}'`),
  within("password", "correct-horse", (s) => `curl -fsSL -u admin:${s} http://pve/`),
  within("password", "correct-horse", (s) => `curl http://pve/ --user "admin:${s}"`),
  within("password", "correct-horse", (s) => `mysql --password ${s} shop`),
  within("password", "correct-horse", (s) => `mysql -uroot -p${s} shop`),
  within("password", "correct-horse", (s) => `sshpass -p ${s} ssh pve`),
];
