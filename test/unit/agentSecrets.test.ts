import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import {
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
} from "../../components/shared/agent/installScripts.ts";

type Secrets = Readonly<Record<string, string>>;

const login = userInfo().username;
/** Stands for the unit: a start fails where a secret that the configuration names is missing or bad. */
const systemctl = `#!/bin/sh
cd "$HIVE_WORLD" || exit 1
case "$*" in
*is-active*) [ -s pid ] ;;
*is-failed*) [ -e failed ] ;;
*MainPID*) cat pid 2>/dev/null || echo 0 ;;
*NRestarts*) echo 0 ;;
restart*)
  number=$(($(cat starts 2>/dev/null || echo 0) + 1))
  echo "$number" >starts
  rm -f pid failed
  : >given
  for name in $(sed -n 's/^secrets: //p' etc/hive-agent/keeper.yaml); do
    if [ ! -s "etc/hive-agent/secrets/$name" ] || grep -q bad "etc/hive-agent/secrets/$name"; then
      touch failed
      exit 0
    fi
    echo "$name=$(cat "etc/hive-agent/secrets/$name")" >>given
  done
  echo "$number" >pid
  ;;
stop*) rm -f pid ;;
esac
`;
const program = `#!/bin/sh
case "$1" in
version) echo 1.0.0 ;;
status) if [ -e "$HIVE_WORLD/sick" ]; then echo '{"healthy":false}'; else echo '{"healthy":true}'; fi ;;
esac
`;

/** A machine below a folder: the scripts' own shell, files and programs; only the service manager is a stand-in. */
class World {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-secrets-"));
  readonly #sha256: string;

  constructor() {
    for (const name of ["bin", "tree/bin", "etc/systemd/system", "var/cache/hive-agent", "opt"])
      mkdirSync(join(this.folder, name), { recursive: true });
    this.#write("bin/systemctl", systemctl);
    this.#write("bin/journalctl", "#!/bin/sh\n");
    this.#write("tree/bin/hive-agent", program);
    spawnSync("tar", ["-C", join(this.folder, "tree"), "-czf", join(this.folder, "agent.tar.gz"), "bin"]);
    this.#sha256 = createHash("sha256")
      .update(readFileSync(join(this.folder, "agent.tar.gz")))
      .digest("hex");
    const { release } = this;
    writeFileSync(this.#moved(uploadFile(release)), readFileSync(join(this.folder, "agent.tar.gz")));
  }

  get release(): { readonly version: string; readonly sha256: string } {
    return { version: "1.0.0", sha256: this.#sha256 };
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
    chmodSync(join(this.folder, name), 0o755);
  }

  /** Every place of ours below the folder. */
  #moved(text: string): string {
    return text.replaceAll(/\/(?:opt|etc|run|var\/(?:lib|log|cache))\/(?:hive-agent|systemd)/g, `${this.folder}$&`);
  }

  #scripts(secrets: Secrets, side: "arbiter" | "host" = "host") {
    const context = { role: "keeper", side, owner: "p/s", healthSec: 5, steadySec: 0 } as const;
    const secretNames = Object.keys(secrets);
    const config = `secrets: ${secretNames.toSorted().join(" ")}\n`;
    return {
      prepare: renderPrepareStep(context, { login, secretNames }),
      install: renderInstallStep(context, { release: this.release, secretNames, config, unit: "[Unit]\n" }),
    };
  }

  prepareText(secrets: Secrets, side?: "arbiter" | "host"): string {
    return this.#moved(this.#scripts(secrets, side).prepare.create);
  }

  installText(secrets: Secrets, side?: "arbiter" | "host"): string {
    return this.#moved(this.#scripts(secrets, side).install.create);
  }

  run(script: string, secrets: Secrets = {}) {
    const env = { ...process.env, HIVE_WORLD: this.folder, PATH: `${this.folder}/bin:${process.env["PATH"] ?? ""}` };
    return spawnSync("/bin/sh", ["-c", script], { input: secretLines(secrets), encoding: "utf8", env });
  }

  /** Both steps, as an update does them: the second one only after the first. */
  update(secrets: Secrets, side?: "arbiter" | "host"): string {
    for (const text of [this.prepareText(secrets, side), this.installText(secrets, side)]) {
      const ran = this.run(text, secrets);
      if (ran.status !== 0) return ran.stderr;
    }
    return "";
  }

  remove(side?: "arbiter" | "host"): string {
    const { install, prepare } = this.#scripts({}, side);
    return [install, prepare].map((step) => this.run(this.#moved(step.delete)).stderr).join("");
  }

  files(): string[] {
    return readdirSync(join(this.folder, "etc/hive-agent/secrets")).toSorted();
  }

  /** What the running agent was started with; undefined when none runs. */
  given(): Secrets | undefined {
    const text = (name: string): string => this.run(`cat '${join(this.folder, name)}' 2>/dev/null`).stdout;
    if (text("pid") === "") return undefined;
    const lines = text("given").trim().split("\n");
    return Object.fromEntries(lines.map((line) => line.split("=")).map(([name = "", value = ""]) => [name, value]));
  }

  sick(is: boolean): void {
    if (is) writeFileSync(join(this.folder, "sick"), "");
    else rmSync(join(this.folder, "sick"));
  }

  close(): void {
    rmSync(this.folder, { recursive: true });
  }
}

const both = { "link.key": "one", "esp32.key": "signs" } as const;
const fewer = { "link.key": "two" } as const;

describe("secrets of an installed agent", function () {
  this.timeout(120_000);
  let world: World;
  beforeEach(() => void (world = new World()));
  afterEach(() => world.close());

  it("are dropped after the configuration that named them, and added before the one that will", () => {
    assert.equal(world.update(both), "");
    assert.deepEqual(world.given(), both);
    assert.equal(world.run(world.prepareText(fewer), fewer).status, 0);
    assert.deepEqual(world.files(), ["esp32.key", "link.key"], "the configuration in force still names both");
    assert.deepEqual(world.given(), { ...both, ...fewer });
    assert.equal(world.update(fewer), "");
    assert.deepEqual([world.files(), world.given()], [["link.key"], fewer]);
    assert.equal(world.update(both), "");
    assert.deepEqual([world.files(), world.given()], [["esp32.key", "link.key"], both]);
    world.remove();
    assert.deepEqual(readdirSync(join(world.folder, "opt")), []);
    assert.deepEqual(readdirSync(join(world.folder, "etc")), ["systemd"]);
  });

  it("are taken back when a healthy agent is not healthy with them", () => {
    world.update(both);
    assert.match(world.update({ "link.key": "bad" }), /the former ones are put back/);
    assert.deepEqual([world.files(), world.given()], [["esp32.key", "link.key"], both]);
    assert.equal(world.update(fewer), "");
  });

  it("reach an agent that is sick without them and without the configuration that goes with them", () => {
    world.update(both);
    world.sick(true);
    const ran = world.run(world.prepareText(fewer), fewer);
    assert.equal(ran.status, 0, ran.stderr);
    assert.match(ran.stderr, /nor was it before/);
    world.sick(false);
    assert.equal(world.update(fewer), "");
    assert.deepEqual([world.files(), world.given()], [["link.key"], fewer]);
  });

  for (const [step, textOf, first] of [
    ["first", (secrets: Secrets) => world.prepareText(secrets), "install -d -m 700 -o"],
    ["last", (secrets: Secrets) => world.installText(secrets), "same()"],
  ] as const) {
    it(`are right in the end when the ${step} step was killed at any line, forward and back`, () => {
      assert.equal(world.update(both), "");
      const lines = textOf(fewer).split("\n");
      const from = lines.findIndex((line) => line.startsWith(first));
      assert.ok(from > 0, first);
      let kills = 0;
      for (let at = from; at < lines.length; at += 1) {
        const cut = [...lines.slice(0, at), "kill -KILL $$", ...lines.slice(at)].join("\n");
        // Not between the lines of one command.
        if (spawnSync("/bin/sh", ["-n"], { input: cut }).status !== 0) continue;
        if (step === "last") world.run(world.prepareText(fewer), fewer);
        const ran = world.run(cut, fewer);
        if (ran.signal === "SIGKILL") kills += 1;
        const wanted = at % 2 === 0 ? fewer : both;
        assert.equal(world.update(wanted), "", `line ${String(at)}: ${lines[at] ?? ""}`);
        assert.deepEqual([world.files(), world.given()], [Object.keys(wanted).toSorted(), wanted], lines[at]);
        if (wanted !== both) world.update(both);
      }
      assert.ok(kills >= 10, String(kills));
    });
  }

  it("are one side's: the other side of the same stack is refused, and its removal takes nothing", () => {
    assert.equal(world.update(both), "");
    assert.match(world.update(fewer, "arbiter"), /has another agent \(\S+: host\); nothing was changed/);
    assert.match(world.run(world.installText(fewer, "arbiter")).stderr, /has another agent/);
    assert.match(world.remove("arbiter"), /is of the other side and stays/);
    assert.deepEqual([world.files(), world.given()], [["esp32.key", "link.key"], both]);
    // A mark of before sides were noted is taken over.
    rmSync(join(world.folder, "opt/hive-agent/side"));
    assert.equal(world.update(fewer), "");
    assert.equal(readFileSync(join(world.folder, "opt/hive-agent/side"), "utf8"), "host\n");
  });
});
