// remote.CopyToRemote (and the older CopyFile): an asset or archive to a path on the host, by SFTP.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, posix } from "node:path";
import type { SFTPWrapper } from "ssh2";
import { connect, targetOf } from "./connection.ts";
import type { Reporter } from "./remote.ts";
import type { Source } from "./wire.ts";

/** Copies `source` as the schema says: parents are made; onto an existing folder, into it. */
export async function copyToRemote(
  connection: unknown,
  source: Source,
  remotePath: string,
  report: Reporter,
): Promise<void> {
  const connected = await connect(targetOf(connection), report.status);
  try {
    const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
      connected.client.sftp((error, channel) => (error === undefined ? resolve(channel) : reject(error)));
    });
    await place(sftp, source, remotePath);
  } finally {
    connected.close();
  }
}

async function place(sftp: SFTPWrapper, source: Source, remotePath: string): Promise<void> {
  const onFolder = (await kindOf(sftp, remotePath)) === "folder";
  switch (source.kind) {
    case "unsupported":
      throw new Error(source.why);
    case "text":
      if (onFolder) throw new Error(`remote path ${remotePath} is a directory; a text asset needs a file path`);
      return write(sftp, remotePath, Buffer.from(source.text));
    case "assets":
      await makeFolders(sftp, remotePath);
      for (const [name, entry] of source.entries) await place(sftp, entry, posix.join(remotePath, name));
      return;
    case "path": {
      const isFolder = statSync(source.path).isDirectory();
      const named = onFolder && !(isFolder && source.path.endsWith("/"));
      return copyPath(sftp, source.path, named ? posix.join(remotePath, basename(source.path)) : remotePath);
    }
  }
}

async function copyPath(sftp: SFTPWrapper, local: string, remote: string): Promise<void> {
  if (!statSync(local).isDirectory()) return write(sftp, remote, readFileSync(local));
  await makeFolders(sftp, remote);
  for (const name of readdirSync(local).sort()) await copyPath(sftp, join(local, name), posix.join(remote, name));
}

async function write(sftp: SFTPWrapper, path: string, data: Buffer): Promise<void> {
  await makeFolders(sftp, posix.dirname(path));
  await new Promise<void>((resolve, reject) => {
    sftp.writeFile(path, data, (error) =>
      error ? reject(new Error(`failed to write ${path}: ${error.message}`)) : resolve(),
    );
  });
}

async function makeFolders(sftp: SFTPWrapper, path: string): Promise<void> {
  const kind = await kindOf(sftp, path);
  if (kind === "folder") return;
  if (kind === "file") throw new Error(`remote path ${path} exists and is not a directory`);
  if (posix.dirname(path) !== path) await makeFolders(sftp, posix.dirname(path));
  await new Promise<void>((resolve, reject) => {
    sftp.mkdir(path, (error) => (error ? reject(new Error(`failed to create ${path}: ${error.message}`)) : resolve()));
  });
}

function kindOf(sftp: SFTPWrapper, path: string): Promise<"file" | "folder" | "absent"> {
  return new Promise((resolve) => {
    sftp.stat(path, (error, stats) => resolve(error ? "absent" : stats.isDirectory() ? "folder" : "file"));
  });
}
