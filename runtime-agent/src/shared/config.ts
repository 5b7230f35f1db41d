import { readFile, stat } from "node:fs/promises";
import { parseKeeperConfig } from "../../../components/shared/agent/parseKeeperConfig.ts";
import type { KeeperConfig } from "../../../components/shared/agent/keeperConfig.ts";
import type { Checked, Fault } from "../../../components/shared/faults.ts";

function unreadable(file: string, error: unknown): Fault {
  const code = error instanceof Error && "code" in error ? String(error.code) : "an error";
  const fix = code === "ENOENT" ? "Write it, or name another with --config." : "Let root own it, mode 0600.";
  return { property: file, value: `unreadable (${code})`, limit: "a readable file", fix };
}

/** Reads and checks a configuration file. Never throws: whatever is wrong is among the faults. */
export async function loadKeeperConfig(file: string): Promise<Checked<KeeperConfig>> {
  try {
    const { mode } = await stat(file);
    const open = (mode & 0o022) !== 0;
    const checked = parseKeeperConfig(await readFile(file, "utf8"));
    if (!open) return checked;
    // Whoever may write it may let the daemon start any program as root.
    const value = (mode & 0o777).toString(8).padStart(4, "0");
    const fault: Fault = { property: file, value, limit: "writable by its owner alone", fix: `chmod 0600 ${file}` };
    return { ok: false, faults: [fault, ...(checked.ok ? [] : checked.faults)] };
  } catch (error) {
    return { ok: false, faults: [unreadable(file, error)] };
  }
}
