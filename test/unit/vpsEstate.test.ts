import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { sentinelWatchSection } from "../../components/shared/agent/sentinelWatchConfig.ts";
import { estateFaults, withEstate } from "../../components/shared/vps/estate.ts";
import { reaperPrivileges } from "../../components/shared/vps/reaperRights.ts";
import { parseAgentStackConfig, parseSentinelStackConfig } from "../../components/shared/vps/stackSettings.ts";
import { excessInWords, excessRights } from "../../runtime-agent/src/sentinel/reaper/excess.ts";
import { agentStackConfig, sentinelStackConfig, sshKeyPair } from "../support/vpsSettings.ts";

describe("the name of a Hive", () => {
  it("comes to the Sentinel from its stack's settings, beside what else is written for the reaper", () => {
    const config = { leases: { validSec: 60 }, watch: { reaper: { pauseSec: 5 }, oom: {} } };
    assert.deepEqual(withEstate(config, "home"), {
      leases: { validSec: 60 },
      watch: { reaper: { pauseSec: 5, estate: "home" }, oom: {} },
    });
    const { watch } = withEstate({}, "home");
    assert.equal(sentinelWatchSection.parse(watch).reaper.estate, "home");
    // Its own validation has a word for another form.
    assert.deepEqual(withEstate({ watch: 7 }, "home"), { watch: 7 });
  });

  it("stands in one place", () => {
    const [second] = estateFaults({ watch: { reaper: { estate: "elsewhere" } } });
    assert.match(JSON.stringify(second), /config\.watch\.reaper\.estate.*hive:estate alone/);
    assert.deepEqual(estateFaults({ watch: { reaper: {} } }), []);
    assert.deepEqual(estateFaults(undefined), []);
  });

  it("is nobody's until it is chosen: the example has none, and what is missing is named with a good one", () => {
    const { privateKey } = sshKeyPair();
    const example: unknown = parse(readFileSync(join(import.meta.dirname, "../../Pulumi.sentinel.yaml"), "utf8"));
    assert.ok(!Object.keys(Object(Object(example)["config"])).includes("hive:estate"));
    const { estate: _, ...unnamed } = sentinelStackConfig(privateKey);
    const parsed = parseSentinelStackConfig(unnamed);
    assert.ok(!parsed.ok);
    assert.match(JSON.stringify(parsed.faults), /hive:estate.*no other Hive.*home-4f2a91.*openssl rand -hex 3/);
  });

  it("is needed by both stacks, and is a label", () => {
    const { privateKey } = sshKeyPair();
    const faultsOf = (parse: typeof parseAgentStackConfig | typeof parseSentinelStackConfig, raw: object): string[] => {
      const parsed = parse({ ...raw });
      return parsed.ok ? [] : parsed.faults.map(({ property }) => property);
    };
    const { estate: _, ...unnamed } = sentinelStackConfig(privateKey);
    assert.deepEqual(faultsOf(parseSentinelStackConfig, unnamed), ["hive:estate"]);
    assert.deepEqual(faultsOf(parseAgentStackConfig, { ...agentStackConfig(privateKey), estate: "My Hive" }), [
      "hive:estate",
    ]);
    const config = { watch: { reaper: { estate: "x" } } };
    assert.deepEqual(faultsOf(parseSentinelStackConfig, { ...sentinelStackConfig(privateKey), config }), [
      "hive:config.watch.reaper.estate",
    ]);
  });
});

describe("what a reaper's token may do beyond its pool", () => {
  const members = new Set([300]);
  const on = (path: string, ...privileges: string[]) => ({ path, privileges });

  it("is anything elsewhere, and any other right there", () => {
    const fine = [
      on("/pool/p", ...reaperPrivileges),
      on("/vms/300", ...reaperPrivileges),
      on("/storage/s", "VM.Audit"),
    ];
    assert.deepEqual(excessRights(fine, "p", members), []);
    const [first = ""] = reaperPrivileges;
    const wide = [
      on("/", "VM.Audit"),
      on("/vms/301", first),
      on("/pool/other", first),
      on("/pool/p", first, "VM.Config.Disk"),
      on("/storage/s", "Datastore.Allocate"),
    ];
    assert.deepEqual(excessRights([...fine, ...wide], "p", members), [
      ...wide.slice(0, 3),
      on("/pool/p", "VM.Config.Disk"),
      on("/storage/s", "Datastore.Allocate"),
    ]);
  });

  it("is told shortly, without the token's secret", () => {
    const many = Array.from({ length: 9 }, (_, n) => on(`/vms/${String(n)}`, "VM.Allocate"));
    const said = excessInWords("reaper@pve!sentinel=secret", many);
    assert.match(
      said,
      /^reaper@pve!sentinel may do more .*VM\.Allocate on \/vms\/0; .* and more on 4 other paths\. On the host: pveum acl/,
    );
    assert.doesNotMatch(said, /secret/);
  });
});
