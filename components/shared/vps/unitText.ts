/** Values on their way into a systemd unit file. */

/**
 * A text as one argument of `ExecStart=`, taken literally whatever it holds: quoted, and with what the three passes
 * over it would change written so that they give it back (systemd 252, systemd.service(5) "COMMAND LINES"): `\` and `"`
 * by the unquoting, `%` by the specifiers, `$` by the environment. Quotes also make a lone `;` an argument and not the
 * end of a command. The text must have no control character: see {@link isPlainText}.
 */
export function execWord(text: string): string {
  const escaped = text
    .replaceAll("\\", String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll("%", "%%")
    .replaceAll("$", () => "$$");
  return `"${escaped}"`;
}

/** Whether a text is one line that a unit file can carry: no control character, no half of a surrogate pair. */
export function isPlainText(text: string): boolean {
  return text.isWellFormed() && !/\p{Cc}/u.test(text);
}

/**
 * Whether a text is an absolute path that needs no quoting and no escape in any directive, and that names one place:
 * letters, digits and `._@+-`, no empty part, no `.` and no `..`.
 */
export function isPlainPath(text: string): boolean {
  return text.length <= 1024 && /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._@+-]+)+$/.test(text);
}
