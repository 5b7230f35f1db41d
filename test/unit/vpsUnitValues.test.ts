// Nothing that a user writes for a heavy agent becomes anything but its value in the unit.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import type { HeavyAgentUnit } from "../../components/shared/vps/heavyAgent.ts";
import { heavyAgentUnitName, renderHeavyAgentUnits } from "../../components/shared/vps/heavyAgentUnit.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { skip } from "../run/skip.ts";

const base = { name: "ghost-shopper", server: { vcpus: 2, ramMiB: 4096 } } as const;

const files = (agent: HeavyAgentUnit) => valueOrThrow("agent", renderHeavyAgentUnits(agent));
const dropIn = (agent: HeavyAgentUnit): string => files(agent)[2]?.text ?? "";
const faultyProperties = (agent: HeavyAgentUnit): string[] => {
  const rendered = renderHeavyAgentUnits(agent);
  return rendered.ok ? [] : rendered.faults.map(({ property }) => property);
};

/** Sections and keys of a unit file, in order; lines end where systemd ends them (read_line in basic/fileio.c). */
function keys(text: string): string[] {
  return text
    .split(/[\r\n\0]/)
    .filter((line) => line !== "")
    .map((line) => line.replace(/=.*/s, ""));
}

/** What systemd makes of a command line: unquoting, then specifiers, then the environment (systemd.service(5)). */
function argvOf(line: string): string[] {
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"(?: |$)/gsu)];
  assert.equal(words.map(([whole]) => whole).join(""), line, "nothing outside of the quotes");
  return words.map(([, word = ""]) =>
    word
      .replaceAll(/\\(.)/gsu, (_, char: string) => {
        assert.ok(char === "\\" || char === '"', `no escape but those: \\${char}`);
        return char;
      })
      .replaceAll(/%(.?)/gsu, (_, char: string) => {
        assert.equal(char, "%", "no specifier");
        return "%";
      })
      .replaceAll(/\$(.?)/gsu, (_, char: string) => {
        assert.equal(char, "$", "no variable");
        return "$";
      }),
  );
}
const execOf = (agent: HeavyAgentUnit): string => /^ExecStart=(".*)$/m.exec(dropIn(agent))?.[1] ?? "";

const nasty = [
  "\n",
  "\r",
  "\0",
  "%i",
  "%%",
  "$",
  "${HOME}",
  '"',
  "'",
  "\\",
  "\\n",
  ";",
  "#",
  " ",
  "=",
  "\u0085",
  "é",
  "[",
  "/",
];
const directives = [
  "\nExecStartPre=/bin/sh",
  "\n[Service]\nUser=root",
  "\\\nUser=root",
  "../../etc",
  "-/x",
  "+/bin/sh",
  "@",
  "*",
];
const piece = fc.oneof(fc.constantFrom(...nasty, ...directives), fc.string({ unit: "binary", maxLength: 4 }));
const hostile = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
/** Such a text behind a start that would be accepted. */
const behind = (start: string) =>
  fc.oneof(
    hostile,
    hostile.map((text) => start + text),
  );

describe("values of heavy agents' units", () => {
  it("gives each argument to the program as it was written, or refuses it", () => {
    let given = 0;
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 5 }), (rest) => {
        const exec = ["/usr/bin/node", ...rest];
        const agent = { ...base, exec };
        const refused = faultyProperties(agent);
        const unwritable = exec.flatMap((word, at) =>
          /\p{Cc}/u.test(word) || !word.isWellFormed() ? [`exec[${String(at)}]`] : [],
        );
        assert.deepEqual(refused, unwritable);
        if (refused.length > 0) return;
        given += 1;
        assert.deepEqual(argvOf(execOf(agent)), exec);
        assert.deepEqual(keys(dropIn(agent)), keys(dropIn({ ...base, exec: ["/usr/bin/node"] })));
      }),
      { numRuns: 2000 },
    );
    assert.ok(given > 200, `${String(given)} command lines were given`);
  });

  it("lets no name, path or program bring in another directive, a specifier or another folder", () => {
    const benign = { environmentFile: "/etc/ghost.env", readWritePaths: ["/srv/shots"], exec: ["/bin/true"] };
    const expected = keys(dropIn({ ...base, ...benign }));
    const fields = fc.record({
      name: behind("ghost"),
      environmentFile: behind("/etc/ghost"),
      folder: behind("/srv/shots"),
      program: behind("/bin/true"),
    });
    fc.assert(
      fc.property(fields, fc.constantFrom("name", "environmentFile", "folder", "program"), (all, one) => {
        const value = all[one];
        const agent: HeavyAgentUnit = {
          ...base,
          ...benign,
          ...(one === "name" ? { name: value } : {}),
          ...(one === "environmentFile" ? { environmentFile: value } : {}),
          ...(one === "folder" ? { readWritePaths: [value] } : {}),
          ...(one === "program" ? { exec: [value] } : {}),
        };
        const rendered = renderHeavyAgentUnits(agent);
        if (!rendered.ok) return;
        assert.match(value, one === "name" ? /^[a-z0-9-]+$/ : /^\/[\w./@+-]+$/);
        assert.doesNotMatch(value, /\/\.{0,2}(?:\/|$)/, "no empty part, no . and no ..");
        assert.deepEqual(keys(rendered.value[2]?.text ?? ""), expected);
        assert.ok(rendered.value.every(({ path }) => !path.includes("..") && path.split("/").length <= 2));
      }),
      { numRuns: 3000 },
    );
  });

  it("refuses every value out of bounds, all at once, with its property", () => {
    const wrong = {
      name: "Ghost Shopper",
      server: { vcpus: 0, ramMiB: Number.NaN },
      cpuQuotaPercentOfMachine: 91,
      tasksMax: 1.5,
      runtimeMaxSec: 60,
      environmentFile: "/etc/../shadow",
      exec: ["node", "a\nb"],
      readWritePaths: ["/etc", "/srv", "/srv/../etc", "/mnt/x y"],
      mode: "resident",
      idempotent: undefined,
    } as const;
    assert.deepEqual(faultyProperties(wrong).toSorted(), [
      "cpuQuotaPercentOfMachine",
      "environmentFile",
      "exec[0]",
      "exec[1]",
      "name",
      "readWritePaths[0]",
      "readWritePaths[1]",
      "readWritePaths[2]",
      "readWritePaths[3]",
      "runtimeMaxSec",
      "server.ramMiB",
      "server.vcpus",
      "tasksMax",
    ]);
    for (const runtimeMaxSec of [0, 1.5, 604_801])
      assert.deepEqual(faultyProperties({ ...base, runtimeMaxSec }), ["runtimeMaxSec"]);
    assert.deepEqual(faultyProperties({ ...base, runtimeMaxSec: 604_800 }), []);
    assert.deepEqual(faultyProperties({ ...base, exec: [] }), ["exec[0]"]);
    assert.deepEqual(faultyProperties({ ...base, exec: Array.from({ length: 65 }, () => "/bin/true") }), ["exec"]);
  });

  it("leaves the system its 20 % of the memory, and lets MemoryHigh come first", () => {
    const memory = (memoryMaxMiB?: number, memoryHighMiB?: number) =>
      faultyProperties({ ...base, memoryMaxMiB, memoryHighMiB });
    assert.deepEqual(memory(3276), []);
    assert.deepEqual(memory(3277), ["memoryMaxMiB"]);
    assert.deepEqual(memory(2000, 1999), []);
    assert.deepEqual(memory(2000, 2000), ["memoryHighMiB"]);
    assert.deepEqual(memory(undefined, 3276), ["memoryHighMiB"]);
  });

  describe("read by systemd itself", () => {
    const manager = "/lib/systemd/systemd";
    let folder = "";
    before(function () {
      if (process.platform !== "linux" || !existsSync(manager)) skip(this, "no systemd here");
      folder = mkdtempSync(join(tmpdir(), "heavy-agent-read-"));
      chmodSync(folder, 0o777);
    });
    after(() => {
      if (folder !== "") rmSync(folder, { recursive: true, force: true });
    });

    /** What a manager that starts nothing would start (`--test`; it refuses to be root's). */
    function dump(agent: HeavyAgentUnit): { readonly status: number | null; readonly lines: readonly string[] } {
      const units = join(folder, "units");
      for (const { path, text } of files(agent)) {
        mkdirSync(dirname(join(units, path)), { recursive: true });
        writeFileSync(join(units, path), text);
      }
      writeFileSync(join(units, "basic.target"), "[Unit]\n");
      const args = ["--test", "--user", `--unit=${heavyAgentUnitName(agent.name)}`, "--no-pager"];
      const asNobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
      const env = { SYSTEMD_UNIT_PATH: units, XDG_RUNTIME_DIR: folder, HOME: folder, PATH: process.env["PATH"] };
      const { status, stdout } = spawnSync(manager, args, {
        ...asNobody,
        cwd: "/",
        env,
        encoding: "utf8",
        timeout: 30_000,
      });
      return { status, lines: stdout.split("\n").map((line) => line.trim()) };
    }
    const told = (lines: readonly string[], key: string): string[] =>
      lines.filter((line) => line.startsWith(`${key}: `)).map((line) => line.slice(key.length + 2));

    it("applies the drop-in over the template, with every argument as written", function () {
      const words = ["100 % $HOME ${HOME}", ";", '"\\', "%i", "$$", "'", "# é", "a\\nb", "", "-"];
      const agent = {
        ...base,
        exec: ["/bin/echo", ...words],
        memoryMaxMiB: 3000,
        memoryHighMiB: 2500,
        cpuQuotaPercentOfMachine: 50,
        tasksMax: 4096,
        runtimeMaxSec: 90,
        environmentFile: "/etc/ghost.env",
        readWritePaths: ["/srv/shots", "/mnt/in"],
      };
      const { status, lines } = dump(agent);
      if (status !== 0) skip(this, "this systemd does not run its test mode here");
      // The manager writes the words for a shell again; $$ becomes $ when the program starts.
      const [command = ""] = told(lines, "Command Line");
      const read = [...command.matchAll(/(?:"((?:[^"\\]|\\.)*)"|(\S+))(?: |$)/gsu)].map(([, quoted, bare = ""]) =>
        (quoted?.replaceAll(/\\(.)/gsu, "$1") ?? bare).replaceAll("$$", () => "$"),
      );
      assert.deepEqual(read, agent.exec);
      assert.deepEqual(told(lines, "EnvironmentFile"), [
        "/etc/ghost.env",
        "/var/lib/heavy-agent-run/ghost-shopper/run.env",
      ]);
      assert.deepEqual(told(lines, "ReadWritePaths"), ["/srv/shots /mnt/in"]);
      assert.ok(lines.includes("Slice: heavy-agent.slice"));
      assert.ok(told(lines, "RuntimeMaxSec").includes("1min 30s"));
      assert.ok(
        lines.some((line) => line.startsWith("MemoryMax: 3145728000")),
        "MemoryMax of the drop-in",
      );
    });
  });
});
