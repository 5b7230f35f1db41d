/** What to do about the engine's and the provider's messages, by what they say. First match wins. */
const advice: readonly { readonly says: RegExp; readonly fix: string }[] = [
  {
    says: /; allowed: /,
    fix: "Each line above says what to set. Then run the same command again.",
  },
  {
    says: /only root can set|root@pam/i,
    fix: "Only root@pam may set this field: it belongs into the root-only step over SSH, not into the token's call.",
  },
  {
    says: /permission check failed|\b403\b|forbidden/i,
    fix: "The API token lacks a privilege. Run: hive doctor (it names the privilege and the pveum command).",
  },
  {
    says: /\b401\b|authentication failure|invalid token/i,
    fix: "The API token is not accepted. Set it again: pulumi config set --secret apiToken",
  },
  {
    says: /protected|protect: true|protection mode/i,
    fix: "The guest is protected. Let it go by name: hive destroy genesis --unprotect ID",
  },
  {
    says: /already exists|already defined|config file already/i,
    fix: "An object with this name is on the host already. Run: hive adopt, or hive repair when a run was killed.",
  },
  {
    says: /got lock|is locked|can't lock file/i,
    fix: "Another task holds the guest's lock. Wait for it to end, or run: hive repair",
  },
  {
    says: /no space|out of space|storage .*full/i,
    fix: "The storage is full. Free space on it, or give another storage in the settings.",
  },
  {
    says: /connection refused|connection reset|EOF|no route to host|i\/o timeout|dial tcp/i,
    fix: "The host's API does not answer. Check that it runs, then run the same command again: it goes on from here.",
  },
  {
    says: /x509|certificate/i,
    fix: "The API's certificate is not trusted. Install its CA, or set insecure: true for a self-signed one.",
  },
  {
    says: /timeout while waiting|context deadline exceeded/i,
    fix: "The host took too long. Look at its task log, then run the same command again.",
  },
  {
    says: /locked by|currently locked/i,
    fix: "Another update holds the stack. Wait for it to end, or run: hive repair",
  },
  {
    says: /passphrase/i,
    fix: "The stack's passphrase is missing or wrong: set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE.",
  },
];

/** What to do about a message of the engine. */
export function adviceFor(message: string): string {
  return advice.find((each) => each.says.test(message))?.fix ?? "Repair the cause and run the same command again.";
}
