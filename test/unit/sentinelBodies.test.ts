// What callers of the Sentinel's API send: each fault with its value, its limit and what to do.
import assert from "node:assert/strict";
import { ApiError } from "../../runtime-agent/src/shared/localApi/index.ts";
import { readNewAgent, readRenewal, readSignal, readSize } from "../../runtime-agent/src/sentinel/routes/bodies.ts";

function refusalOf(read: () => unknown): ApiError {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof ApiError);
    return error;
  }
  return assert.fail("it was taken");
}

describe("Sentinel: bodies of its API", () => {
  it("are refused with property, value, limit and fix, every fault at once", () => {
    const ghost = { name: "Ghost_x", kind: "batch", size: "M", ttlSec: 5, port: 1 };
    const { status, message, property, limit, fix } = refusalOf(() => readNewAgent(ghost));
    assert.deepEqual([status, property, fix], [400, "name", "Rename the agent."]);
    assert.match(limit ?? "", /DNS label/);
    assert.match(
      message,
      /^"Ghost_x" is not allowed; also ttlSec is 5; allowed: .*60 to 31622400.*also port is an unknown/,
    );
    const long = refusalOf(() => readRenewal({ ttlSec: 367 * 86_400 }));
    assert.deepEqual([long.property, long.limit], ["ttlSec", "a whole number from 60 to 31622400"]);
    assert.match(long.fix ?? "", /renew it as often as need be/);
    assert.match(refusalOf(() => readSignal({ key: "a.b", payload: 1 })).limit ?? "", /1 to 200 letters/);
    assert.equal(refusalOf(() => readSignal({ key: "a" })).property, "payload");
    assert.match(refusalOf(() => readSize("M")).property ?? "", /\(body\)/);
  });

  it("are read as they are meant", () => {
    const ghost = readNewAgent({ name: "ghost", kind: "batch", size: "M", ttlSec: 60 });
    assert.deepEqual(ghost, { name: "ghost", kind: "batch", size: "M", mode: "job", idempotent: false, ttlMs: 60_000 });
    assert.deepEqual(readSignal({ key: "a:1", payload: null }), { key: "a:1", payload: null });
  });
});
