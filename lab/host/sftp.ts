// SFTP version 3 on a machine's private folder (draft-ietf-secsh-filexfer-02). Paths are resolved as in a chroot.
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import type { Stats } from "node:fs";
import { join, posix } from "node:path";
import ssh2 from "ssh2";
import type { Attributes, InputAttributes, SFTPWrapper } from "ssh2";
import { containedPath, isBelow, PathRefused } from "./contained-path.ts";
import { isErrno } from "./files.ts";

const { STATUS_CODE: status, OPEN_MODE: openMode } = ssh2.utils.sftp;
const maxHandles = 256;
const maxReadBytes = 256 * 1024;
const hiddenFolder = "/.lab";

type Handle = { kind: "file"; descriptor: number; append: boolean } | { kind: "folder"; path: string; names: string[] };

/** Serves one SFTP channel on `root` until it closes. */
export function serveSftp(sftp: SFTPWrapper, root: string): void {
  const realRoot = realpathSync(root);
  const handles = new Map<number, Handle>();
  let nextHandle = 1;

  const at = (path: string, followLast: boolean): string => {
    const full = containedPath(realRoot, path, { followLast });
    if (isBelow(join(realRoot, hiddenFolder), full)) throw new PathRefused("the lab's own folder is not for clients");
    return full;
  };
  const answer = (id: number, work: () => void): void => {
    try {
      work();
    } catch (error) {
      sftp.status(id, statusOf(error), error instanceof PathRefused ? error.message : "");
    }
  };
  const done = (id: number): void => sftp.status(id, status.OK);
  const handleOf = (buffer: Buffer): [number, Handle] => {
    const number = buffer.length === 4 ? buffer.readUInt32BE(0) : 0;
    const handle = handles.get(number);
    if (handle === undefined) throw new PathRefused("invalid handle");
    return [number, handle];
  };
  const give = (id: number, handle: Handle): void => {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32BE(nextHandle);
    handles.set(nextHandle, handle);
    nextHandle += 1;
    sftp.handle(id, buffer);
  };
  const closeAll = (): void => {
    for (const handle of handles.values()) if (handle.kind === "file") closeSync(handle.descriptor);
    handles.clear();
  };

  sftp.on("OPEN", (id, name, flags, attributes) =>
    answer(id, () => {
      if (handles.size >= maxHandles) throw new PathRefused("too many open handles");
      const path = at(name, true);
      const mode = numberOf(attributes, "mode");
      const descriptor = openSync(
        path,
        openFlags(flags) | constants.O_NOFOLLOW,
        mode === undefined ? 0o644 : mode & 0o777,
      );
      try {
        assertInside(realRoot, descriptor);
        if ((flags & openMode.TRUNC) !== 0) ftruncateSync(descriptor); // only now: nothing outside may be emptied
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
      give(id, { kind: "file", descriptor, append: (flags & openMode.APPEND) !== 0 });
    }),
  );
  sftp.on("READ", (id, buffer, offset, length) =>
    answer(id, () => {
      const [, handle] = handleOf(buffer);
      if (handle.kind !== "file") throw new PathRefused("not a file");
      const chunk = Buffer.alloc(Math.min(length, maxReadBytes));
      const read = readSync(handle.descriptor, chunk, 0, chunk.length, offset);
      if (read === 0) sftp.status(id, status.EOF);
      else sftp.data(id, chunk.subarray(0, read));
    }),
  );
  sftp.on("WRITE", (id, buffer, offset, data) =>
    answer(id, () => {
      const [, handle] = handleOf(buffer);
      if (handle.kind !== "file") throw new PathRefused("not a file");
      let written = 0;
      while (written < data.length) {
        written += writeSync(
          handle.descriptor,
          data,
          written,
          data.length - written,
          handle.append ? null : offset + written,
        );
      }
      done(id);
    }),
  );
  sftp.on("CLOSE", (id, buffer) =>
    answer(id, () => {
      const [number, handle] = handleOf(buffer);
      handles.delete(number);
      if (handle.kind === "file") closeSync(handle.descriptor);
      done(id);
    }),
  );
  sftp.on("FSTAT", (id, buffer) =>
    answer(id, () => {
      const [, handle] = handleOf(buffer);
      sftp.attrs(id, attributesOf(handle.kind === "file" ? fstatSync(handle.descriptor) : statSync(handle.path)));
    }),
  );
  sftp.on("FSETSTAT", (id, buffer, attributes) =>
    answer(id, () => {
      const [, handle] = handleOf(buffer);
      if (handle.kind !== "file") throw new PathRefused("not a file");
      const change = changeOf(attributes);
      if (change.size !== undefined) ftruncateSync(handle.descriptor, change.size);
      if (change.mode !== undefined) fchmodSync(handle.descriptor, change.mode);
      if (change.times !== undefined) futimesSync(handle.descriptor, ...change.times);
      done(id);
    }),
  );
  sftp.on("SETSTAT", (id, path, attributes) =>
    answer(id, () => {
      const full = at(path, true);
      const change = changeOf(attributes);
      if (change.size !== undefined) truncateSync(full, change.size);
      if (change.mode !== undefined) chmodSync(full, change.mode);
      if (change.times !== undefined) utimesSync(full, ...change.times);
      done(id);
    }),
  );
  sftp.on("OPENDIR", (id, path) =>
    answer(id, () => {
      if (handles.size >= maxHandles) throw new PathRefused("too many open handles");
      const full = at(path, true);
      const names = readdirSync(full).filter((name) => !isBelow(join(realRoot, hiddenFolder), join(full, name)));
      give(id, { kind: "folder", path: full, names });
    }),
  );
  sftp.on("READDIR", (id, buffer) =>
    answer(id, () => {
      const [, handle] = handleOf(buffer);
      if (handle.kind !== "folder") throw new PathRefused("not a folder");
      const batch = handle.names.splice(0, 100);
      if (batch.length === 0) return void sftp.status(id, status.EOF);
      const entries = batch.flatMap((name) => {
        const found = lstatSync(join(handle.path, name), { throwIfNoEntry: false });
        return found === undefined
          ? []
          : [{ filename: name, longname: longName(name, found), attrs: attributesOf(found) }];
      });
      sftp.name(id, entries);
    }),
  );
  sftp.on("STAT", (id, path) => answer(id, () => sftp.attrs(id, attributesOf(statSync(at(path, true))))));
  sftp.on("LSTAT", (id, path) => answer(id, () => sftp.attrs(id, attributesOf(lstatSync(at(path, false))))));
  sftp.on("REALPATH", (id, path) =>
    answer(id, () => {
      const asked = path === "" || path === "." ? "/root" : posix.resolve("/root", path);
      const full = containedPath(realRoot, asked, { followLast: true });
      const seen = full === realRoot ? "/" : full.slice(realRoot.length);
      sftp.name(id, [{ filename: seen, longname: seen, attrs: noAttributes }]);
    }),
  );
  sftp.on("READLINK", (id, path) =>
    answer(id, () => {
      const target = readlinkSync(at(path, false));
      sftp.name(id, [{ filename: target, longname: target, attrs: noAttributes }]);
    }),
  );
  // OpenSSH, and every client since, sends the target first, whatever the draft says.
  sftp.on("SYMLINK", (id, target, path) => answer(id, () => (symlinkSync(target, at(path, false)), done(id))));
  sftp.on("REMOVE", (id, path) => answer(id, () => (unlinkSync(at(path, false)), done(id))));
  sftp.on("RMDIR", (id, path) => answer(id, () => (rmdirSync(at(path, false)), done(id))));
  sftp.on("MKDIR", (id, path) => answer(id, () => (mkdirSync(at(path, false), 0o755), done(id))));
  sftp.on("RENAME", (id, from, to) => answer(id, () => (renameSync(at(from, false), at(to, false)), done(id))));
  sftp.on("close", closeAll);
  sftp.on("end", () => {
    closeAll();
    sftp.end(); // as sftp-server does at end of input: clients wait for the channel to close
  });
  sftp.on("error", closeAll);
}

/** A link swapped in between resolving and opening would show here: the opened file's real place is asked of the kernel. */
function assertInside(root: string, descriptor: number): void {
  if (process.platform !== "linux") return;
  if (!isBelow(root, readlinkSync(`/proc/self/fd/${descriptor}`)))
    throw new PathRefused("path leaves the private root");
}

const noAttributes: Attributes = { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 };

function attributesOf(stats: Stats): Attributes {
  return {
    mode: stats.mode,
    uid: 0, // the machine's root is this user: ids outside mean nothing inside
    gid: 0,
    size: stats.size,
    atime: Math.floor(stats.atimeMs / 1000),
    mtime: Math.floor(stats.mtimeMs / 1000),
  };
}

function longName(name: string, stats: Stats): string {
  const kind = stats.isDirectory() ? "d" : stats.isSymbolicLink() ? "l" : "-";
  const bits = [8, 7, 6, 5, 4, 3, 2, 1, 0]
    .map((bit) => (((stats.mode >> bit) & 1) === 1 ? "rwx"[(8 - bit) % 3] : "-"))
    .join("");
  return `${kind}${bits} 1 root root ${stats.size} ${stats.mtime.toISOString().slice(0, 16)} ${name}`;
}

function openFlags(flags: number): number {
  const write = (flags & openMode.WRITE) !== 0;
  const read = (flags & openMode.READ) !== 0;
  let result = write ? (read ? constants.O_RDWR : constants.O_WRONLY) : constants.O_RDONLY;
  if ((flags & openMode.APPEND) !== 0) result |= constants.O_APPEND;
  if ((flags & openMode.CREAT) !== 0) result |= constants.O_CREAT;
  if ((flags & openMode.EXCL) !== 0) result |= constants.O_EXCL;
  return result;
}

function numberOf(attributes: object, key: string): number | undefined {
  const value: unknown = Object.getOwnPropertyDescriptor(attributes, key)?.value;
  return typeof value === "number" ? value : undefined;
}

function changeOf(attributes: InputAttributes): { size?: number; mode?: number; times?: [number, number] } {
  const size = numberOf(attributes, "size");
  const mode = numberOf(attributes, "mode");
  const atime = numberOf(attributes, "atime");
  const mtime = numberOf(attributes, "mtime");
  return {
    ...(size === undefined ? {} : { size }),
    ...(mode === undefined ? {} : { mode: mode & 0o7777 }),
    ...(atime === undefined || mtime === undefined ? {} : { times: [atime, mtime] }),
  };
}

function statusOf(error: unknown): number {
  if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return status.NO_SUCH_FILE;
  if (isErrno(error, "EACCES") || isErrno(error, "EPERM") || isErrno(error, "ELOOP")) return status.PERMISSION_DENIED;
  return error instanceof PathRefused ? status.PERMISSION_DENIED : status.FAILURE;
}
