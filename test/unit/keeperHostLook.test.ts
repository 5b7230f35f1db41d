import assert from "node:assert/strict";
import { createCalendar } from "../../runtime-agent/src/keeper/arbiter/core/calendar.ts";
import { checkKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { emptyHostState } from "../../runtime-agent/src/keeper/host/core/decide.ts";
import type { GuestSeen } from "../../runtime-agent/src/keeper/host/core/types.ts";
import { createHostLoop } from "../../runtime-agent/src/keeper/host/hostLoop.ts";
import { hostCalendar, hostPolicy } from "../../runtime-agent/src/keeper/host/hostPolicy.ts";
import { createWatch } from "../../runtime-agent/src/keeper/host/watch.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

const stopped: GuestSeen = {
  ...{ vmid: 110, kind: "qemu", status: "stopped", maxMiB: 1024, balloonMiB: 1024, usedMiB: 0, cpu: 0 },
  ...{ devices: {}, ballooning: true },
};

describe("Keeper, host side: what an action changed", () => {
  it("is seen by the next turn, not by the one after it: each step of a handoff would cost a second more", async () => {
    const raw = {
      version: 1,
      side: "host",
      timeZone: "UTC",
      market: { days: [] },
      host: {
        proxmox: { url: "https://127.0.0.1:8006", tokenFile: "/t", caFile: "/c", node: "pve" },
        guests: [{ vmid: 110, role: "ai", priority: 2, essential: true }],
      },
    };
    const config = valueOrThrow("configuration", checkKeeperConfig(raw));
    assert.ok(config.host);
    const clock = manualClock(Date.UTC(2026, 10, 25, 12));
    let status: GuestSeen["status"] = "stopped";
    const guests = createWatch({
      clock,
      staleMs: () => 10_000,
      // Longer than it takes to read the memory, as calls to Proxmox are.
      look: () => new Promise<readonly GuestSeen[]>((resolve) => setImmediate(() => resolve([{ ...stopped, status }]))),
      onError: assert.ifError,
    });
    const loop = createHostLoop(
      {
        clock,
        journal: { append: () => Promise.resolve() },
        log: createLog({ write: () => undefined }),
        rules: {
          calendar: createCalendar(hostCalendar(config)),
          policy: hostPolicy(config.host),
          observeMs: 5000,
        },
        guests,
        memory: () => Promise.resolve({ totalMiB: 65_536, availableMiB: 32_768 }),
        perform: ({ kind }) => Promise.resolve(void (status = kind === "start" ? "running" : status)),
        alive: () => undefined,
      },
      emptyHostState,
    );
    const turn = async (): Promise<void> => {
      await loop.turn();
      await loop.settled();
      await guests.settled();
      clock.advance(1000);
    };
    await turn();
    await turn();
    assert.equal(status, "running", "an essential guest is started");
    await turn();
    assert.equal(loop.observation()?.guests?.[0]?.status, "running");
  });
});
