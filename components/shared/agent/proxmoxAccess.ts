import { absolutePath, httpUrl, label, secretFile, text } from "./configParts.ts";

/** Proxmox VE's API, by token. One of `fingerprint` and `caFile` pins its certificate. Fields, so that each section names all of its own in an error. */
export const proxmoxAccess = {
  url: httpUrl,
  /** Holds `user@realm!name=uuid`. */
  tokenFile: secretFile,
  fingerprint: text(
    /^(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/,
    "a SHA-256 fingerprint, 32 bytes in hex with colons",
    "Read it with `pvenode cert info`.",
  ).optional(),
  caFile: absolutePath.optional(),
  node: label,
} as const;
