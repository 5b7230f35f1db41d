/**
 * The agent as one ES module with its source map and the licences of what is in it. The same sources give the same
 * bytes: nothing of the machine, the folder or the time goes in.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Plugin } from "esbuild";
import { licenceNotes, packagesOf } from "./licences.ts";

const root = path.resolve(import.meta.dirname, "../..");
/** Only a name: nothing is written there. It keeps the paths in the source map the same wherever the result goes. */
const outfile = path.join(root, "dist/agent/hive-agent.mjs");

/**
 * koffi stays outside, beside the bundle, for its native part cannot be inside. It is required when a module that uses
 * it is first run, not when the agent starts: a static import would cost every start 9 MiB.
 */
const koffiBeside: Plugin = {
  name: "koffi-beside",
  setup(build) {
    build.onResolve({ filter: /^koffi$/ }, ({ namespace }) =>
      namespace === "koffi-beside" ? { path: "koffi", external: true } : { path: "koffi", namespace: "koffi-beside" },
    );
    build.onLoad({ filter: /.*/, namespace: "koffi-beside" }, () => ({
      contents: 'module.exports = require("koffi").default;',
      loader: "js",
    }));
  },
};

/**
 * ssh2 works without its two native parts, which are faster ciphers and a look at the processor: it asks for them, and
 * goes on when they are not there. So the bundle stays the same on every machine.
 */
const ssh2Plain: Plugin = {
  name: "ssh2-plain",
  setup(build) {
    build.onResolve({ filter: /^cpu-features$|\/sshcrypto\.node$/ }, ({ path: name }) => ({
      path: name,
      namespace: "ssh2-plain",
    }));
    build.onLoad({ filter: /.*/, namespace: "ssh2-plain" }, () => ({
      contents: 'throw new Error("left out of the bundle");',
      loader: "js",
    }));
    // Two modules ask for their folder, which an ES module has none of: for a program of Windows, and for nothing.
    build.onLoad({ filter: /\/ssh2\/lib\/(?:agent|protocol\/crypto\/poly1305)\.js$/ }, async ({ path: file }) => ({
      contents: `const __dirname = "/";\n${await readFile(file, "utf8")}`,
      loader: "js",
    }));
  },
};

export interface Bundle {
  readonly version: string;
  /** `hive-agent.mjs`. */
  readonly code: Buffer;
  /** `hive-agent.mjs.map`. */
  readonly sourceMap: Buffer;
  /** `THIRD-PARTY.txt`: the licence of every package inside, koffi's and Node's apart. */
  readonly licences: string;
}

/** Version of the release: that of the package. */
export async function releaseVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(path.join(root, "package.json"), "utf8"));
  const version = typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : "";
  if (typeof version !== "string" || !/^\d+\.\d+\.\d+[\w.+-]*$/.test(version)) throw new Error("package.json: version");
  return version;
}

/** Bundles the agent. Throws esbuild's errors when the sources do not build. */
export async function bundleAgent(): Promise<Bundle> {
  const version = await releaseVersion();
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: [path.join(root, "runtime-agent/src/main.ts")],
    absWorkingDir: root,
    outfile,
    write: false,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    sourcemap: "linked",
    metafile: true,
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
    define: { HIVE_AGENT_VERSION: JSON.stringify(version) },
    banner: {
      js: 'import { createRequire as hiveCreateRequire } from "node:module"; const require = hiveCreateRequire(import.meta.url);',
    },
    plugins: [koffiBeside, ssh2Plain],
  });
  const output = (ending: string): Buffer => {
    const file = result.outputFiles.find(({ path: name }) => name.endsWith(ending));
    if (file === undefined) throw new Error(`the bundler made no ${ending}`);
    return Buffer.from(file.contents);
  };
  const packages = packagesOf(Object.keys(result.metafile.inputs));
  return { version, code: output(".mjs"), sourceMap: output(".map"), licences: await licenceNotes(root, packages) };
}
