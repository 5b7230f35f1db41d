import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { parse } from "yaml";
import { agentSecretFile, planAgent, type AgentSpec } from "../../components/shared/agent/agentPlan.ts";
import {
  asRoot,
  releaseName,
  renderInstallStep,
  renderPrepareStep,
  secretLines,
} from "../../components/shared/agent/installScripts.ts";
import { parseKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";

const release = { version: "1.4.0", sha256: "ab".repeat(32) };
const context = { role: "keeper", side: "host", owner: "hive/genesis", healthSec: 30, steadySec: 2 } as const;
type KeeperSpec = Extract<AgentSpec, { readonly side: "arbiter" | "host" }>;
const spec: KeeperSpec = {
  side: "host",
  config: {
    version: 1,
    side: "host",
    host: {
      proxmox: {
        url: "https://192.168.1.10:8006",
        node: "pve",
        tokenFile: agentSecretFile("pve-token"),
        caFile: "/etc/pve/pve-root-ca.pem",
      },
      link: { connect: "10.20.10.100:8741", pskFile: agentSecretFile("link-psk") },
      watchdog: { type: "serial", device: "/dev/ttyUSB0", keyFile: "/etc/hive-agent/esp32.key" },
      pinning: { cpus: "1-2", realtimePriority: 10 },
    },
  },
  release,
  secretNames: ["pve-token", "link-psk"],
  allow: [],
  healthSec: 60,
};

function properties(changed: Partial<KeeperSpec>): string[] {
  const planned = planAgent({ ...spec, ...changed });
  return planned.ok ? [] : planned.faults.map((fault) => fault.property).toSorted();
}

describe("agent plan", () => {
  it("renders a configuration that the agent reads back, the same whatever the order of its keys", () => {
    const planned = planAgent(spec);
    assert.ok(planned.ok);
    const read = parseKeeperConfig(planned.value.config);
    assert.ok(read.ok);
    assert.equal(read.value.host?.link?.connect.port, 8741);
    const { version, side, host } = spec.config;
    const turned = planAgent({ ...spec, config: { host, side, version } });
    assert.ok(turned.ok);
    assert.equal(turned.value.config, planned.value.config);
    assert.deepEqual(parse(planned.value.config), spec.config);
  });

  it("lets the unit do what the configuration asks for: its peers, its pins, its serial line", () => {
    const planned = planAgent(spec);
    assert.ok(planned.ok);
    assert.match(planned.value.unit, /^IPAddressAllow=localhost 10\.20\.10\.100 192\.168\.1\.10$/m);
    assert.match(planned.value.unit, /^CapabilityBoundingSet=CAP_SYS_NICE$/m);
    assert.match(planned.value.unit, /^RestrictRealtime=no$/m);
    assert.match(planned.value.unit, /^DeviceAllow=char-ttyUSB rw$/m);
  });

  it("names every fault at once, with its property", () => {
    const faulty = properties({
      side: "arbiter",
      release: { version: "new", sha256: "12" },
      secretNames: ["Bad Name"],
      allow: ["example.org"],
      healthSec: 1,
    });
    const expected = ["allow[0]", "config.host.link.pskFile", "config.host.proxmox.tokenFile", "config.side"];
    assert.deepEqual(faulty, [...expected, "healthSec", "secrets", "tarball.sha256", "version"]);
    const arbiter = { version: 1, side: "arbiter", arbiter: { scan: {}, servicez: [] } } as const;
    assert.deepEqual(properties({ config: arbiter }), ["config.arbiter.servicez"]);
    const moved = { ...spec.config, paths: { state: "/srv/agent" } };
    assert.deepEqual(properties({ config: moved }), ["config.paths.state"]);
  });

  it("has services started by somebody else than the agent, whose fence they would inherit", () => {
    const of = (start: string[]): string[] =>
      properties({
        side: "arbiter",
        config: {
          version: 1,
          side: "arbiter",
          arbiter: {
            services: [{ name: "muse", rank: 4, kind: "batch", vram: "8 GB", pidFile: "/run/muse.pid", start }],
          },
        },
      });
    assert.deepEqual(of(["/opt/muse/run", "--night"]), ["config.arbiter.services[0].start"]);
    assert.deepEqual(of(["/usr/bin/systemd-run", "--unit=muse", "/opt/muse/run"]), []);
  });

  it("wants addresses in numbers, for the unit's firewall takes no names", () => {
    const { host } = spec.config;
    assert.ok(host);
    const named = { ...spec.config, host: { ...host, proxmox: { ...host.proxmox, url: "https://pve.home:8006" } } };
    assert.deepEqual(properties({ config: named }), ["config.host.proxmox.url"]);
    assert.deepEqual(properties({ config: named, allow: ["192.168.1.0/24"] }), []);
    const linked = { listen: "10.20.10.100:8741", pskFile: "/etc/hive-agent/secrets/psk" };
    const arbiter = { version: 1, side: "arbiter", arbiter: { link: linked } } as const;
    const rest = { side: "arbiter", config: arbiter, secretNames: ["psk"] } as const;
    assert.deepEqual(properties(rest), ["allow"]);
    assert.deepEqual(properties({ ...rest, allow: ["10.20.10.1"] }), []);
  });
});

describe("an arbiter beside the host side", () => {
  const place = { besideHost: true } as const;
  const pskFile = agentSecretFile("psk", place);
  const linked = (listen: string, file = pskFile): KeeperSpec["config"] => ({
    ...{ version: 1, side: "arbiter" },
    arbiter: { link: { listen, pskFile: file } },
  });
  const own: KeeperSpec = {
    ...spec,
    side: "arbiter",
    ...place,
    config: linked("127.0.0.1:8741"),
    secretNames: ["psk"],
  };
  const faultsOf = (changed: Partial<KeeperSpec>): string[] => properties({ ...own, ...changed });

  it("has folders of its own in its configuration and its unit, and speaks with the loopback alone", () => {
    const planned = planAgent(own);
    assert.ok(planned.ok, JSON.stringify(planned));
    const read = parseKeeperConfig(planned.value.config);
    assert.ok(read.ok);
    const name = "hive-agent-arbiter";
    assert.deepEqual(read.value.paths, {
      ...{ state: `/var/lib/${name}/keeper`, runtime: `/run/${name}/keeper`, log: `/var/log/${name}` },
    });
    const { unit } = planned.value;
    for (const line of [`StateDirectory=${name}/keeper`, `RuntimeDirectory=${name}/keeper`, `LogsDirectory=${name}`])
      assert.ok(unit.includes(`\n${line}\n`), line);
    const run = `/opt/${name}/current/bin/hive-agent keeper --side arbiter --config /etc/${name}/keeper.yaml`;
    assert.ok(unit.includes(`\nExecStart=${run}\n`), unit);
    assert.doesNotMatch(unit, /hive-agent\//);
    assert.match(unit, /^IPAddressAllow=localhost$/m);
  });

  it("is refused folders and secrets of the other place, a link beyond the loopback without its caller, and the host's side", () => {
    assert.deepEqual(faultsOf({}), []);
    const listen = "127.0.0.1:8741";
    assert.deepEqual(faultsOf({ config: linked(listen, agentSecretFile("psk")) }), ["config.arbiter.link.pskFile"]);
    assert.deepEqual(faultsOf({ besideHost: false }), ["config.arbiter.link.pskFile"]);
    const moved = { ...linked(listen), paths: { state: "/var/lib/hive-agent/keeper" } };
    assert.deepEqual(faultsOf({ config: moved }), ["config.paths.state"]);
    assert.deepEqual(faultsOf({ config: linked("10.20.10.1:8741") }), ["allow"]);
    assert.deepEqual(properties({ besideHost: true }), ["besideHost"]);
  });
});

describe("agent install scripts", () => {
  const awkward = "a: 'quoted $(touch /tmp/x) `id`'\nb: |\n  HIVE_END\n";
  const install = renderInstallStep(context, { release, secretNames: [], config: awkward, unit: "[Unit]\n" });
  const prepare = renderPrepareStep(context, { login: "root", secretNames: ["b", "a"] });

  it("are scripts that a POSIX shell can read, as root and through sudo, and fit into one argument", () => {
    for (const script of [install.create, install.delete, prepare.create, prepare.delete]) {
      for (const text of [script, asRoot("admin", script)]) {
        const read = spawnSync("/bin/sh", ["-n"], { input: text, encoding: "utf8" });
        assert.deepEqual([read.status, read.stderr], [0, ""]);
        assert.ok(text.length < 64 * 1024, "a single argument of exec may have 128 KiB");
      }
    }
  });

  it("keep two builds of one version apart", () => {
    assert.equal(releaseName(release), "1.4.0-abababababab");
    assert.notEqual(releaseName({ ...release, sha256: "cd".repeat(32) }), releaseName(release));
  });

  it("carry values as data: nothing in them is run", () => {
    const line = install.create.split("\n").findIndex((text) => text.startsWith("HIVE_CONFIG="));
    const assignment = install.create
      .split("\n")
      .slice(line, line + 4)
      .join("\n");
    const run = spawnSync("/bin/sh", ["-c", `${assignment}\nprintf '%s' "$HIVE_CONFIG"`], { encoding: "utf8" });
    assert.equal(run.stdout, awkward);
  });

  it("send secrets as lines of standard input, whatever they hold", () => {
    assert.equal(secretLines({ b: "x\ny", a: "é" }), "a w6k=\nb eAp5\n");
  });
});
