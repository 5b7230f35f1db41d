#!/usr/bin/env node
// The `hive` command. Pulumi's SDK and type stripping need Node >= 22.18: an older one hands over to the Node that the
// npm package `node` put into node_modules.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { enableCompileCache } from "./cache.mjs";
import { exitFlag, exitForSure } from "./exit.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const main = join(root, "cli", "main.ts");
enableCompileCache();
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  process.argv[1] = main;
  exitForSure();
  await import(pathToFileURL(main).href);
} else {
  const own = join(root, "node_modules", "node", "bin", "node");
  if (existsSync(own)) {
    const path = [dirname(own), process.env.PATH ?? ""].join(delimiter);
    const child = spawn(own, [exitFlag, main, ...process.argv.slice(2)], {
      stdio: "inherit",
      env: { ...process.env, PATH: path },
    });
    // A terminal sends Ctrl-C to the child as well: passing it on would make it two.
    process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
    for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
    const [code] = await new Promise((done) => {
      child.on("error", () => done([1]));
      child.on("exit", (...end) => done(end));
    });
    process.exitCode = code ?? 130;
  } else {
    process.stderr.write(
      `hive: Node ${process.version} is too old (22.18 is needed) and node_modules holds no newer one.\nRun: npm run hive -- --help\n`,
    );
    process.exitCode = 1;
  }
}
