import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { libc } from "./libc.ts";

/** Thrown when another agent works on the same state. */
export class SecondInstanceError extends Error {
  constructor(file: string, holder: string) {
    super(`${file} is locked: another agent runs (${holder === "" ? "unknown" : holder}). Stop it first.`);
    this.name = "SecondInstanceError";
  }
}

export interface InstanceLock {
  release(): Promise<void>;
}

/**
 * Takes the lock `agent.lock` of a state folder, or throws `SecondInstanceError` at once. It is a flock(2): the kernel
 * lets go of it when the process ends, however it ends, and the file left behind means nothing.
 */
export async function acquireInstanceLock(stateFolder: string): Promise<InstanceLock> {
  await mkdir(stateFolder, { recursive: true, mode: 0o700 });
  const file = path.join(stateFolder, "agent.lock");
  const handle = await open(file, "a+", 0o600);
  try {
    const calls = await libc();
    if (!calls.tryLock(handle.fd)) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, 0);
      const holder = buffer.toString("latin1", 0, bytesRead).trim();
      throw new SecondInstanceError(file, /^pid \d{1,10}$/.test(holder) ? holder : "");
    }
    await handle.truncate(0);
    await handle.write(`pid ${String(process.pid)}\n`);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return { release: () => handle.close() };
}
