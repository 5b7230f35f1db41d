// The receiving end of sd_notify(3). Node has no datagram sockets of the Unix family, so they come from libc by koffi,
// loaded with the first service that notifies.
import { rmSync } from "node:fs";

interface Calls {
  open: (path: string) => number;
  /** The next message without waiting, undefined when there is none. */
  receive: (fd: number) => string | undefined;
  close: (fd: number) => void;
}

/** How often sockets are looked at, ms. */
const lookMs = 25;
const dontWait = 0x40;

let calls: Promise<Calls> | undefined;

async function load(): Promise<Calls> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const socket: (family: number, type: number, protocol: number) => number = libc.func("int socket(int, int, int)");
  const bind: (fd: number, to: Buffer, size: number) => number = libc.func("int bind(int, const void *, uint32_t)");
  const recv: (fd: number, into: Buffer, size: number, flags: number) => number = libc.func(
    "long recv(int, _Out_ void *, size_t, int)",
  );
  const close: (fd: number) => number = libc.func("int close(int)");
  const buffer = Buffer.alloc(4096); // sd_notify(3): what is longer is cut by the real one, too
  return {
    open: (path) => {
      const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${path}\0`)]);
      const fd = socket(1, 2 | 0o2000000, 0); // AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC
      if (fd < 0) throw new Error("socket: no descriptor left");
      if (address.length <= 110 && bind(fd, address, address.length) === 0) return fd;
      close(fd);
      throw new Error(`${path}: cannot be bound`);
    },
    receive: (fd) => {
      const size = recv(fd, buffer, buffer.length, dontWait);
      return size < 0 ? undefined : buffer.toString("utf8", 0, size);
    },
    close: (fd) => void close(fd),
  };
}

/** Fields of one message, `READY=1` and the like. */
export type Notice = ReadonlyMap<string, string>;

/** Opens a socket at `path` and hands each message on until it is closed. @throws Error where koffi or libc is missing */
export async function listenNotify(path: string, take: (notice: Notice) => void): Promise<() => void> {
  calls ??= load();
  const { open, receive, close } = await calls;
  rmSync(path, { force: true });
  const fd = open(path);
  const look = (): void => {
    for (let text = receive(fd); text !== undefined; text = receive(fd)) take(noticeOf(text));
  };
  const timer = setInterval(look, lookMs);
  return () => {
    look(); // what was said just before the end counts
    clearInterval(timer);
    close(fd);
    rmSync(path, { force: true });
  };
}

function noticeOf(text: string): Notice {
  return new Map(
    text.split("\n").flatMap((line): [string, string][] => {
      const cut = line.indexOf("=");
      return cut > 0 ? [[line.slice(0, cut), line.slice(cut + 1)]] : [];
    }),
  );
}
