import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import type { Identity } from "../../lab/proxmox/access/identity.ts";
import { checkConformance, parseTraffic } from "../../lab/proxmox/conformance.ts";
import { apply, finishDue, recover } from "../../lab/proxmox/core/engine.ts";
import { createRouter, type Environment } from "../../lab/proxmox/core/router.ts";
import type { LabState } from "../../lab/proxmox/core/state.ts";
import { buildFixture } from "../../lab/proxmox/fixtures/index.ts";
import { referencedVolumes } from "../../lab/proxmox/guests/drives.ts";
import { pciHolders, memoryInUseMiB } from "../../lab/proxmox/guests/run.ts";
import { pveRoutes } from "../../lab/proxmox/routes.ts";
import { routeSources } from "../../lab/proxmox/sources.ts";
import { skip } from "../run/skip.ts";

const router = createRouter(pveRoutes);
const ROOT: Identity = { authId: "root@pam", userid: "root@pam", token: undefined, via: "socket" };

function environment(nowMs: number): Environment {
  let n = nowMs;
  return {
    nowMs,
    taskDelayMs: 10,
    bootDelayMs: 0,
    uuid: () =>
      `00000000-0000-0000-0000-${String((n += 1))
        .padStart(12, "0")
        .slice(-12)}`,
    randomHex: (bytes) =>
      String((n += 1))
        .padStart(bytes * 2, "0")
        .slice(-bytes * 2),
    hostFiles: () => [],
    removeHostFile: () => false,
    shellPools: () => [],
  };
}

function fixture(): LabState {
  return buildFixture("occupied", { rootPassword: "p", tokenSecret: "t", ticketKey: "k" }, 1_000_000_000_000);
}

/** What must hold of every state, whatever was asked of it. */
function checkInvariants(state: LabState): void {
  const owners = new Map<string, number>();
  for (const [id, guest] of Object.entries(state.guests)) {
    assert.equal(String(guest.vmid), id);
    for (const volid of referencedVolumes(guest)) {
      if (!/vm-|subvol-|base/.test(volid)) continue;
      assert.equal(owners.get(volid) ?? guest.vmid, guest.vmid, `${volid} has two owners`);
      owners.set(volid, guest.vmid);
      assert.ok(state.volumes[volid], `guest ${id} refers to ${volid}, which does not exist`);
    }
    if (guest.run.status === "stopped") assert.equal(guest.run.boot, undefined);
  }
  for (const volume of Object.values(state.volumes)) {
    if (volume.vmid !== undefined)
      assert.equal(owners.get(volume.volid), volume.vmid, `${volume.volid} belongs to nobody`);
  }
  assert.ok(memoryInUseMiB(state, 2_000_000_000_000) <= state.node.memoryMiB);
  const holders = [...pciHolders(state).values()];
  assert.ok(new Set(holders).size <= 1, "one GPU, one holder");
  assert.equal(new Set(state.tasks.map((t) => t.upid)).size, state.tasks.length, "task ids are unique");
}

const vmid = fc.constantFrom("100", "101", "102", "900");
const step = fc.oneof(
  fc.record({
    op: fc.constant("create"),
    vmid,
    disk: fc.constantFrom("local-zfs:4", "local-zfs:cloudinit,media=cdrom", "none,media=cdrom", "nowhere:4"),
    memory: fc.constantFrom("1024", "65536", "130000"),
    gpu: fc.boolean(),
  }),
  fc.record({
    op: fc.constantFrom(
      "start",
      "stop",
      "reboot",
      "destroy",
      "template",
      "snapshot",
      "rollback",
      "delsnapshot",
      "detach",
      "purge",
      "attach",
      "resize",
      "protect",
      "unprotect",
    ),
    vmid,
  }),
  fc.record({ op: fc.constant("clone"), vmid, newid: vmid }),
  fc.record({ op: fc.constantFrom("tick", "crash") }),
);

type Step = { op: string; vmid?: string; newid?: string; disk?: string; memory?: string; gpu?: boolean };

function toRequest({
  op,
  vmid: id = "100",
  newid = "101",
  disk = "",
  memory = "512",
  gpu = false,
}: Step): [string, string, Record<string, string>] {
  const at = `/nodes/pve/qemu/${id}`;
  switch (op) {
    case "create":
      return [
        "POST",
        "/nodes/pve/qemu",
        { vmid: id, scsi0: disk, memory, ...(gpu ? { hostpci0: "mapping=gpu" } : {}) },
      ];
    case "destroy":
      return ["DELETE", at, {}];
    case "template":
      return ["POST", `${at}/template`, {}];
    case "snapshot":
      return ["POST", `${at}/snapshot`, { snapname: "snap" }];
    case "rollback":
      return ["POST", `${at}/snapshot/snap/rollback`, {}];
    case "delsnapshot":
      return ["DELETE", `${at}/snapshot/snap`, {}];
    case "detach":
      return ["PUT", `${at}/config`, { delete: "scsi0" }];
    case "purge":
      return ["PUT", `${at}/config`, { delete: "unused0" }];
    case "attach":
      return ["PUT", `${at}/config`, { scsi1: "local-zfs:2" }];
    case "resize":
      return ["PUT", `${at}/resize`, { disk: "scsi0", size: "+1G" }];
    case "protect":
      return ["PUT", `${at}/config`, { protection: "1" }];
    case "unprotect":
      return ["PUT", `${at}/config`, { protection: "0" }];
    case "clone":
      return ["POST", `${at}/clone`, { newid, full: "1" }];
    default:
      return ["POST", `${at}/status/${op}`, {}];
  }
}

describe("simulated Proxmox: model", () => {
  it("never corrupts its state, whatever is asked in whatever order, killed or not", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let state = fixture();
        state.mappings.pci["gpu"] = { id: "gpu", type: "pci", map: ["node=pve,path=0000:01:00.0,id=10de:2204"] };
        let nowMs = 1_000_000_000_000;
        for (const entry of steps) {
          nowMs += 3;
          const before = JSON.stringify(state);
          const held = state;
          if (entry.op === "tick") state = finishDue(state, environment((nowMs += 1000)), () => false).state;
          else if (entry.op === "crash") state = recover(state, nowMs).state;
          else {
            const [method, path, params] = toRequest(entry);
            const done = apply(
              router,
              state,
              { method, path, params, rootSocket: true },
              () => ROOT,
              environment(nowMs),
            );
            if (done.response.status !== 200)
              assert.equal(JSON.stringify(done.state), before, "a refused request changes nothing");
            state = done.state;
          }
          assert.equal(JSON.stringify(held), before, "the state given is never changed");
          checkInvariants(state);
        }
        state = finishDue(recover(state, nowMs).state, environment(nowMs + 100_000), () => false).state;
        for (const guest of Object.values(state.guests)) assert.equal(guest.config["lock"], undefined);
      }),
      { numRuns: 150 },
    );
  });

  it("names a source for every route, and serves none twice", () => {
    const table = routeSources();
    assert.ok(table.length > 150);
    for (const row of table) assert.match(row.source, /\.pm\b|bpg v\d+\.\d+\.\d+/, `${row.method} ${row.path}`);
    assert.equal(new Set(table.map((r) => `${r.method} ${r.path}`)).size, table.length);
    const unsourced = createRouter([{ method: "GET", path: "/x", params: "", source: "", handle: () => 1 }]);
    const answer = apply(
      unsourced,
      fixture(),
      { method: "GET", path: "/x", params: {}, rootSocket: false },
      () => ROOT,
      environment(1),
    );
    assert.equal(answer.response.status, 501);
  });
});

describe("conformance with Proxmox's API document", () => {
  const document = {
    paths: {
      "/nodes/{node}/qemu": {
        post: {
          requestBody: { content: { "application/json": { schema: { properties: { vmid: {}, "net[n]": {} } } } } },
        },
        get: { parameters: [{ name: "full" }] },
      },
    },
  };

  it("passes what the document has and names what it has not", () => {
    const good = parseTraffic(
      '{"method":"POST","path":"/nodes/pve/qemu","params":["vmid","net3"]}\n{"method":"GET","path":"/nodes/pve/qemu/","params":["full"]}\n{"method":"GE',
    );
    assert.deepEqual(checkConformance(good, document, []), { requests: 2, unknownPaths: [], unknownParameters: [] });
    const bad = parseTraffic(
      '{"method":"POST","path":"/nodes/pve/qemu","params":["vmid","colour","nett3"]}\n{"method":"PUT","path":"/nodes/pve/qemu","params":[]}\n{"method":"GET","path":"/nope","params":[]}',
    );
    const report = checkConformance(bad, document, []);
    assert.deepEqual(report.unknownPaths, ["GET /nope", "PUT /nodes/pve/qemu"]);
    assert.deepEqual(report.unknownParameters, ["POST /nodes/{node}/qemu: colour", "POST /nodes/{node}/qemu: nett3"]);
  });

  it("finds every served route in the real document, where that is at hand", function () {
    const file =
      process.env["HIVE_PVE_OPENAPI"] ??
      new URL("../../../shared/data/proxmox/pve-openapi.json", import.meta.url).pathname;
    if (!existsSync(file)) skip(this, `${file} is not here: it is AGPL and no part of this project`);
    const real: unknown = JSON.parse(readFileSync(file, "utf8"));
    const traffic = pveRoutes.map((r) => ({ method: r.method, path: r.path.replace(/\{(\w+)\}/g, "x"), params: [] }));
    const { unknownPaths } = checkConformance(traffic, real);
    // The document is of 8.0 and stops short of these; each was read in Proxmox's source.
    const known =
      /firewall\/(groups\/x\/x|ipset\/x\/x)|\/agent\/|\/snapshot|\/disks\/zfs|\/ha\/|\/token|\/status\/|\/hardware\/|\/capabilities|\/apt\/|\/sdn\/|\/mapping\/|\/pools|\/lxc\/x\/(interfaces|pending|template)|\/tasks\/x/;
    assert.deepEqual(
      unknownPaths.filter((p) => !known.test(p)),
      [],
    );
  });
});
