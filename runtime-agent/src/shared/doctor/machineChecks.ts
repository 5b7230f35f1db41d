/** Checks that every role needs: the release itself, and the folders it works in. */
import { access, constants, stat, statfs } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import type { DoctorCheck, Finding } from "./doctor.ts";
import { failed, ok, skipped, warning } from "./doctor.ts";

const leastFreeMiB = 64;

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

/** Node, and calling C through koffi. */
export function releaseChecks(): readonly DoctorCheck[] {
  return [
    {
      name: "node",
      run: async () =>
        process.platform === "linux" && process.arch === "x64"
          ? ok(`${process.version} on linux x64`)
          : await Promise.resolve(failed(`${process.platform} ${process.arch}`, "The release is for linux x64.")),
    },
    {
      name: "system calls",
      async run() {
        try {
          const { default: koffi } = await import("koffi");
          const getpid: () => number = koffi.load("libc.so.6").func("int getpid()");
          if (getpid() === process.pid) return ok(`koffi ${koffi.version}`);
          return failed("getpid gives another number", "Unpack the release again.");
        } catch (error) {
          return failed(`koffi cannot be loaded: ${codeOf(error)}`, "Unpack the release again; it needs glibc.");
        }
      },
    },
    {
      name: "clock",
      run: () =>
        Promise.resolve(
          Date.now() > Date.UTC(2025, 0, 1)
            ? ok(new Date().toISOString())
            : failed(new Date().toISOString(), "Set the clock: the market's hours depend on it."),
        ),
    },
  ];
}

/** The nearest folder above that exists: what a missing one would be made in. */
async function existing(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch {
    return path.dirname(folder) === folder ? folder : existing(path.dirname(folder));
  }
}

/** Whether a folder can be written to, or made, and has room. */
export function folderCheck(name: string, folder: string): DoctorCheck {
  return {
    name,
    async run() {
      const place = await existing(folder);
      try {
        await access(place, constants.W_OK | constants.X_OK);
      } catch (error) {
        return failed(`${place}: ${codeOf(error)}`, "Run as root, or set `paths` to folders of your own.");
      }
      const { bavail, bsize } = await statfs(place);
      const freeMiB = Math.floor((bavail * bsize) / 1024 / 1024);
      const found = `${folder}${place === folder ? "" : " (will be made)"}, ${String(freeMiB)} MiB free`;
      return freeMiB >= leastFreeMiB ? ok(found) : failed(found, `Free at least ${String(leastFreeMiB)} MiB there.`);
    },
  };
}

/**
 * Whether a file with a secret is there, and is nobody else's to read. Its content is not read. A service's own token
 * may also be its group's (`most` 0640): the arbiter takes no other permission amiss than those of the others.
 */
export function secretFileCheck(name: string, file: string, most: "0600" | "0640" = "0600"): DoctorCheck {
  const refused = most === "0600" ? 0o077 : 0o007;
  return {
    name,
    async run() {
      try {
        const { mode, size, uid } = await stat(file);
        // As root of its unit the agent has no right over other users' files (no CAP_DAC_OVERRIDE).
        if (uid !== process.getuid?.()) return failed(`${file} belongs to user ${String(uid)}`, `chown root ${file}`);
        if ((mode & refused) !== 0) {
          return failed(`${file}: mode ${(mode & 0o777).toString(8).padStart(4, "0")}`, `chmod ${most} ${file}`);
        }
        return size === 0 ? failed(`${file} is empty`, "Write the secret into it.") : ok(file);
      } catch (error) {
        return failed(`${file}: ${codeOf(error)}`, `Write the secret into it, mode ${most}.`);
      }
    },
  };
}

/** Whether something is at a path. */
export function presentCheck(name: string, file: string, otherwise: Finding): DoctorCheck {
  return {
    name,
    run: () =>
      stat(file).then(
        () => ok(file),
        () => otherwise,
      ),
  };
}

/** Whether somebody listens at an address. */
export function reachableCheck(name: string, at: { readonly host: string; readonly port: number }): DoctorCheck {
  const { host, port } = at;
  return {
    name,
    run: () =>
      new Promise((resolve) => {
        const where = `${host}:${String(port)}`;
        const socket = connect({ host, port, timeout: 3000 });
        const end = (finding: Finding): void => {
          socket.destroy();
          resolve(finding);
        };
        socket.once("connect", () => end(ok(where)));
        socket.once("timeout", () => end(warning(`${where}: no answer`, "Check the address and the firewall.")));
        socket.once("error", (error) => end(warning(`${where}: ${codeOf(error)}`, "Is it running there?")));
      }),
  };
}

/** Whether the agent answers on its socket. */
export function runningCheck(socket: string): DoctorCheck {
  return {
    name: "agent",
    run: () =>
      new Promise((resolve) => {
        const probe = connect(socket);
        const end = (finding: Finding): void => {
          probe.destroy();
          resolve(finding);
        };
        probe.once("connect", () => end(ok(`answers on ${socket}`)));
        probe.once("error", (error) => end(skipped(`does not run (${socket}: ${codeOf(error)})`)));
      }),
  };
}
