/**
 * Passwords have no form of their own: they are told by the name or the command that they are given to. Built from the
 * parts below. Every repetition is bounded, and nothing is tried twice over an unbounded length, so each takes linear time.
 */

/** Spaces and tabs, at most eight. */
const space = "[^\\S\\r\\n]{0,8}";
/** The mark before or after a quoted text; JSON inside JSON escapes it. */
const quote = `(?:\\\\?["'])?`;

/**
 * Names of passwords. Whatever stands before belongs to the name (`DB_PASSWORD`, `PGPASSWORD`, `adminPassword`), save
 * sudo's NOPASSWD and the file /etc/passwd. What stands behind does not: `PASSWORD_FILE` holds a path.
 */
const name =
  "(?:plain_text_passwd|(?<!\\/|\\bno)passwd|password|passphrase|(?<=[a-z0-9]_)(?:pwd|pass)" +
  "|api[_-]?key|secret[_-]?key|client[_-]?secret|access[_-]?token|auth[_-]?token)";

/**
 * Values that are none: references and placeholders ($VAR, ${…}, <…>, {{…}}, %…, `…`, !secret), paths of files, and
 * words for "nothing" or "it is a secret", which must be the whole value.
 */
const noValue =
  "[-+=?]?[$<{%[|>*?`]" +
  "|!(?:secret|vault|env|include|ref|sub|getatt)\\b" +
  "|\\/(?:run|etc|var|dev|proc|opt|home|root|srv|tmp|usr|mnt)\\/" +
  "|(?:secret|string|null|none|true|false|undefined|redacted|required|optional|enabled|disabled)(?=[\\s\"',;}\\\\)]|$)";

/** A value behind a name: shorter ones are words of prose too often. */
const value = `(?<secret>(?!${noValue})[^\\s"',;}]{6,256})`;
/** A value that only a command's own form tells: any length. */
const argument = `(?<secret>(?!${noValue})[^\\s"'|;&]{1,256})`;

/** Patterns of passwords, global, the group `secret` last: what must follow it is only looked at. */
export const passwordPatterns: readonly RegExp[] = [
  // Cloud-init, environments, JSON, properties: `name: value`, `name = value`, `${NAME:-value}`.
  new RegExp(`${name}${quote}${space}(?:=>|:[-=]|[:=])${space}${quote}${value}`, "gim"),
  // Options of commands. Capitals alone are the placeholder of a usage text; adduser's --disabled-password takes no value.
  new RegExp(
    "(?<![\\w-])--(?!disabled-|no-)(?:[a-z]{1,24}-){0,3}" +
      "(?:password|passwd|passphrase|api-key|secret-key|client-secret|access-token|auth-token)[^\\S\\r\\n]{1,8}" +
      `${quote}(?!-|[A-Z_]{6,}(?![\\w-]))${value}`,
    "gm",
  ),
  // chpasswd(8) reads NAME:PASSWORD.
  new RegExp(
    `\\b[a-z_][\\w.-]{0,31}:${argument}(?=${quote}${space}\\|${space}(?:sudo(?: -\\w{1,4}){0,4} )?(?:\\/usr\\/sbin\\/)?chpasswd\\b)`,
    "gim",
  ),
  new RegExp(`\\bchpasswd${space}<<<${space}${quote}[\\w.-]{1,32}:${argument}`, "gm"),
  // curl(1) -u, --user, -U and --proxy-user: NAME:PASSWORD.
  new RegExp(
    "\\bcurl\\b(?:\\\\\\n|[^\\n|;&]){0,512}?\\s(?:-[A-Za-z]{0,8}[uU]\\s{0,4}|--(?:proxy-)?user[\\s=]{1,4})" +
      `${quote}[^\\s:"'|;&]{1,128}:${argument}`,
    "gm",
  ),
  // mysql(1) takes it joined to -p (a port mapping of a container looks alike), sshpass(1) apart as well.
  new RegExp(
    "\\b(?:sshpass\\s{1,4}-p\\s{0,4}|mysql(?:dump|admin)?\\s(?:[^\\n|;&]{0,256}?\\s)?-p)" +
      `${quote}(?!-|\\d{1,5}:)${argument}`,
    "gm",
  ),
];
