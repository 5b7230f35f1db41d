/**
 * The service manager's protocol, sd_notify(3): datagrams to the socket named by `NOTIFY_SOCKET`. Without that variable
 * everything here is inert.
 */
import type { Libc } from "./libc.ts";
import { libc } from "./libc.ts";

export interface Notifier {
  /** Whether a service manager listens. */
  readonly active: boolean;
  /**
   * How long the service manager waits for the next `watchdog()` before it kills the agent, ms; undefined when it does
   * not watch.
   */
  readonly watchdogMs: number | undefined;
  ready(): void;
  /** To be called after a completed decision loop and from nowhere else. */
  watchdog(): void;
  status(text: string): void;
  /** Asks for this much more time to start or to stop, ms. */
  extend(ms: number): void;
  stopping(): void;
}

/** `sockaddr_un`: the family, then the path with its NUL, or the abstract name (written with `@`) after a NUL. */
export function unixAddress(name: string): Buffer {
  const abstract = name.startsWith("@");
  if (!abstract && !name.startsWith("/")) throw new RangeError(`${name}: a socket's path begins with / or @`);
  const text = Buffer.from(abstract ? `\0${name.slice(1)}` : `${name}\0`, "utf8");
  if (text.length > 108) throw new RangeError(`${name}: a socket's path has at most 107 bytes`);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(1);
  return Buffer.concat([family, text]);
}

function inert(): Notifier {
  const nothing = (): void => undefined;
  return {
    active: false,
    watchdogMs: undefined,
    ready: nothing,
    watchdog: nothing,
    status: nothing,
    extend: nothing,
    stopping: nothing,
  };
}

/** `WATCHDOG_USEC` in ms, when it is meant for this process. */
function watchdogMs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: watched } = env;
  if (usec === undefined || !/^\d{1,16}$/.test(usec) || Number(usec) === 0) return undefined;
  return watched === undefined || Number(watched) === pid ? Number(usec) / 1000 : undefined;
}

/**
 * Connects to the service manager. Takes the variables out of the environment, so that no child speaks for the agent.
 * A message that cannot be sent is reported to `onError` and lost: the manager's own time limit is the safety net.
 */
export async function createNotifier(
  env: NodeJS.ProcessEnv = process.env,
  onError: (reason: string) => void = () => undefined,
): Promise<Notifier> {
  const { NOTIFY_SOCKET: name } = env;
  const interval = watchdogMs(env, process.pid);
  delete env.NOTIFY_SOCKET;
  delete env.WATCHDOG_USEC;
  delete env.WATCHDOG_PID;
  if (name === undefined || name === "") return inert();
  let calls: Libc;
  let address: Buffer;
  let fd: number;
  try {
    address = unixAddress(name);
    calls = await libc();
    fd = calls.datagramSocket();
  } catch (error) {
    onError(`the service manager cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
    return inert();
  }
  const send = (message: string): void => {
    const errno = calls.send(fd, Buffer.from(message, "utf8"), address);
    if (errno !== 0) onError(`sd_notify: errno ${String(errno)}`);
  };
  return {
    active: true,
    watchdogMs: interval,
    ready: () => send("READY=1"),
    watchdog: () => send("WATCHDOG=1"),
    status: (text) => send(`STATUS=${text.replaceAll(/[\r\n]+/g, " ").slice(0, 400)}`),
    extend: (ms) => send(`EXTEND_TIMEOUT_USEC=${String(Math.round(ms * 1000))}`),
    stopping: () => send("STOPPING=1"),
  };
}
