import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import * as z from "zod";
import { configFaults } from "../../components/shared/agent/configFaults.ts";
import { sentinelWatchSection } from "../../components/shared/agent/sentinelWatchConfig.ts";
import { sentinelWatchFaults } from "../../components/shared/agent/sentinelWatchFaults.ts";
import { estateFaults, withEstate } from "../../components/shared/vps/estate.ts";
import { reaperPolicy, reaperPrivileges, reaperTokenCommands } from "../../components/shared/vps/reaperRights.ts";
import { lightsailTags } from "../../components/shared/vps/tags.ts";

function faultsOf(raw: unknown): string[] {
  const parsed = sentinelWatchSection.safeParse(raw, { reportInput: true });
  const single = parsed.success ? [] : configFaults(parsed.error.issues);
  return [...single.map(({ property }) => `watch.${property}`), ...sentinelWatchFaults(raw).map((f) => f.property)];
}

describe("Sentinel, configuration of its watch", () => {
  it("has a default for everything", () => {
    const watch = sentinelWatchSection.parse({});
    assert.deepEqual([watch.watchdogs, watch.channels, watch.schedules], [[], [], []]);
    assert.equal(watch.reaper.pauseSec, 300);
    assert.equal(watch.alerts.reminderSec, 4 * 3600);
  });

  it("takes every kind of watchdog, channel and schedule", () => {
    const raw = {
      watchdogs: [
        { name: "site", type: "http", url: "https://example.org/", status: [200, 204], text: "ok", tell: ["phone"] },
        { name: "db", type: "tcp", address: "10.0.0.5:5432" },
        { name: "gateway", type: "ping", host: "fe80::1" },
        { name: "cert", type: "tls", address: "example.org:443", days: 21 },
        { name: "backup", type: "heartbeat", periodSec: 86_400 },
      ],
      channels: [
        { name: "ops", type: "webhook", url: "https://example.org/hook", secretFile: "/etc/hive-agent/ops.secret" },
        { name: "phone", type: "ntfy", topicFile: "/etc/hive-agent/topic" },
      ],
      schedules: [{ name: "nightly", agent: "ghost-shopper", cron: "30 2 * * 1-5", timeZone: "Europe/Paris" }],
      reaper: {
        estate: "home",
        proxmox: { url: "https://10.0.0.1:8006", tokenFile: "/t", caFile: "/c", node: "pve" },
        lightsail: { region: "eu-west-3", credentialsFile: "/k" },
      },
    };
    assert.deepEqual(faultsOf(raw), []);
    const watch = sentinelWatchSection.parse(raw);
    assert.equal(watch.watchdogs[3]?.type === "tls" && watch.watchdogs[3].everySec, 3600);
    assert.equal(watch.reaper.proxmox?.pool, "hive-throwaway");
    assert.equal(watch.channels[1]?.url, "https://ntfy.sh");
  });

  it("tells all faults at once", () => {
    const faults = faultsOf({
      watchdogs: [
        { name: "site", type: "http", url: "https://u:secret@example.org/", deadlineSec: 90 },
        { name: "site", type: "ping", host: "-f", tell: ["phon"] },
        { name: "x", type: "icmp" },
        { name: "tick", type: "heartbeat", periodSec: 60, failures: 3 },
      ],
      channels: [{ name: "phone", type: "ntfy", topicFile: "topic" }],
      schedules: [
        { name: "a", agent: "b", cron: "0 0 31 2 *" },
        { name: "c", agent: "d", cron: "* * * * * *" },
        { name: "e", agent: "f", cron: "@daily", timeZone: "Europe/Pairs" },
      ],
      reaper: { mostPerHour: 0, proxmox: { url: "http://10.0.0.1:8006", tokenFile: "/t", node: "pve" } },
    });
    assert.deepEqual(faults.toSorted(), [
      "watch.channels[0].topicFile",
      "watch.reaper.estate",
      "watch.reaper.mostPerHour",
      "watch.reaper.proxmox",
      "watch.reaper.proxmox.url",
      "watch.schedules[0].cron",
      "watch.schedules[1].cron",
      "watch.schedules[2].timeZone",
      "watch.watchdogs[0].deadlineSec",
      "watch.watchdogs[0].url",
      "watch.watchdogs[1].host",
      "watch.watchdogs[1].name",
      "watch.watchdogs[1].tell[0]",
      "watch.watchdogs[2].type",
      "watch.watchdogs[3].failures",
    ]);
    assert.match(
      JSON.stringify(sentinelWatchFaults({ watchdogs: [{ tell: ["phon"] }], channels: [{ name: "phone" }] })),
      /mean phone/,
    );
  });

  it("is documented as it is: every key of the example, and the reaper's rights", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/watch.md"), "utf8");
    const block = (kind: string): string => new RegExp(`\`\`\`${kind}\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? "";
    // It is written into `hive:config`, where the name of the Hive is filled in.
    const example = z.looseObject({}).parse(parse(block("yaml")));
    assert.deepEqual(estateFaults(example), []);
    assert.deepEqual(faultsOf(withEstate(example, "home")["watch"]), []);
    assert.equal(block("bash").trim(), reaperTokenCommands.join("\n"));
    assert.deepEqual(JSON.parse(block("json")), reaperPolicy("home"));
  });

  it("gives the reaper no right but to see and to delete", () => {
    const actions = reaperPolicy("home").Statement.flatMap(({ Action }) => Action);
    assert.deepEqual(actions, ["lightsail:GetInstance", "lightsail:GetInstances", "lightsail:DeleteInstance"]);
    const [condition] = reaperPolicy("home").Statement.flatMap((one) =>
      one.Condition === undefined ? [] : [one.Condition.StringEquals],
    );
    const tags = Object.entries(lightsailTags({ estate: "home", agent: "a", expiresSec: 1 }));
    assert.deepEqual(Object.keys(condition ?? {}), ["aws:ResourceTag/hive:throwaway", "aws:ResourceTag/hive:estate"]);
    for (const [key, value] of Object.entries(condition ?? {}))
      assert.ok(
        tags.some(([name, given]) => `aws:ResourceTag/${name}` === key && given === value),
        key,
      );
    assert.ok(reaperPrivileges.every((one) => ["Pool.Audit", "VM.Allocate", "VM.Audit", "VM.PowerMgmt"].includes(one)));
    assert.match(reaperTokenCommands.join("\n"), /acl modify \/pool\/hive-throwaway /);
  });
});
