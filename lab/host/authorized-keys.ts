// Lines of authorized_keys, as far as the lab's SSH servers know them (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
import { containedPath } from "./contained-path.ts";
import { readIfPresent } from "./files.ts";

export interface AuthorizedKey {
  type: string;
  base64: string;
  /** Runs instead of whatever is asked for. */
  command?: string;
}

const keyType = /^(?:ssh-|ecdsa-|sk-)\S+$/;
/** Options and what is after them; blanks and commas within quotes are the option's. */
const withOptions = /^((?:[^\s",]+(?:="(?:[^"\\]|\\.)*")?,?)+)\s+(\S+)\s+(\S+)/;

/**
 * A line, or undefined for one without a key. `restrict` and `command` are obeyed; every connection comes from the
 * loopback here, so that `from` is not.
 */
export function authorizedKeyOf(line: string): AuthorizedKey | undefined {
  const text = line.trim();
  const [type = "", base64 = ""] = text.split(/\s+/);
  if (keyType.test(type)) return base64 === "" ? undefined : { type, base64 };
  const [, options = "", ofKey = "", key = ""] = withOptions.exec(text) ?? [];
  if (!keyType.test(ofKey)) return undefined;
  const command = /(?:^|,)command="((?:[^"\\]|\\.)*)"/.exec(options)?.[1];
  return { type: ofKey, base64: key, ...(command === undefined ? {} : { command: command.replaceAll('\\"', '"') }) };
}

/** A file as the machine itself sees it: its links lead nowhere else. What cannot be read is empty. */
function textBelow(root: string, path: string): string {
  try {
    return readIfPresent(containedPath(root, path, { followLast: true })) ?? "";
  } catch {
    return "";
  }
}

/** What an account's own authorized_keys says, in the home that /etc/passwd gives it. */
export function authorizedFile(root: string, user: string): string[] {
  const accounts = textBelow(root, "/etc/passwd")
    .split("\n")
    .map((line) => line.split(":"));
  const home = accounts.find(([name]) => name === user)?.[5];
  if (home === undefined || !/^(?:\/[\w-][\w.-]*)+$/.test(home)) return [];
  const text = textBelow(root, `${home}/.ssh/authorized_keys`);
  return text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
}
