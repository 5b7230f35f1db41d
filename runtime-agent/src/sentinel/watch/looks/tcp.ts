import { connect } from "node:net";
import type { Finding } from "../core/watchdog.ts";
import { onDeadline } from "../deadline.ts";
import { wordsOf } from "../exchange.ts";

export interface TcpLook {
  readonly host: string;
  readonly port: number;
  readonly deadlineMs: number;
  readonly stop?: AbortSignal | undefined;
}

/** Opens a connection and closes it again. */
export function lookTcp(look: TcpLook): Promise<Finding> {
  const { host, port, deadlineMs } = look;
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (finding: Finding): void => {
      callOff();
      socket.destroy();
      resolve(finding);
    };
    const callOff = onDeadline(deadlineMs, look.stop, (detail) => end({ ok: false, detail }));
    socket.on("error", (error) => end({ ok: false, detail: wordsOf(error) }));
    socket.once("connect", () => end({ ok: true, detail: "connected" }));
  });
}
