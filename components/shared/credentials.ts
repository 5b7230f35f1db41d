/**
 * Credentials that can be told by their form alone. Used to keep them out of user data, arguments, outputs and reviews.
 * Every pattern runs in linear time, and a finding never carries the value.
 */
import { passwordPatterns } from "./passwordPatterns.ts";

/** Where a text holds a credential: its kind, and the part of the text, in UTF-16 units. */
export interface CredentialFinding {
  /** For people, for example `private key`. */
  readonly kind: string;
  readonly start: number;
  readonly end: number;
}

interface CredentialPattern {
  readonly kind: string;
  /** Global; the group `secret`, when there is one, is the credential, otherwise the whole match. */
  readonly pattern: RegExp;
}

// Sources: each issuer's published token format, or the format's own specification.
const patterns: readonly CredentialPattern[] = [
  // RFC 7468 and OpenSSH. The body is bounded by its alphabet; a key cut short is a key too.
  {
    kind: "private key",
    pattern:
      /-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){0,65536}(?:-----END [A-Z0-9 ]{1,64}-----)?/g,
  },
  // The same inside one line of JSON or YAML that is base64 again (cloud-init `encoding: b64`).
  { kind: "private key", pattern: /(?<![A-Za-z0-9])LS0tLS1CRUdJTi[A-Za-z0-9+/]{0,65536}={0,2}/g },
  { kind: "age secret key", pattern: /(?<![A-Za-z0-9])AGE-SECRET-KEY-1[A-Z0-9]{58}(?![A-Za-z0-9])/g },
  {
    kind: "Proxmox API token",
    pattern:
      /\b[\w.-]{1,64}@(?:pam|pve|pbs|[a-z][\w.-]{1,31})![\w.-]{1,64}[=:](?<secret>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b/gi,
  },
  { kind: "Proxmox ticket", pattern: /\bPVE:[\w.@-]{1,96}:[0-9A-F]{8}::[A-Za-z0-9+/=]{20,1024}/g },
  { kind: "AWS access key", pattern: /(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])/g },
  {
    kind: "AWS secret key",
    pattern:
      /\baws_?secret_?(?:access_?)?key["']?\s{0,8}[:=]\s{0,8}["']?(?<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])/gi,
  },
  {
    kind: "GitHub token",
    pattern: /(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})/g,
  },
  { kind: "GitLab token", pattern: /(?<![A-Za-z0-9])gl(?:pat|dt|rt|cbt|ptt)-[\w-]{20,255}/g },
  { kind: "Slack token", pattern: /(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,255}/g },
  { kind: "Slack webhook", pattern: /\bhooks\.slack\.com\/services\/(?<secret>T\w{6,14}\/B\w{6,14}\/\w{20,40})/g },
  { kind: "Discord webhook", pattern: /\bdiscord(?:app)?\.com\/api\/webhooks\/\d{10,25}\/(?<secret>[\w-]{40,128})/g },
  { kind: "Telegram bot token", pattern: /\b\d{8,10}:AA[\w-]{33}(?![\w-])/g },
  { kind: "Google API key", pattern: /(?<![A-Za-z0-9])AIza[\w-]{35}(?![\w-])/g },
  { kind: "Stripe key", pattern: /(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{16,255}/g },
  { kind: "model service key", pattern: /(?<![A-Za-z0-9])sk-(?:proj-|ant-|svcacct-)[\w-]{20,255}/g },
  { kind: "Hugging Face token", pattern: /(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,64}(?![A-Za-z0-9])/g },
  { kind: "npm token", pattern: /(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])/g },
  { kind: "Pulumi token", pattern: /(?<![A-Za-z0-9])pul-[0-9a-f]{40}(?![A-Za-z0-9])/g },
  { kind: "Tailscale key", pattern: /(?<![A-Za-z0-9])tskey-[a-z]{2,16}-[A-Za-z0-9]{8,32}-[A-Za-z0-9]{16,64}/g },
  { kind: "webhook secret", pattern: /(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/]{32,128}={0,2}/g },
  { kind: "JSON web token", pattern: /(?<![A-Za-z0-9])eyJ[\w-]{10,4096}\.eyJ[\w-]{10,8192}\.[\w-]{10,2048}/g },
  // crypt(5): sha256, sha512, bcrypt, yescrypt. A hash can be attacked off line.
  { kind: "password hash", pattern: /\$(?:5|6|y|gy|7|2[abxy])\$[./A-Za-z0-9$=,]{20,256}/g },
  {
    kind: "password in a URL",
    pattern: /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/?#@"'<>]{0,64}:(?<secret>[^\s/?#@"'<>]{1,256})@/gi,
  },
  {
    kind: "bearer token",
    pattern: /\bauthorization["']?\s{0,4}[:=]\s{0,4}["']?(?:bearer|basic)\s{1,4}(?<secret>[\w.~+/-]{16,4096}={0,2})/gi,
  },
  ...passwordPatterns.map((pattern) => ({ kind: "password", pattern })),
];

/** Every credential in a text, in order and without overlap. */
export function findCredentials(text: string): readonly CredentialFinding[] {
  const found: CredentialFinding[] = [];
  for (const { kind, pattern } of patterns) {
    for (const match of text.matchAll(pattern)) {
      const secret = match.groups?.["secret"];
      const start = match.index + (secret === undefined ? 0 : match[0].lastIndexOf(secret));
      found.push({ kind, start, end: start + (secret ?? match[0]).length });
    }
  }
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const apart: CredentialFinding[] = [];
  for (const finding of found) {
    const last = apart.at(-1);
    if (last === undefined || finding.start >= last.end) apart.push(finding);
    else if (finding.end > last.end) apart[apart.length - 1] = { ...last, end: finding.end };
  }
  return apart;
}

/** The kinds of credentials in a text, each once. */
export function credentialKinds(text: string): readonly string[] {
  return [...new Set(findCredentials(text).map((finding) => finding.kind))];
}

/**
 * The kind of credential that a value is by its property's name, if it is one: what `NAME=VALUE` in a text would be.
 * Long values are no passwords: only the beginning is looked at.
 */
export function credentialByName(name: string, value: string): string | undefined {
  const text = `${name.slice(-128)}=`;
  return findCredentials(text + value.slice(0, 512)).find(({ start }) => start >= text.length)?.kind;
}

/** The text with every credential replaced. */
export function redactCredentials(text: string, replacement = "[secret]"): string {
  let result = "";
  let from = 0;
  for (const { start, end } of findCredentials(text)) {
    result += text.slice(from, start) + replacement;
    from = end;
  }
  return result + text.slice(from);
}
