/**
 * The few system calls that Node does not offer, through koffi. Loaded when first used: the library costs about 9 MiB of
 * resident memory.
 */
export interface Libc {
  /** flock(2) without waiting. False when another open file holds the lock. */
  tryLock(fd: number): boolean;
  /** A datagram socket of the Unix family, close-on-exec. */
  datagramSocket(): number;
  /** Sends without waiting and without SIGPIPE; gives 0, or the errno. */
  send(fd: number, message: Buffer, address: Buffer): number;
}

const lockExclusive = 2;
const lockNonBlocking = 4;
const wouldBlock = 11;
const familyUnix = 1;
const typeDatagramCloexec = 2 | 0o2000000;
const sendFlags = 0x40 | 0x4000; // MSG_DONTWAIT | MSG_NOSIGNAL

let loaded: Promise<Libc> | undefined;

async function load(): Promise<Libc> {
  const { default: koffi } = await import("koffi");
  const library = koffi.load("libc.so.6");
  const flock: (fd: number, operation: number) => number = library.func("int flock(int, int)");
  const socket: (family: number, type: number, protocol: number) => number = library.func("int socket(int, int, int)");
  const sendto: (fd: number, data: Buffer, size: number, flags: number, to: Buffer, toSize: number) => number =
    library.func("long sendto(int, const void *, size_t, int, const void *, uint32_t)");
  return {
    tryLock(fd) {
      if (flock(fd, lockExclusive | lockNonBlocking) === 0) return true;
      if (koffi.errno() === wouldBlock) return false;
      throw new Error(`flock: errno ${String(koffi.errno())}`);
    },
    datagramSocket() {
      const fd = socket(familyUnix, typeDatagramCloexec, 0);
      if (fd < 0) throw new Error(`socket: errno ${String(koffi.errno())}`);
      return fd;
    },
    send(fd, message, address) {
      const sent = sendto(fd, message, message.length, sendFlags, address, address.length);
      return sent === message.length ? 0 : koffi.errno();
    },
  };
}

/** The system calls; the same object every time. */
export function libc(): Promise<Libc> {
  loaded ??= load();
  return loaded;
}
