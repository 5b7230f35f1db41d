import type { Fault } from "./faults.ts";
import type { RawReader } from "./rawReader.ts";
import { SecretText } from "./secretText.ts";

/** Keys that must be stored as secrets; the Keeper's only where it is installed. */
const secretKeys = ["apiToken", "sshPrivateKey", "keeperLinkKey", "keeperProxmoxToken", "keeperWatchdogKey"] as const;
type SecretKey = (typeof secretKeys)[number];

const uuid = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
const tokenForm = new RegExp(`^[^\\s@!:/=]{1,64}@[A-Za-z][\\w.-]*![A-Za-z][\\w.-]{1,127}=${uuid}$`);
const keyForm = /^-----BEGIN (?:OPENSSH |RSA |EC )?PRIVATE KEY-----\r?\n[\s\S]+-----END [A-Z ]*PRIVATE KEY-----\s*$/;
/** 32 random bytes; never one byte repeated, which is how a placeholder looks. */
const sharedKeyForm = /^(?!([0-9a-fA-F]{2})\1{31}\s*$)[0-9a-fA-F]{64}\s*$/;
const sharedKey = (name: SecretKey): { form: RegExp; limit: string; set: string } => ({
  form: sharedKeyForm,
  limit: "32 random bytes as 64 hexadecimal digits, stored as a secret",
  set: `Run \`openssl rand -hex 32 | pulumi config set --secret hive:${name}\``,
});
const secretForms: Readonly<Record<SecretKey, { form: RegExp; limit: string; set: string }>> = {
  apiToken: {
    form: tokenForm,
    limit: "a Proxmox API token, USER@REALM!NAME=UUID, stored as a secret",
    set: "Run `pulumi config set --secret hive:apiToken`",
  },
  sshPrivateKey: {
    form: keyForm,
    limit: "a private SSH key without passphrase, stored as a secret",
    set: "Run `pulumi config set --secret hive:sshPrivateKey < ~/.ssh/KEY`",
  },
  keeperLinkKey: sharedKey("keeperLinkKey"),
  keeperProxmoxToken: {
    form: tokenForm,
    limit: "a Proxmox API token of the Keeper's own, USER@REALM!NAME=UUID, stored as a secret",
    set: "Run `pulumi config set --secret hive:keeperProxmoxToken`",
  },
  keeperWatchdogKey: sharedKey("keeperWatchdogKey"),
};

/**
 * A value of the right form for each secret, of no use to anybody: stands for an encrypted one that cannot be read, where
 * it only matters that it is there.
 */
export const wellFormedSecrets: Readonly<Record<string, string>> = {
  apiToken: "user@pve!token=00000000-0000-0000-0000-000000000000",
  sshPrivateKey: "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n",
  keeperLinkKey: "00112233445566778899aabbccddeeff".repeat(2),
  keeperProxmoxToken: "user@pve!token=00000000-0000-0000-0000-000000000000",
  keeperWatchdogKey: "00112233445566778899aabbccddeeff".repeat(2),
} satisfies Readonly<Record<SecretKey, string>>;

/** Whether a configuration needs a secret; one that is given although nothing needs it is checked all the same. */
function isNeeded(name: SecretKey, root: RawReader): boolean {
  if (!name.startsWith("keeper")) return true;
  const keeper = root.json("keeper");
  if (typeof keeper !== "object" || keeper === null) return false;
  return name !== "keeperWatchdogKey" || "watchdog" in keeper;
}

/** Secrets are checked for form and for how they are stored; their values never reach a fault. */
export function checkSecrets(root: RawReader, faults: Fault[]): void {
  for (const name of secretKeys) {
    const value = root.secret(name);
    const { form, limit, set } = secretForms[name];
    const note = (given: string | undefined, fix: string): void => {
      faults.push({ property: root.path(name), value: given, limit, fix });
    };
    if (value === undefined) {
      if (isNeeded(name, root)) note(undefined, `${set}.`);
    } else if (!(value instanceof SecretText)) {
      note("stored in clear (not shown)", `${set}, and replace the old one: whoever read the file knows it.`);
    } else if (!form.test(value.reveal())) note("a secret of another form (not shown)", `${set} again.`);
  }
}
