// Who may log in to a guest: what its cloud-init configuration says, as cloud-init would apply it; in a container, the
// keys that it was made with.
import { parse } from "yaml";
import { isRecord } from "./files.ts";

export interface GuestAccess {
  users: { name: string; keys: string[] }[];
}

/**
 * @param config the guest's configuration from the API (`ciuser`, `sshkeys` URL-encoded, `cicustom`)
 * @param userData text of the `cicustom` user file, when there is one; it replaces the generated one
 */
export function guestAccess(config: Readonly<Record<string, unknown>>, userData: string | undefined): GuestAccess {
  if (userData !== undefined) return fromUserData(userData);
  const keys = typeof config["sshkeys"] === "string" ? keyLines(decode(config["sshkeys"])) : [];
  const name = typeof config["ciuser"] === "string" ? config["ciuser"] : "root";
  return { users: keys.length === 0 ? [] : [{ name, keys }] };
}

/** Root with the keys that Proxmox wrote into a container's root file system. */
export function containerAccess(rootKeys: string): GuestAccess {
  const keys = keyLines(rootKeys);
  return { users: keys.length === 0 ? [] : [{ name: "root", keys }] };
}

/** `user=local:snippets/x.yaml,network=…` gives the file name of the user part on storage `local`. */
export function userSnippet(cicustom: unknown): string | undefined {
  if (typeof cicustom !== "string") return undefined;
  const part = cicustom.split(",").find((entry) => entry.startsWith("user="));
  return /^user=local:snippets\/([\w.-]+)$/.exec(part ?? "")?.[1];
}

function fromUserData(text: string): GuestAccess {
  let data: unknown;
  try {
    data = parse(text, { maxAliasCount: 100 });
  } catch {
    return { users: [] };
  }
  if (!isRecord(data)) return { users: [] };
  const common = stringList(data["ssh_authorized_keys"]);
  const listed = Array.isArray(data["users"]) ? data["users"].filter(isRecord) : [];
  const users = listed.map((user) => ({
    name: String(user["name"] ?? ""),
    keys: stringList(user["ssh_authorized_keys"]),
  }));
  const main = typeof data["user"] === "string" ? data["user"] : users[0]?.name;
  if (main !== undefined && common.length > 0) users.push({ name: main, keys: common });
  return { users: users.filter((user) => user.name !== "" && user.keys.length > 0) };
}

function stringList(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string").flatMap(keyLines) : [];
}

function keyLines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/).slice(0, 2).join(" "))
    .filter((line) => /^(ssh|ecdsa|sk)-\S+ \S+$/.test(line));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
