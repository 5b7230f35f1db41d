/** Loading a shared library by koffi and calling it with plain buffers: every C layout stays visible where it is used. */
import koffi from "koffi";

/** A call that the library refused, with its own code. */
export class LibraryError extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** C argument types that are used here. A `pointer` takes a Buffer (the callee writes into it), an address or null. */
export type CType = "int" | "uint32" | "uint64" | "pointer";
export type CValue = number | bigint | Buffer | string | null;
export type CFunction = (...values: CValue[]) => number;

/** A shared library; functions are looked up by name and return an `int` (`nvmlReturn_t`, `CUresult`). */
export class Library {
  readonly #handle: ReturnType<typeof koffi.load>;
  readonly #found = new Map<string, CFunction | undefined>();

  /** Throws when there is no such library. `null` is the program itself with libc. */
  constructor(path: string | null) {
    this.#handle = koffi.load(path, { lazy: true });
  }

  /** The function, or undefined when this version of the library does not export it. */
  find(name: string, types: readonly CType[]): CFunction | undefined {
    if (!this.#found.has(name)) this.#found.set(name, this.#bind(name, types));
    return this.#found.get(name);
  }

  #bind(name: string, types: readonly CType[]): CFunction | undefined {
    try {
      const native: (...values: unknown[]) => unknown = this.#handle.func(
        name,
        "int",
        types.map((type) => (type === "pointer" ? "void *" : type)),
      );
      return (...values) => Number(native(...values));
    } catch {
      return undefined;
    }
  }
}

/** Asks the kernel to kill this process when the one that started it is gone (`prctl(PR_SET_PDEATHSIG)`, Linux). */
export function dieWithParent(parentPid: number): void {
  const setParentDeathSignal = 1;
  const sigkill = 9;
  const prctl = new Library(null).find("prctl", ["int", "uint64", "uint64", "uint64", "uint64"]);
  prctl?.(setParentDeathSignal, sigkill, 0, 0, 0);
  // The parent may have died before the request was in place.
  if (process.ppid !== parentPid) process.exit(0);
}

/** Text up to the first NUL. */
export function cString(buffer: Buffer): string {
  const end = buffer.indexOf(0);
  return buffer.toString("utf8", 0, end < 0 ? buffer.length : end);
}
