import assert from "node:assert/strict";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import {
  decodeWebhookSecret,
  encodeWebhookSecret,
  firstWebhookSecret,
  signWebhook,
  toleranceSec,
  verifyWebhook,
} from "../../components/shared/signals/webhooks.ts";

const bytes = fc.uint8Array({ minLength: 24, maxLength: 64 });
const id = fc.stringMatching(/^[\w:-]{1,64}$/);
const body = fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), fc.json());
const at = fc.integer({ min: toleranceSec, max: 4_000_000_000 });
const secret = encodeWebhookSecret(Buffer.alloc(32, 7));
const other = encodeWebhookSecret(Buffer.alloc(24, 9));

describe("signatures of Standard Webhooks", () => {
  it("are the ones that the standard's own library makes", () => {
    fc.assert(
      fc.property(bytes, id, body, at, (raw, name, text, sec) => {
        const theirs = new Webhook(encodeWebhookSecret(raw)).sign(name, new Date(sec * 1000), text);
        assert.equal(signWebhook(name, sec, text, encodeWebhookSecret(raw))["webhook-signature"], theirs);
      }),
      { numRuns: 100 },
    );
  });

  it("are read by the standard's own library", () => {
    const now = Math.floor(Date.now() / 1000);
    const headers = signWebhook("msg_1", now, '{"a":1}', other, secret);
    assert.deepEqual(new Webhook(secret).verify('{"a":1}', { ...headers }), { a: 1 });
  });

  it("are believed for the message they were made for, with either of two secrets, within the window", () => {
    fc.assert(
      fc.property(bytes, bytes, id, body, at, fc.integer({ min: -300, max: 300 }), (a, b, name, text, sec, skew) => {
        const [old, young] = [encodeWebhookSecret(a), encodeWebhookSecret(b)];
        const headers = { ...signWebhook(name, sec, text, young) };
        const verdict = verifyWebhook(headers, text, [old, young], sec + skew);
        assert.deepEqual(verdict, { ok: true, id: name, timestampSec: sec });
      }),
    );
  });

  it("are refused for any other message, time or id", () => {
    fc.assert(
      fc.property(id, body, at, id, body, at, (name, text, sec, name2, text2, sec2) => {
        fc.pre(name !== name2 || text !== text2 || sec !== sec2);
        const headers = {
          ...signWebhook(name2, sec2, text2, secret),
          "webhook-signature": signWebhook(name, sec, text, secret)["webhook-signature"],
        };
        assert.deepEqual(verifyWebhook(headers, text2, [secret], sec2), { ok: false, reason: "forged" });
      }),
    );
  });

  it("are refused with another secret, and outside the window on both sides", () => {
    const headers = { ...signWebhook("k", 1000, "{}", secret) };
    assert.deepEqual(verifyWebhook(headers, "{}", [other], 1000), { ok: false, reason: "forged" });
    assert.deepEqual(verifyWebhook(headers, "{}", [], 1000), { ok: false, reason: "forged" });
    assert.deepEqual(verifyWebhook(headers, "{}", [secret], 1301), { ok: false, reason: "stale" });
    assert.deepEqual(verifyWebhook(headers, "{}", [secret], 699), { ok: false, reason: "stale" });
    assert.equal(verifyWebhook(headers, "{}", [secret], 1300).ok, true);
  });

  it("are found among several, and among words that are none", () => {
    const { "webhook-signature": good, ...rest } = signWebhook("k", 1000, "{}", secret);
    const judge = (signature: string) =>
      verifyWebhook({ ...rest, "webhook-signature": signature }, "{}", [secret], 1000);
    assert.equal(judge(`v1a,abc v1, ${good}`).ok, true);
    assert.equal(judge(`${signWebhook("k", 1000, "{}", other)["webhook-signature"]} ${good}`).ok, true);
    // No more than eight are looked at, and no text without end.
    assert.equal(judge(`${"x ".repeat(8)}${good}`).ok, false);
    assert.deepEqual(judge(`${"x".repeat(1100)} ${good}`), { ok: false, reason: "unsigned" });
  });

  it("have one form: what base64 leaves open is not", () => {
    const good = signWebhook("k", 1000, "{}", secret);
    const text = good["webhook-signature"];
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const believed = [...alphabet].filter((last) => {
      const signature = `${text.slice(0, -2)}${last}=`;
      return verifyWebhook({ ...good, "webhook-signature": signature }, "{}", [secret], 1000).ok;
    });
    assert.deepEqual(believed, [text.at(-2)]);
  });

  it("are missing where a header is missing, doubled, empty or of another form", () => {
    const good = signWebhook("k", 1000, "{}", secret);
    for (const [name, value] of [
      ["webhook-id", undefined],
      ["webhook-id", ""],
      ["webhook-id", "k".repeat(257)],
      ["webhook-timestamp", undefined],
      ["webhook-timestamp", "01000"],
      ["webhook-timestamp", "1e3"],
      ["webhook-timestamp", " 1000"],
      ["webhook-timestamp", "1".repeat(13)],
      ["webhook-signature", undefined],
      ["webhook-signature", [good["webhook-signature"], "v1,x"]],
      ["webhook-signature", good["webhook-signature"].replace("v1,", "v2,")],
      ["webhook-signature", good["webhook-signature"].slice(0, -1)],
    ] as const) {
      const verdict = verifyWebhook({ ...good, [name]: value }, "{}", [secret], 1000);
      assert.deepEqual(verdict, { ok: false, reason: "unsigned" }, `${name}: ${String(value)}`);
    }
  });

  it("never throw, whatever the headers hold", () => {
    const any = fc.option(fc.oneof(fc.string(), fc.array(fc.string())), { nil: undefined });
    fc.assert(
      fc.property(any, any, any, body, (name, time, signature, text) => {
        const headers = { "webhook-id": name, "webhook-timestamp": time, "webhook-signature": signature };
        assert.equal(verifyWebhook(headers, text, [secret, other], 1000).ok, false);
      }),
    );
  });
});

describe("secrets of Standard Webhooks", () => {
  it("come out of their text as they went in", () => {
    fc.assert(
      fc.property(bytes, (raw) => assert.deepEqual(decodeWebhookSecret(encodeWebhookSecret(raw)), Buffer.from(raw))),
    );
  });

  it("are 24 to 64 bytes, in one form alone", () => {
    for (const size of [23, 65]) assert.throws(() => encodeWebhookSecret(Buffer.alloc(size, 1)), RangeError);
    const text = secret.slice("whsec_".length);
    const cut = Buffer.alloc(23, 1).toString("base64");
    for (const wrong of [text, `whsec_${cut}`, `${secret} `, `whsec_*${text}`, secret.replace("=", ""), "", "whsec_"])
      assert.equal(decodeWebhookSecret(wrong), undefined, wrong);
  });

  it("are never named by the error that refuses them", () => {
    assert.throws(
      () => signWebhook("k", 1000, "{}", "whsec_aGVsbG8="),
      (error: Error) => error instanceof RangeError && !error.message.includes("aGVsbG8"),
    );
  });

  it("are made of an agent's key in one way, which both ends keep", () => {
    const key = Buffer.from("0123456789abcdef".repeat(4), "hex");
    // RFC 5869, computed apart.
    assert.equal(firstWebhookSecret(key), "whsec_vjpaQ8pyJmH55yhVV0Wb3zOfbcnVQaY0w6Paauygl+o=");
  });
});
