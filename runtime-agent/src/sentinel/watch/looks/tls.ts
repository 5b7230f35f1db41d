import { isIP } from "node:net";
import { connect } from "node:tls";
import type { Finding } from "../core/watchdog.ts";
import { onDeadline } from "../deadline.ts";
import { wordsOf } from "../exchange.ts";

export interface TlsLook {
  readonly host: string;
  readonly port: number;
  /** The certificate must be for this name. @default the host */
  readonly serverName?: string | undefined;
  /** It must stay valid for more than so many days. */
  readonly days: number;
  /** PEM. @default Node's own list of authorities */
  readonly ca?: string | undefined;
  readonly deadlineMs: number;
  readonly stop?: AbortSignal | undefined;
  readonly wallMs: () => number;
}

const dayMs = 86_400_000;

/** Whether the certificate is believed, for this name, and long enough. */
export function lookTls(look: TlsLook): Promise<Finding> {
  const { host, port, days, ca, deadlineMs } = look;
  const name = look.serverName ?? host;
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port,
      // No SNI for an address (RFC 6066, section 3); the certificate is then checked for the address.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(ca === undefined ? {} : { ca }),
      // A certificate that is not believed is a finding like another, with its own words.
      rejectUnauthorized: false,
    });
    const end = (finding: Finding): void => {
      callOff();
      socket.destroy();
      resolve(finding);
    };
    const callOff = onDeadline(deadlineMs, look.stop, (detail) => end({ ok: false, detail }));
    socket.on("error", (error) => end({ ok: false, detail: wordsOf(error) }));
    socket.once("secureConnect", () => {
      // Its type says Error; Node sets the code, a text.
      const fault: unknown = socket.authorizationError;
      const endMs = Date.parse(socket.getPeerCertificate().valid_to);
      const left = Math.floor((endMs - look.wallMs()) / dayMs);
      const until = `valid for ${String(left)} more days`;
      if (Number.isNaN(endMs)) end({ ok: false, detail: "no certificate" });
      else if (endMs <= look.wallMs()) end({ ok: false, detail: "its certificate has expired" });
      else if (!socket.authorized) end({ ok: false, detail: `its certificate is not believed: ${wordsOf(fault)}` });
      else end({ ok: left > days, detail: until });
    });
  });
}
