/**
 * The agent's release with the Node of the lab's machines in place of its own: all of its code is the same, and it is a
 * twentieth of the size, so that a thousand servers can be made of it.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Release } from "../../../cli/agents/release.ts";
import { ustar } from "../../../components/shared/ustar.ts";
import { releaseEntries } from "../../../runtime-agent/build/tarball.ts";

const labNode = `#!/bin/sh
exec /.lab/node "$@"
`;

export async function lightRelease(folder: string): Promise<Release> {
  const { version, entries } = await releaseEntries();
  const light = entries
    .filter(({ name }) => name !== "SHA256SUMS" && !name.endsWith(".map"))
    .map((entry) => (entry.name === "lib/node" ? { ...entry, content: Buffer.from(labNode) } : entry));
  const bytes = gzipSync(ustar(light), { level: 1 });
  const tarball = join(folder, `hive-agent-${version}-linux-x64.tar.gz`);
  writeFileSync(tarball, bytes);
  return { tarball, sha256: createHash("sha256").update(bytes).digest("hex"), version };
}
