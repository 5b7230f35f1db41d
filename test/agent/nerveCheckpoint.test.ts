import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bucket } from "../support/nerve/bucket.ts";
import { debianTorch, type Python } from "../support/nerve/debianTorch.ts";
import { helper, Training } from "../support/nerve/training.ts";
import { seededRandom } from "../support/seeded.ts";
import { skip } from "../run/skip.ts";
import { testSeed } from "../run/seed.ts";

const steps = 90;
/** A checkpoint of this training is 5 parts of these. */
const small = { NERVE_CHECKPOINT_PART_BYTES: "16384", TRAIN_STEPS: String(steps) };
const everySteps = 10;

/** A zip of torch's layout whose pickle is the argument. */
const zipOf = `import io, sys, zipfile
file = io.BytesIO()
with zipfile.ZipFile(file, "w") as zip:
    zip.writestr("archive/data.pkl", sys.argv[1])
    zip.writestr("archive/version", "3")
sys.stdout.buffer.write(file.getvalue())
`;

/** When a save begins and when the training waits for it, on a clock of its own; and the faults of wrong settings. */
const settingsOf = `import json, nerve_checkpoint as it
env = {"NERVE_CHECKPOINT_URL": "s3://abc/d", "NERVE_CHECKPOINT_MTBF_SECONDS": "100"}
checkpoint = it.Checkpoint(env=env)
checkpoint._newest = it.Done(1, 1000, "", 2)
def first(share):
    for now in range(1000, 2000):
        it.time.monotonic = lambda: now
        if checkpoint._due(share):
            return now - 1000
found = {"begins": first(0.5), "waits": first(1)}
try:
    it.Checkpoint(env={"NERVE_CHECKPOINT_PORT": "x", "NERVE_CHECKPOINT_MTBF_SECONDS": "0", "WORLD_SIZE": "2"})
except ValueError as error:
    found["faults"] = str(error)
print(json.dumps(found))
`;

describe("Nerve: checkpoints of a PyTorch training", function () {
  this.timeout(600_000);
  let python: Python;
  let bucket: Bucket;
  let whole: string;
  let folder: string;
  const open: Training[] = [];
  const random = seededRandom(testSeed());
  const between = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));

  const train = (prefix: string, env: Readonly<Record<string, string>> = {}): Training => {
    const training = new Training(python, { ...bucket.env(prefix), ...small, ...env });
    open.push(training);
    return training;
  };

  const foldersOf = async (prefix: string): Promise<number> =>
    new Set((await bucket.names(prefix)).map((name) => name.split("/")[1])).size;

  before(async function () {
    const progress = (line: string): void => void process.stderr.write(`${line}\n`);
    const torch = await debianTorch(progress);
    if ("missing" in torch) skip(this, torch.missing);
    python = torch;
    folder = await mkdtemp(join(tmpdir(), "hive-nerve-"));
    const started = await Bucket.start(progress);
    if ("missing" in started) skip(this, started.missing);
    bucket = started;
    // Its keys come as EKS Pod Identity gives them.
    const identity = createServer((asked, answer) => {
      const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey } = bucket.key;
      const known = asked.headers.authorization === "of the pod";
      answer.writeHead(known ? 200 : 401).end(JSON.stringify({ AccessKeyId, SecretAccessKey }));
    });
    await once(identity.listen(0, "127.0.0.1"), "listening");
    const address = identity.address();
    assert.ok(typeof address === "object" && address !== null);
    await writeFile(join(folder, "token"), "of the pod\n");
    const training = train("whole", {
      AWS_ACCESS_KEY_ID: "",
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${String(address.port)}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(folder, "token"),
    });
    assert.equal(await training.end(), 0, training.text());
    identity.close();
    whole = await training.said(/^weights (\w{64})$/);
  });

  afterEach(async () => {
    bucket.onPut = () => "pass";
    for (const training of open.splice(0)) {
      training.kill("SIGKILL");
      await training.end();
    }
  });

  after(async () => {
    await bucket?.close();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  it("loses no step to three notices and ends with the same weights", async () => {
    let done = 0;
    for (let turn = 0; turn < 3; turn += 1) {
      const pause = between(done + 1, done + 25);
      const training = train("notices", { TRAIN_PAUSE_AT: String(pause) });
      assert.equal(Number(await training.said(/^resumed (\d+)$/)), done, training.text());
      await training.said(/^paused$/);
      const answer = training.post();
      await training.said(/^asked to save/);
      let refused = 0;
      bucket.onPut = () => (refused++ < turn ? "refuse" : "pass");
      training.goOn();
      const { status, body } = await answer;
      assert.equal(status, 200);
      assert.partialDeepStrictEqual(body, { saved: true, step: pause });
      // Had it gone on, this one would be of a later step.
      assert.partialDeepStrictEqual((await training.post()).body, { saved: true, step: pause });
      training.kill("SIGTERM");
      assert.equal(await training.end(), 143, training.text());
      assert.equal(training.lastStep(), pause, "it holds still after the save");
      done = pause;
    }
    const last = train("notices");
    assert.equal(await last.end(), 0, last.text());
    assert.equal(Number(await last.said(/^resumed (\d+)$/)), done);
    assert.equal(await last.said(/^weights (\w{64})$/), whole);
  });

  it("loses no more than its interval to three kills, also in the midst of an upload", async () => {
    let done = 0;
    for (let turn = 0; turn < 3; turn += 1) {
      // At a PUT of the second to fourth checkpoint of this turn: at a part, at the manifest, and after the manifest.
      const at = between(6, 20);
      let puts = 0;
      const training = train("kills", { NERVE_CHECKPOINT_INTERVAL_STEPS: String(everySteps) });
      bucket.onPut = () => {
        puts += 1;
        if (puts < at) return "pass";
        training.kill("SIGKILL");
        // What was on its way arrives after all, or does not.
        return at % 2 === 0 ? "refuse" : "pass";
      };
      assert.equal(await training.end(), "SIGKILL", training.text());
      const resumed = Number(await training.said(/^resumed (\d+)$/));
      assert.ok(
        done - resumed <= everySteps,
        `turn ${String(turn)}: ${String(done)} steps done, resumed at ${String(resumed)}`,
      );
      done = training.lastStep();
    }
    bucket.onPut = () => "pass";
    const last = train("kills", { NERVE_CHECKPOINT_INTERVAL_STEPS: String(everySteps) });
    assert.equal(await last.end(), 0, last.text());
    const resumed = Number(await last.said(/^resumed (\d+)$/));
    assert.ok(resumed > 0 && done - resumed <= everySteps, `${String(done)} steps done, resumed at ${String(resumed)}`);
    assert.equal(await last.said(/^weights (\w{64})$/), whole);
    const manifests = (await bucket.names("kills")).filter((name) => name.endsWith("/manifest.json"));
    assert.equal(manifests.length, 2, "the newest two are kept");
    assert.equal(await foldersOf("kills"), 2, "and nothing of what was torn");
  });

  it("answers with the last periodic checkpoint when the save takes longer than the deadline, and who has no token is refused", async () => {
    const held: (() => void)[] = [];
    const authorization = { authorization: "Bearer s3cret" };
    const training = train("late", {
      TRAIN_PAUSE_AT: "4",
      NERVE_CHECKPOINT_TOKEN: "s3cret",
      NERVE_CHECKPOINT_HOLD_SECONDS: "0",
      NERVE_CHECKPOINT_INTERVAL_SECONDS: "3600",
    });
    await training.said(/^paused$/);
    for (const headers of [{}, { authorization: "Bearer s3creT" }, { authorization: "s3cret" }])
      assert.equal((await training.post({ headers })).status, 401);
    assert.equal((await training.post({ headers: authorization }, "/else")).status, 404);
    assert.equal((await training.post({ headers: authorization, body: "x".repeat(1025) })).status, 413);
    assert.equal((await training.post({ headers: authorization, body: '{"deadlineSeconds":-1}' })).status, 400);
    assert.equal(training.count(/^asked to save/), 0);
    bucket.onPut = (path) => (path.endsWith("/manifest.json") ? new Promise((resolve) => held.push(resolve)) : "pass");
    const answer = training.post({ headers: authorization, body: '{"deadlineSeconds":0.5}' });
    await training.said(/^asked to save/);
    training.goOn();
    const { status, body } = await answer;
    assert.equal(status, 200);
    assert.partialDeepStrictEqual(body, { saved: false, step: 1 });
    bucket.onPut = () => "pass";
    while (held.length > 0) held.pop()?.();
    // The manifest may come later than the answer: let it through, too.
    assert.equal(await training.end(), 0, training.text());
    assert.equal(await training.said(/^weights (\w{64})$/), whole);
  });

  it("passes over what is not whole and never runs what it reads", async () => {
    const prefix = "torn";
    const keys = ["000000000900-aaaaaaaa", "000000000800-bbbbbbbb", "000000000700-cccccccc", "000000000600-dddddddd"];
    const [bomb = "", altered = "", lacking = "", unfinished = ""] = keys.map((key) => `${prefix}/${key}`);
    // As torch.load without weights_only would run it.
    const pickle = `cos\nmkdir\n(S'${join(folder, "ran")}'\ntR.`;
    const manifest = (body: Buffer | string, name = "part-00000"): string =>
      JSON.stringify({
        format: 1,
        step: 900,
        seconds: 1,
        parts: [{ name, bytes: body.length, sha256: createHash("sha256").update(body).digest("hex") }],
      });
    const zipped = spawnSync(python.file, ["-c", zipOf, pickle]).stdout;
    await bucket.put(`${bomb}/part-00000`, zipped);
    await bucket.put(`${bomb}/manifest.json`, manifest(zipped));
    await bucket.put(`${altered}/part-00000`, "what is here");
    await bucket.put(`${altered}/manifest.json`, manifest("what was there"));
    await bucket.put(`${lacking}/manifest.json`, manifest("gone"));
    await bucket.put(`${unfinished}/part-00000`, "no manifest");
    const manifests = (await bucket.names("whole")).filter((name) => name.endsWith("/manifest.json"));
    const newest = (manifests.at(-1) ?? "").replace("/manifest.json", "");
    for (const name of await bucket.names(newest))
      await bucket.put(name.replace("whole", prefix), await bucket.get(name));
    await bucket.put("bomb/000000000900-aaaaaaaa/part-00000", zipped);
    await bucket.put("bomb/000000000900-aaaaaaaa/manifest.json", manifest(zipped));
    const [training, refused] = [train(prefix), train("bomb")];
    assert.equal(await training.end(), 0, training.text());
    assert.equal(Number(await training.said(/^resumed (\d+)$/)), steps, training.text());
    assert.equal(training.count(/^passed over/), 3, training.text());
    assert.equal(await training.said(/^weights (\w{64})$/), whole);
    assert.equal(await refused.end(), 1, "where nothing can be read it does not begin anew");
    await refused.said(/no checkpoint can be read, the newest is 000000000900-aaaaaaaa/);
    assert.ok(!existsSync(join(folder, "ran")));
  });

  it("takes its interval from the time of a write and the mean time between interruptions, and says what is wrong in its settings", () => {
    const ran = spawnSync(python.file, ["-c", settingsOf], {
      env: { ...python.env, PYTHONPATH: `${helper}:${python.env["PYTHONPATH"] ?? ""}` },
      encoding: "utf8",
    });
    assert.equal(ran.status, 0, ran.stderr);
    const { begins, waits, faults } = JSON.parse(ran.stdout) as { begins: number; waits: number; faults: string };
    // sqrt(2 * 2 s * 100 s) = 20 s, and a write of 2 s begins two of its times earlier.
    assert.deepEqual([begins, waits], [16, 20]);
    for (const name of ["PORT is 'x'", "MTBF_SECONDS is '0'", "URL is None", "WORLD_SIZE is 2"])
      assert.match(faults, new RegExp(name));
  });
});
