import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import fc from "fast-check";
import { commands } from "../../cli/args/commands.ts";
import { renderHelp } from "../../cli/args/help.ts";
import { editDistance, nearest } from "../../cli/args/nearest.ts";
import { parseCommandLine } from "../../cli/args/parse.ts";

const cli = join(import.meta.dirname, "..", "..", "cli", "bin", "hive.mjs");
const hive = (...args: string[]): ReturnType<typeof spawnSync> =>
  spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });

/** Arguments in capitals must be given. */
const isNeeded = (positional: string): boolean => positional === positional.toUpperCase();

describe("command line", () => {
  it("is total: any words give an answer, none throws", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("up", "destroy", "--json", "--target", "lab", "--unprotect", "--", "-x", "genesis", "--only=a"),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        assert.ok(["run", "help", "version", "usage"].includes(parseCommandLine(argv).kind));
      }),
    );
  });

  it("works on the lab unless told otherwise", () => {
    for (const { name, positionals } of commands) {
      const parsed = parseCommandLine([...name.split(" "), ...positionals.filter(isNeeded)]);
      assert.ok(parsed.kind === "run" && parsed.invocation.target === "lab", name);
      assert.equal(parsed.invocation.command, name);
      if (positionals.some(isNeeded)) assert.equal(parseCommandLine(name.split(" ")).kind, "usage", name);
    }
  });

  it("reads options", () => {
    const parsed = parseCommandLine([
      "destroy",
      "genesis",
      "--yes",
      "--unprotect",
      "100, 200",
      "--dry-run",
      "--json",
      "--target",
      "real",
    ]);
    assert.ok(parsed.kind === "run");
    const { yes, dryRun, json, target, unprotect, positionals } = parsed.invocation;
    assert.deepEqual(
      { yes, dryRun, json, target, unprotect, positionals },
      { yes: true, dryRun: true, json: true, target: "real", unprotect: ["100", "200"], positionals: ["genesis"] },
    );
  });

  it("tells every mistake at once, each with the nearest name", () => {
    const parsed = parseCommandLine(["destroy", "genesi", "--unprotec", "--target", "reel"]);
    assert.ok(parsed.kind === "usage");
    assert.equal(parsed.problems.length, 3);
    assert.match(
      parsed.problems.join("\n"),
      /did you mean --unprotect\?[^]*did you mean real\?[^]*did you mean genesis\?/,
    );
  });

  it("knows a group's commands, and what was probably meant", () => {
    for (const [argv, said] of [
      [["agent"], /needs a command; known: new, list/],
      [["agent", "nwe"], /did you mean new\?/],
      [["agnet", "new"], /did you mean agent\?/],
      [["agent", "new"], /needs NAME/],
      [["up", "agent-Ghost"], /such as agent-ghost/],
      [["adopt", "agent-x"], /known: genesis/],
      [["destroy", "agent-x", "--unprotect", "100"], /nothing of an agent is protected/],
    ] as const) {
      const parsed = parseCommandLine(argv);
      assert.ok(parsed.kind === "usage", argv.join(" "));
      assert.match(parsed.problems.join("\n"), said);
    }
    assert.deepEqual(parseCommandLine(["agent", "--help"]), { kind: "help", command: "agent" });
    assert.deepEqual(parseCommandLine(["help", "agent", "new"]), { kind: "help", command: "agent new" });
    const parsed = parseCommandLine(["agent", "signal", "x", "--payload", "-", "--wait"]);
    assert.ok(parsed.kind === "run");
    assert.deepEqual([parsed.invocation.values, parsed.invocation.flags], [{ payload: "-" }, ["wait"]]);
  });

  it("refuses to let all guests of a real host go", () => {
    assert.equal(parseCommandLine(["destroy", "--target", "real", "--unprotect", "all"]).kind, "usage");
    assert.equal(parseCommandLine(["destroy", "--unprotect", "100;rm"]).kind, "usage");
  });

  it("suggests near names only", () => {
    assert.equal(nearest("destory", ["destroy", "doctor"]), "destroy");
    assert.equal(nearest("zzzzzz", ["destroy", "doctor"]), undefined);
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        assert.equal(editDistance(a, b), editDistance(b, a));
        assert.equal(editDistance(a, b) === 0, a === b);
      }),
    );
  });

  it("has help for every command and option", () => {
    for (const { name, options } of commands) {
      const [group = "", own] = name.split(" ");
      assert.match(renderHelp(), new RegExp(`^  ${group} `, "m"));
      if (own !== undefined) assert.match(renderHelp(group), new RegExp(`^  ${own} `, "m"));
      for (const option of options) assert.ok(renderHelp(name).includes(`--${option.name}`));
    }
  });

  it("ends with 2 and says why on stderr alone for an unknown command", () => {
    const ended = hive("destory");
    assert.equal(ended.status, 2);
    assert.equal(ended.stdout, "");
    assert.match(String(ended.stderr), /did you mean destroy/);
  });

  it("prints help on stdout without loading Pulumi", () => {
    const ended = spawnSync(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `process.argv = [process.execPath, "hive", "--help"]; await import(${JSON.stringify(`file://${cli}`)}); const { createRequire } = await import("node:module"); if (Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("@pulumi"))) process.exit(9);`,
      ],
      { encoding: "utf8" },
    );
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /Usage: hive COMMAND/);
  });
});
