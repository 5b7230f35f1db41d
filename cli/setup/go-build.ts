// Building tools from Go modules: versions pinned by go.mod, contents verified against go.sum.
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { BuildContext } from "./artifact.ts";
import { ToolchainUnavailable } from "./errors.ts";
import { findOnPath, run } from "./process.ts";

export interface GoBuild {
  readonly what: string;
  /** The command's arguments after `go`, or a script with its arguments. */
  readonly command: readonly string[];
  readonly folder: string;
  /** How long it takes on an empty module cache, for the progress line. */
  readonly usually: string;
  /** Hosts of an official download that was tried before. @default Pulumi's and GitHub */
  readonly downloads?: readonly string[];
}

/** The `go` command, looked for on PATH and where its installer puts it. */
export function findGo(): string | undefined {
  const usual = "/usr/local/go/bin/go";
  return findOnPath("go") ?? (existsSync(usual) ? usual : undefined);
}

/**
 * Runs a build with a sign of life every ten seconds.
 * @throws ToolchainUnavailable when there is no Go; Error with the end of the compiler's output when it fails.
 */
export async function goBuild(build: GoBuild, context: BuildContext): Promise<void> {
  const go = findGo();
  if (!go) {
    const { downloads = ["get.pulumi.com", "github.com"] } = build;
    const [why, orAllow] =
      downloads.length === 0
        ? ["Go is not installed, so it cannot be built", ""]
        : [
            "no official download can be reached and Go is not installed, so it cannot be built either",
            `, or allow HTTPS to ${downloads.join(" and ")}`,
          ];
    throw new ToolchainUnavailable(
      `${build.what}: ${why}. Install Go >= 1.26 (https://go.dev/dl, or your distribution's package golang)${orAllow}, then run this again.`,
    );
  }
  context.progress(`${build.what}: building it from the Go module proxy, usually ${build.usually} the first time`);
  const script = build.command[0]?.startsWith("/") === true;
  const [file = go, ...args] = script ? build.command : [go, ...build.command];
  // Beside the draft, so that the next run removes what a kill leaves there.
  const temporary = `${context.folder}.tmp`;
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const result = await run(file, args, {
    cwd: build.folder,
    signal: context.signal,
    childFile: context.childFile,
    env: {
      ...process.env,
      PATH: `${join(go, "..")}:${process.env["PATH"] ?? ""}`,
      // Nothing in the user's settings may loosen the pins or the checksums.
      GOFLAGS: "-mod=readonly -trimpath -buildvcs=false",
      GOWORK: "off",
      GONOSUMDB: "",
      GOINSECURE: "",
      CGO_ENABLED: "0",
      TMPDIR: temporary,
    },
    onBeat: (seconds, lines) =>
      context.progress(
        `${build.what}: still building, ${seconds} s so far${lines > 0 ? `, ${lines} packages done` : ""}`,
      ),
  });
  await rm(temporary, { recursive: true, force: true });
  context.signal?.throwIfAborted();
  if (result.status !== 0) {
    const tail = `${result.stdout}\n${result.stderr}`.trim().split("\n").slice(-15).join("\n");
    throw new Error(
      `${build.what}: the build failed (${result.fault ?? `status ${result.status}`})\n${tail}\n` +
        "The module proxy may be out of reach: check `go env GOPROXY`. What was compiled is kept; run this again.",
    );
  }
}
