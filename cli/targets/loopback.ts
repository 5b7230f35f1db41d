import { isIPv4, isIPv6 } from "node:net";

/** Whether a host name or address never leaves this machine: 127.0.0.0/8, ::1 or localhost. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (isIPv4(bare)) return bare.startsWith("127.");
  if (isIPv6(bare)) return bare === "::1";
  return bare === "localhost";
}

/** The host of a URL with an authority part, `undefined` for other text. */
export function hostOfUrl(text: string): string | undefined {
  if (!/^\s*[a-z][a-z0-9+.-]*:[/\\]{2}/i.test(text)) return undefined;
  try {
    return new URL(text.trim()).hostname;
  } catch {
    return "";
  }
}
