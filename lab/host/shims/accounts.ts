// Accounts of a guest. A namespace that nobody's root made has one uid, so every account there is uid 0: what is given to
// one by chown belongs to root, and what runs "as" one runs as root.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { ToolError } from "./errors.ts";

const valued = new Set([
  ...["-d", "--home", "--home-dir", "-s", "--shell", "-g", "--gid", "-G", "--groups", "-c", "--comment", "--gecos"],
  ...["-u", "--uid", "-k", "--skel", "-p", "--password", "-b", "--base-dir", "-e", "--expiredate", "--ingroup"],
  ...["-K", "--key", "-f", "--inactive"],
]);

/** Words that are no options, and the options with their values. */
function read(args: readonly string[]): { names: string[]; values: Map<string, string> } {
  const names: string[] = [];
  const values = new Map<string, string>();
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at] ?? "";
    const [name = "", value] = word.split("=");
    if (!word.startsWith("-")) names.push(word);
    else if (value !== undefined) values.set(name, word.slice(name.length + 1));
    else if (valued.has(word)) values.set(word, args[(at += 1)] ?? "");
    else values.set(word, "");
  }
  return { names, values };
}

function lines(path: string): string[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
}

function has(path: string, name: string): boolean {
  return lines(path).some((line) => line.startsWith(`${name}:`));
}

function add(path: string, line: string): void {
  writeFileSync(path, [...lines(path), line, ""].join("\n"));
}

function remove(path: string, name: string): boolean {
  const kept = lines(path).filter((line) => !line.startsWith(`${name}:`));
  const found = kept.length < lines(path).length;
  writeFileSync(path, [...kept, ""].join("\n"));
  return found;
}

function onlyName(tool: string, names: readonly string[]): string {
  const name = names.at(-1) ?? "";
  if (!/^[a-z_][a-z0-9_-]{0,31}\$?$/.test(name)) throw new ToolError(`${tool}: invalid user name '${name}'`, 3);
  return name;
}

function userAdd(tool: string, args: readonly string[]): void {
  const { names, values } = read(args);
  const debian = tool === "adduser";
  if (debian && names.length > 1) return; // adduser USER GROUP
  const name = onlyName(tool, names);
  if (has("/etc/passwd", name)) {
    if (debian && values.has("--system")) return;
    throw new ToolError(`${tool}: user '${name}' already exists`, debian ? 1 : 9);
  }
  const home = values.get("--home-dir") ?? values.get("--home") ?? values.get("-d") ?? `/home/${name}`;
  const shell = values.get("--shell") ?? values.get("-s") ?? "/bin/sh";
  add("/etc/passwd", `${name}:x:0:0::${home}:${shell}`);
  if (!has("/etc/group", name)) add("/etc/group", `${name}:x:0:`);
  if (values.has("-m") || values.has("--create-home") || (debian && !values.has("--no-create-home")))
    spawnSync("mkdir", ["-p", home]);
}

export const accounts: Record<string, (args: string[]) => void> = {
  useradd: (args) => userAdd("useradd", args),
  adduser: (args) => userAdd("adduser", args),
  groupadd: (args) => groupAdd("groupadd", args),
  addgroup: (args) => groupAdd("addgroup", args),
  usermod: (args) => {
    const name = onlyName("usermod", read(args).names);
    if (!has("/etc/passwd", name)) throw new ToolError(`usermod: user '${name}' does not exist`, 6);
  },
  userdel: (args) => {
    const name = onlyName("userdel", read(args).names);
    if (!remove("/etc/passwd", name)) throw new ToolError(`userdel: user '${name}' does not exist`, 6);
    remove("/etc/group", name);
  },
  groupdel: (args) => {
    const name = onlyName("groupdel", read(args).names);
    if (!remove("/etc/group", name)) throw new ToolError(`groupdel: group '${name}' does not exist`, 6);
  },
  sudo: (args) => {
    const { names, options } = sudoWords(args);
    if (names.length === 0) {
      if (options.some((word) => ["-v", "-l", "-k", "-K"].includes(word))) return;
      throw new ToolError("usage: sudo [-n] [-u user] command [arg ...]", 1);
    }
    const [program = "", ...rest] = names;
    const ended = spawnSync(program, rest, { stdio: "inherit" });
    if (ended.error !== undefined) throw new ToolError(`sudo: ${program}: command not found`, 1);
    process.exitCode = ended.status ?? 1;
  },
};

function groupAdd(tool: string, args: readonly string[]): void {
  const { names, values } = read(args);
  const name = onlyName(tool, names);
  if (has("/etc/group", name)) {
    if (values.has("-f") || values.has("--force") || values.has("--system")) return;
    throw new ToolError(`${tool}: group '${name}' already exists`, 9);
  }
  add("/etc/group", `${name}:x:0:`);
}

/** sudo's own options end at the first word that is none; assignments before the command are for its environment. */
function sudoWords(args: readonly string[]): { names: string[]; options: string[] } {
  let at = 0;
  for (; at < args.length; at += 1) {
    const word = args[at] ?? "";
    if (word === "--") {
      at += 1;
      break;
    }
    if (["-u", "--user", "-g", "--group", "-h", "-p", "-C", "-D", "-R", "-T"].includes(word)) at += 1;
    else if (/^[A-Za-z_]\w*=/.test(word))
      process.env[word.slice(0, word.indexOf("="))] = word.slice(word.indexOf("=") + 1);
    else if (!word.startsWith("-")) break;
  }
  return { names: args.slice(at), options: args.slice(0, at) };
}
