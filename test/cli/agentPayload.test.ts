// What an agent is given: its payloads, its sources.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { parsePayload, payloadText } from "../../cli/agents/payload.ts";
import { checkSources } from "../../cli/agents/sources.ts";
import { CommandFailure } from "../../cli/output/failure.ts";
import { mostPayloadBytes } from "../../components/shared/signals/protocol.ts";

describe("hive agent: payloads and sources", () => {
  const root = mkdtempSync(join(tmpdir(), "hive-sources-"));
  after(() => {
    rmSync(root, { recursive: true, force: true });
  });

  it("reads a payload from the word itself, a file, or standard input; anything but JSON is refused", async () => {
    const file = join(root, "payload.json");
    writeFileSync(file, '{"page": 1}');
    assert.equal(await payloadText(undefined), "null");
    assert.deepEqual(parsePayload(await payloadText(`@${file}`)), { page: 1 });
    assert.deepEqual(
      parsePayload(await payloadText("-", Readable.from([Buffer.from("[1,"), Buffer.from("2]")]))),
      [1, 2],
    );
    await assert.rejects(payloadText(`@${join(root, "none")}`), CommandFailure);
    for (const text of ["{", "", "a", `"${"x".repeat(mostPayloadBytes)}"`])
      assert.throws(() => parsePayload(text), CommandFailure);
  });

  it("reads of an endless payload no more than shows that it is too long", async () => {
    let given = 0;
    const endless = Readable.from(
      (function* () {
        for (;;) {
          given += 65_536;
          yield Buffer.alloc(65_536, "1");
        }
      })(),
    );
    await assert.rejects(payloadText("-", endless), CommandFailure);
    assert.ok(given < 2 * mostPayloadBytes + 20 * 65_536, String(given));
    await assert.rejects(payloadText("@/dev/zero"), CommandFailure);
  });

  it("finds an agent's folder, and says what it lacks before anything is made", async () => {
    const folder = join(root, "agent");
    mkdirSync(folder);
    const missing = await checkSources(folder, "x");
    assert.ok(!missing.ok);
    assert.equal(missing.faults[0]?.property, "--sources/run");
    writeFileSync(join(folder, "run"), "#!/bin/sh\n");
    assert.deepEqual(await checkSources(folder, "x"), { ok: true, value: { folder, files: 1 } });
    const { privateKey } = generateKeyPairSync("ed25519");
    writeFileSync(join(folder, "key"), privateKey.export({ type: "pkcs8", format: "pem" }));
    for (let count = 0; count < 20; count += 1) writeFileSync(join(folder, `.env.${String(count)}`), "A=b\n");
    const secret = await checkSources(folder, "x");
    assert.ok(!secret.ok && secret.faults.length === 9, "as many as are of use");
    assert.match(secret.faults.at(-1)?.value ?? "", /13 more faults/);
    const nowhere = await checkSources(undefined, "nobody");
    assert.ok(!nowhere.ok && /samples/.test(nowhere.faults[0]?.limit ?? ""));
  });
});
