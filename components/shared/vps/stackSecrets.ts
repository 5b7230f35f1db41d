/** The secrets of the stacks `sentinel` and `agent-<name>`: keys of their own, checked for their form, never shown. Pure. */
import { SecretText } from "../secretText.ts";
import { publicKeyOf } from "../sshKey.ts";
import type { Fault } from "../faults.ts";

/** Forms of the secrets that are one text. */
const secretForms = {
  /** Login of the server: a key of its own, shared with nothing. */
  sshPrivateKey: {
    fits: (value: string) => publicKeyOf(value) !== undefined,
    limit: "a private SSH key in OpenSSH's form without passphrase, stored as a secret",
    set: "Run `ssh-keygen -t ed25519 -N '' -f KEY` and `pulumi config set --secret hive:sshPrivateKey < KEY`",
  },
  /** Proxmox API token. */
  apiToken: {
    fits: (value: string) => /^[^\s@!:/=]{1,64}@[A-Za-z][\w.-]*![A-Za-z][\w.-]{1,127}=[0-9a-fA-F-]{36}$/.test(value),
    limit: "a Proxmox API token, USER@REALM!NAME=UUID, stored as a secret",
    set: "Run `pulumi config set --secret hive:apiToken`",
  },
  /** The registration key that `hive agent new` got from the Sentinel. */
  registrationKey: {
    fits: (value: string) => /^[0-9a-f]{64}\s*$/.test(value),
    limit: "the key that the Sentinel gave for this life of the agent, 64 hexadecimal digits, stored as a secret",
    set: "Run `hive agent new`, or `pulumi config set --secret hive:registrationKey`",
  },
  /** Address outside of everything here that raises the alarm when it is not called (Healthchecks.io and the like). */
  deadManUrl: {
    fits: (value: string) => /^https?:\/\/[^\s@'"\\$`]{3,500}$/.test(value) && URL.canParse(value),
    limit: "the address of a check elsewhere that misses the Sentinel, stored as a secret",
    set: "Run `pulumi config set --secret hive:deadManUrl`",
  },
} as const;
export type SecretName = keyof typeof secretForms;

/** Keys that hold secrets without one form: objects of texts. */
const secretObjects = ["environment", "secrets"] as const;
export type SecretObject = (typeof secretObjects)[number];

/** Whether a key holds a secret: its value is never read as a plain one. */
export function isSecretKey(key: string): boolean {
  return Object.hasOwn(secretForms, key) || secretObjects.some((each) => each === key);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value behind a text of JSON; any other value is itself. Pulumi keeps structured values as JSON text. */
export function decoded(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{"]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

export function secretFaults(raw: Readonly<Record<string, unknown>>, needed: readonly SecretName[]): Fault[] {
  return (Object.keys(secretForms) as SecretName[]).flatMap((key) => {
    const { fits, limit, set } = secretForms[key];
    const value = raw[key];
    if (value === undefined) return needed.includes(key) ? [{ property: key, limit, fix: `${set}.` }] : [];
    if (!(value instanceof SecretText)) {
      const fix = `${set}, and replace the old one: whoever read the file knows it.`;
      return [{ property: key, value: "stored in clear (not shown)", limit, fix }];
    }
    return fits(value.reveal())
      ? []
      : [{ property: key, value: "a secret of another form (not shown)", limit, fix: `${set} again.` }];
  });
}

export function secretObjectFaults(raw: Readonly<Record<string, unknown>>, allowed: SecretObject): Fault[] {
  return secretObjects.flatMap((key) => {
    const value = raw[key];
    const limit = "names and texts as JSON, stored as a secret";
    if (value === undefined) return [];
    if (key !== allowed) return [{ property: key, value: "an unknown key", limit: allowed, fix: `Write ${allowed}.` }];
    const set = `Run \`pulumi config set --secret hive:${key} '{"NAME": "value"}'\``;
    if (!(value instanceof SecretText))
      return [{ property: key, value: "stored in clear (not shown)", limit, fix: `${set}, with new values.` }];
    const inner = decoded(value.reveal());
    const texts = isRecord(inner) && Object.values(inner).every((each) => typeof each === "string");
    return texts ? [] : [{ property: key, value: "another form (not shown)", limit, fix: `${set}.` }];
  });
}
