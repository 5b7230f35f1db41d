/** A real S3 server for the tests: moto, from PyPI, every file pinned by its hash and kept as an artifact of the set-up's cache. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cachedArtifact, ensureArtifact, type ArtifactOptions, type Recipe } from "../../../cli/setup/artifact.ts";
import { cacheRoot } from "../../../cli/setup/paths.ts";
import { findOnPath, run } from "../../../cli/setup/process.ts";

/** Hashes are of CPython 3.11's wheels. Of moto's own list, what S3 and IAM need. */
const list = join(import.meta.dirname, "moto.txt");
const python = "3.11";
const version = /^moto==(\S+)/m.exec(readFileSync(list, "utf8"))?.[1] ?? "";

const recipe: Recipe = {
  name: "moto",
  version,
  key: createHash("sha256").update(readFileSync(list)).update("2").digest("hex").slice(0, 16),
  build: async ({ folder, progress, signal }) => {
    progress(`moto: installing moto ${version} from PyPI (a quarter of a minute, 120 MB)`);
    const how = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile"];
    const ended = await run("python3", ["-m", "pip", "install", ...how, "--target", join(folder, "site"), "-r", list], {
      env: { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_ROOT_USER_ACTION: "ignore" },
      timeoutMs: 600_000,
      signal,
    });
    if (ended.status !== 0) throw new Error(`pip: ${ended.fault ?? ended.stderr.trim().slice(-2000)}`);
    await rm(join(folder, "bin"), { recursive: true });
    // The first start is part of the making: a machine may add its own authorities to certifi's list then.
    const env = { ...process.env, PYTHONPATH: join(folder, "site") };
    const first = await run("python3", ["-c", "import moto.server, moto.s3.urls, moto.iam.urls"], { env, signal });
    if (first.status !== 0) throw new Error(`moto: ${first.fault ?? first.stderr.trim().slice(-2000)}`);
  },
};

/** Starts moto and returns its process and port; its end is the caller's. */
const start = `import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
`;

export interface Moto {
  readonly port: number;
  readonly process: ChildProcess;
}

/**
 * Moto on a port of loopback, installed first when it is not there, or why this machine cannot have it.
 * @param openRequests So many requests are served to anybody; later ones must be signed by a key of its IAM, as at AWS.
 */
export async function startMoto(
  openRequests: number,
  progress: (line: string) => void,
): Promise<Moto | { readonly missing: string }> {
  if (findOnPath("python3") === undefined) return { missing: "moto needs python3" };
  const found = await run("python3", ["--version"], { timeoutMs: 20_000 });
  if (!found.stdout.includes(`Python ${python}.`))
    return { missing: `moto is pinned for Python ${python}, here is ${found.stdout.trim()}` };
  const options: ArtifactOptions = { cache: cacheRoot(), progress };
  const folder = (await cachedArtifact(recipe, options)) ?? (await ensureArtifact(recipe, options));
  const child = spawn("python3", ["-c", start], {
    env: {
      ...process.env,
      PYTHONPATH: join(folder, "site"),
      PYTHONDONTWRITEBYTECODE: "1",
      INITIAL_NO_AUTH_ACTION_COUNT: String(openRequests),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const errors: string[] = [];
  child.stderr.on("data", (data: Buffer) => errors.push(String(data)));
  const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), once(child, "exit")])) as unknown[];
  const port = Number(line);
  if (typeof line !== "string" || !(port > 0)) throw new Error(`moto did not start: ${errors.join("").slice(-2000)}`);
  return { port, process: child };
}
