import assert from "node:assert/strict";
import { checkKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { createCalendar } from "../../runtime-agent/src/keeper/arbiter/core/calendar.ts";
import type { HostConstraint } from "../../runtime-agent/src/keeper/link/protocol.ts";
import { emptyHostState } from "../../runtime-agent/src/keeper/host/core/decide.ts";
import type { GuestSeen, HostAction } from "../../runtime-agent/src/keeper/host/core/types.ts";
import { createHostLoop, type HostRules } from "../../runtime-agent/src/keeper/host/hostLoop.ts";
import { hostCalendar, hostPolicy } from "../../runtime-agent/src/keeper/host/hostPolicy.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

/** A Wednesday, 12:00 UTC. */
const noon = Date.UTC(2026, 10, 25, 12);

/** Rules from a configuration file's content. */
function rules(market: object, host: object = {}): HostRules {
  const raw = {
    version: 1,
    side: "host",
    timeZone: "UTC",
    market,
    host: {
      proxmox: { url: "https://127.0.0.1:8006", tokenFile: "/t", caFile: "/c", node: "pve" },
      guests: [{ vmid: 110, role: "render", priority: 9 }],
      ...host,
    },
  };
  const config = valueOrThrow("configuration", checkKeeperConfig(raw));
  assert.ok(config.host);
  return { calendar: createCalendar(hostCalendar(config)), policy: hostPolicy(config.host), observeMs: 1000 };
}

const guest: GuestSeen = {
  vmid: 110,
  kind: "qemu",
  status: "running",
  maxMiB: 4096,
  balloonMiB: 4096,
  usedMiB: 1024,
  cpu: 0.5,
  devices: {},
  ballooning: true,
};

describe("Keeper, host side: the loop", () => {
  it("works by other rules from the next turn on, without forgetting what it knew", async () => {
    const performed: HostAction[] = [];
    let constraint: HostConstraint | undefined;
    const clock = manualClock(noon);
    const loop = createHostLoop(
      {
        clock,
        journal: { append: () => Promise.resolve() },
        log: createLog({ write: () => undefined }),
        rules: rules({ days: [] }),
        guests: {
          value: () => [performed.length === 1 ? { ...guest, status: "paused" } : guest],
          refresh: () => undefined,
          forget: () => undefined,
          settled: () => Promise.resolve(),
        },
        memory: () => Promise.resolve({ totalMiB: 65_536, availableMiB: 32_768 }),
        perform: (action) => Promise.resolve(void performed.push(action)),
        link: {
          setConstraint: (next) => (constraint = next),
          heardMs: () => clock.monotonicMs(),
          status: () => undefined,
          requestHandoff: () => true,
          handoff: () => undefined,
          takeBack: () => undefined,
          takenBack: () => [],
          close: () => undefined,
        },
        arbiterVmid: 205,
        alive: () => undefined,
      },
      emptyHostState,
    );
    await loop.turn();
    assert.deepEqual([constraint?.marketOpen, performed], [false, []]);
    assert.equal(loop.observation()?.arbiter?.vmid, 205);
    // Open now, but this role is not forbidden: nothing is paused.
    loop.reconfigure(rules({}, { marketRoles: ["research"] }));
    await loop.turn();
    assert.deepEqual([constraint?.marketOpen, performed], [true, []]);
    loop.reconfigure(rules({}));
    await loop.turn();
    await loop.settled();
    assert.deepEqual(
      performed.map(({ kind, vmid }) => [kind, vmid]),
      [["suspend", 110]],
    );
    assert.deepEqual(loop.state().kept.pausedByUs, [110]);
    // A holiday is declared meanwhile: the loop still knows that it was the one who paused.
    loop.reconfigure(rules({ holidays: ["2026-11-25"] }));
    await loop.turn();
    await loop.settled();
    assert.deepEqual([constraint?.marketOpen, performed.at(-1)?.kind], [false, "resume"]);
  });
});
