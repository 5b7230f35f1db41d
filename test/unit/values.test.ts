import assert from "node:assert/strict";
import fc from "fast-check";
import { show } from "../../components/shared/check.ts";
import { formatCpuList, parseCpuList } from "../../components/shared/cpuList.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { formatIpv4, overlap, parseCidr, parseIpv4 } from "../../components/shared/ipv4.ts";
import { nearestName } from "../../components/shared/nearestName.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import { physicalCores, parseLscpu, smtTopology } from "../../components/shared/topology.ts";
import { formatMiB, parseMiB } from "../../components/shared/units.ts";
import { host } from "../support/arbitraries.ts";

const cpuNumber = fc.integer({ min: 0, max: 8191 });

describe("CPU lists", () => {
  it("are sorted, joined into ranges, and read back", () => {
    assert.equal(formatCpuList([19, 0, 2, 1, 3, 16, 17, 18, 5]), "0-3,5,16-19");
    fc.assert(
      fc.property(fc.uniqueArray(cpuNumber), (cpus) => {
        assert.deepEqual(parseCpuList("cpus", formatCpuList(cpus)), {
          ok: true,
          value: cpus.toSorted((a, b) => a - b),
        });
      }),
    );
  });

  it("refuses what is no list", () => {
    for (const text of ["a", "1-", "3-1", "1,,2", "0-9999", "-1"]) assert.ok(!parseCpuList("cpus", text).ok, text);
  });
});

describe("amounts of memory", () => {
  it("count in binary units, whatever they are called", () => {
    const values = ["4 GB", "4GiB", "4096 MiB", "4096MB", 4096].map((text) =>
      valueOrThrow("memory", parseMiB("ram", text)),
    );
    assert.deepEqual(new Set(values), new Set([4096]));
    assert.equal(valueOrThrow("memory", parseMiB("ram", "1.5 GB")), 1536);
  });

  it("are read back from what is printed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (mib) =>
        assert.deepEqual(parseMiB("ram", formatMiB(mib)), { ok: true, value: mib }),
      ),
    );
  });

  it("refuse everything else", () => {
    for (const text of ["", "4", "4 KB", "-1 GB", "0 GB", "1.0001 GB", Number.NaN, -1, 0.5])
      assert.ok(!parseMiB("ram", text).ok, String(text));
  });
});

describe("topologies", () => {
  it("pair siblings by numbering", () => {
    const cores = (numbering: "split" | "adjacent"): unknown =>
      physicalCores(smtTopology({ sockets: 1, coresPerSocket: 2, threadsPerCore: 2, numbering })).map(
        ({ cpus }) => cpus,
      );
    assert.deepEqual(cores("split"), [
      [0, 2],
      [1, 3],
    ]);
    assert.deepEqual(cores("adjacent"), [
      [0, 1],
      [2, 3],
    ]);
  });

  it("are the same read from lscpu's JSON, with numbers as numbers or as texts", () => {
    fc.assert(
      fc.property(host, fc.boolean(), (topology, texts) => {
        const cpus = topology.cpus.map(({ cpu, core, socket, node, maxMhz }) => ({
          cpu,
          core,
          socket,
          node,
          ...(maxMhz === undefined ? {} : { maxmhz: maxMhz }),
        }));
        const json = JSON.stringify({
          cpus: texts
            ? cpus.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, String(value)])))
            : cpus,
        });
        assert.deepEqual(parseLscpu(json), { ok: true, value: topology });
      }),
      { numRuns: 50 },
    );
  });

  it("leave out offline CPUs, and put hosts without NUMA into node 0", () => {
    const rows = [
      { cpu: 0, core: 0, socket: 0, node: "-", online: true },
      { cpu: 1, core: "-", socket: "-", node: "-", online: false },
    ];
    assert.deepEqual(parseLscpu(JSON.stringify({ cpus: rows })), {
      ok: true,
      value: { cpus: [{ cpu: 0, core: 0, socket: 0, node: 0 }] },
    });
  });

  it("are refused with a CPU twice, a core in two nodes, or no CPU", () => {
    const row = { cpu: 0, core: 0, socket: 0, node: 0 };
    for (const cpus of [[], [row, row], [row, { ...row, cpu: 1, node: 1 }], [{ ...row, cpu: -1 }], [null]]) {
      assert.ok(!parseLscpu(JSON.stringify({ cpus })).ok, JSON.stringify(cpus));
    }
  });
});

describe("IPv4", () => {
  it("reads back every address, and refuses octal and host bits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (address) =>
        assert.equal(parseIpv4(formatIpv4(address)), address),
      ),
    );
    for (const text of ["1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5"]) assert.equal(parseIpv4(text), undefined, text);
    for (const text of ["10.0.0.1/24", "10.0.0.0/33", "10.0.0.0"]) assert.equal(parseCidr(text), undefined, text);
  });

  it("finds overlaps exactly where one subnet's address is in the other", () => {
    const subnet = fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 30 }))
      .map(([last, prefix]) => {
        const size = 2 ** (32 - prefix);
        return `10.0.0.${String(Math.floor(last / size) * size)}/${String(prefix)}`;
      });
    fc.assert(
      fc.property(subnet, subnet, (one, other) => {
        const [a, b] = [parseCidr(one), parseCidr(other)];
        assert.ok(a !== undefined && b !== undefined);
        const all = (base: number, prefix: number): Set<number> =>
          new Set(Array.from({ length: 2 ** (32 - prefix) }, (_, index) => base + index));
        assert.equal(
          overlap(a, b),
          [...all(a.base, a.prefix)].some((address) => all(b.base, b.prefix).has(address)),
        );
      }),
    );
  });
});

describe("what faults show", () => {
  it("never is a secret", () => {
    const secret = new SecretText("hunter2hunter2");
    assert.equal(`${String(secret)} ${JSON.stringify({ secret })}`, '[secret] {"secret":"[secret]"}');
    for (const text of [
      "hive@pve!pulumi=5ec7e700-cafe-4bad-8dad-0123456789ab",
      "-----BEGIN PRIVATE KEY-----\nabc",
      "$6$salt$hash",
      "https://me:pw123456@host/",
    ]) {
      assert.equal(show(text), "a text that looks like a secret (not shown)", text);
    }
  });

  it("suggests a name that is near, and none that is far", () => {
    assert.equal(nearestName("endpiont", ["endpoint", "workers"]), "endpoint");
    assert.equal(nearestName("API_TOKEN", ["apiToken"]), "apiToken");
    assert.equal(nearestName("zzz", ["endpoint"]), undefined);
  });
});
