import assert from "node:assert/strict";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import { arbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { statusOf } from "../../runtime-agent/src/keeper/arbiter/statusView.ts";
import { createProxmoxWord } from "../../runtime-agent/src/keeper/host/proxmoxWord.ts";
import { PveError } from "../../runtime-agent/src/shared/proxmox/errors.ts";
import { healthOf, healthReply } from "../../runtime-agent/src/shared/health.ts";
import { createKeyWord } from "../../runtime-agent/src/keeper/link/keyWord.ts";

const away = new PveError("unreachable", "GET /nodes/pve/qemu", "ECONNREFUSED");
const refused = new PveError("unauthorised", "GET /nodes/pve/qemu", "the token is not accepted", 401);
const lacking = new PveError("forbidden", "GET /nodes/pve/qemu", "Permission check failed", 403);

describe("health of a side of the Keeper", () => {
  it("is a completed turn that is young, and each other reason is told beside it", () => {
    assert.deepEqual(healthOf(5_000, [undefined]), { healthy: true, unhealthy: [] });
    assert.deepEqual(healthOf(undefined, []).unhealthy, ["no decision loop is completed yet"]);
    assert.deepEqual(healthOf(7_400, ["the disk is full"]), {
      healthy: false,
      unhealthy: ["the decision loop is late: the last one ended 7 s ago", "the disk is full"],
    });
    assert.deepEqual(healthReply(healthOf(12.4, []), 12.4), {
      status: 200,
      json: { healthy: true, unhealthy: [], loopAgeMs: 12 },
    });
    assert.equal(healthReply(healthOf(undefined, []), undefined).status, 503);
  });

  it("asks of the arbiter its loop and its journal, and neither a card nor a host side", () => {
    const health = (loopAgeMs: number | undefined, fault: string | undefined) => {
      const { healthy, unhealthy } = statusOf({
        ...{ state: initialState(), config: arbiterConfig({ services: [] }), constraint: undefined },
        ...{ reading: { kind: "absent", reason: "no driver" }, wallMs: 0, monotonicMs: 0, startedAtMs: 0, loops: 1 },
        ...{ loopAgeMs, load1: undefined, fault, kernelOf: () => "unknown", decisions: [] },
        link: { listening: false, fault: "EADDRNOTAVAIL" },
      });
      return { healthy, unhealthy };
    };
    assert.deepEqual(health(20, undefined), { healthy: true, unhealthy: [] });
    assert.equal(health(undefined, undefined).healthy, false);
    assert.deepEqual(health(20, "ENOSPC").unhealthy, ["the journal cannot be written: ENOSPC"]);
  });

  it("asks of the host side that Proxmox has accepted its token, and not that it answers just now", () => {
    const told: string[] = [];
    const word = createProxmoxWord((fault) => told.push(fault));
    assert.equal(word.unhealthy(), "Proxmox has not answered since the start: no answer yet");
    word.failed(away);
    word.failed(away);
    assert.match(word.unhealthy() ?? "", /has not answered since the start: .*ECONNREFUSED/);
    assert.equal(told.length, 1);
    word.answered();
    assert.deepEqual([word.fault(), word.unhealthy()], [undefined, undefined]);
    word.failed(away);
    assert.deepEqual([word.fault(), word.unhealthy()], [away.message, undefined]);
    for (const error of [refused, lacking]) {
      word.failed(error);
      assert.equal(word.unhealthy(), `Proxmox refuses the token: ${error.message}`);
      // Silence takes no refusal back.
      word.failed(away);
      assert.equal(word.unhealthy(), `Proxmox refuses the token: ${error.message}`);
      word.answered();
      assert.equal(word.unhealthy(), undefined);
    }
  });

  it("tells of another key of the link once, until a handshake succeeds or fails otherwise", () => {
    const told: string[] = [];
    const key = createKeyWord((fault) => told.push(fault));
    key.take({ kind: "lost", reason: "ECONNREFUSED" });
    assert.equal(key.fault(), undefined);
    for (let n = 0; n < 3; n += 1) key.take({ kind: "lost", reason: "ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC" });
    assert.match(key.fault() ?? "", /another key of the link/);
    assert.equal(told.length, 1);
    key.take({ kind: "connected" });
    assert.equal(key.fault(), undefined);
  });
});
