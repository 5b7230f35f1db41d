import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { type Canary, filesWithCanaries } from "../support/canaries.ts";

const word = "canary-passphrase-3f9a1c";
const canaries: readonly Canary[] = [{ name: "passphrase", forms: [word] }];
// Long and repeating, so that no compressor leaves the word as it is.
const log = Buffer.from(
  `engine: step of a run, nothing to see\n`.repeat(200) + `env PASS ${word}\n` + "end\n".repeat(200),
);

describe("search for canaries", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-canaries-"));
    mkdirSync(join(root, "logs"));
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });
  const put = (name: string, bytes: Uint8Array): void => {
    writeFileSync(join(root, "logs", name), bytes);
  };

  for (const [format, packed] of [
    ["gzip", gzipSync(log)],
    ["zlib", deflateSync(log)],
    ["zstd", zstdCompressSync(log)],
    ["gzip, two members", Buffer.concat([gzipSync(Buffer.from("first\n")), gzipSync(log)])],
  ] as const) {
    it(`looks into a file packed with ${format}`, () => {
      put("engine.log", packed);
      assert.deepEqual(filesWithCanaries(root, canaries), {
        found: ["logs/engine.log: passphrase"],
        read: ["logs/engine.log"],
        unpacked: ["logs/engine.log"],
      });
    });
  }

  it("looks into a packed file whose writer has not ended it", () => {
    // What a killed engine leaves: no trailer, and the last block cut off.
    const packed = gzipSync(
      Buffer.concat([log, Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251))]),
    );
    put("engine.log", packed.subarray(0, packed.length - 40));
    assert.deepEqual(filesWithCanaries(root, canaries).found, ["logs/engine.log: passphrase"]);
  });

  it("takes a file as it is when only its first bytes look packed", () => {
    put("odd.bin", Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.from(word)]));
    put("plain.log", log);
    assert.deepEqual(filesWithCanaries(root, canaries), {
      found: ["logs/odd.bin: passphrase", "logs/plain.log: passphrase"],
      read: ["logs/odd.bin", "logs/plain.log"],
      unpacked: [],
    });
  });
});
