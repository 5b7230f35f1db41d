import assert from "node:assert/strict";
import { request } from "node:http";
import fc from "fast-check";
import { startPage } from "../../lab/page/server.ts";
import type { RunningPage } from "../../lab/page/server.ts";
import { cpuList, labView } from "../../lab/page/view.ts";
import type { LabAnswers } from "../../lab/page/view.ts";

const empty: LabAnswers = {
  ...{ nodeName: "pve", version: {}, nodeStatus: {}, resources: [], configs: new Map(), network: [], storages: [] },
  ...{ pciMappings: [], usbMappings: [], tasks: [], events: [], sshPorts: new Map() },
  keeper: { why: "none", status: undefined, timeZone: "", evening: undefined },
};

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = "GET",
): Promise<{ status: number; body: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
        if (path === "/events" && body.includes("\n\n")) call.destroy();
      });
      response.on("close", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
    });
    call.on("error", reject);
    call.end();
  });
}

describe("lab page", function () {
  this.timeout(20_000);
  let page: RunningPage;
  let token: string;
  before(async () => {
    page = await startPage({ port: 0, view: () => Promise.resolve(labView(empty)) });
    token = new URL(page.url).searchParams.get("token") ?? "";
  });
  after(() => page.close());

  it("shows nothing without this start's token", async () => {
    for (const path of [
      "/",
      "/page.js",
      "/view.json",
      "/events",
      "/?token=",
      `/?token=${token.slice(1)}`,
      `/?token=${token}x`,
    ]) {
      assert.equal((await get(page.port, path)).status, 401, path);
    }
    assert.equal((await get(page.port, "/view.json", { Cookie: `hive_lab_${page.port}=wrong` })).status, 401);
    const again = await startPage({ port: 0, view: () => Promise.resolve(labView(empty)) });
    assert.equal((await get(again.port, `/?token=${token}`)).status, 401);
    await again.close();
  });

  it("opens with the token, then by the cookie alone", async () => {
    const opened = await get(page.port, `/?token=${token}`);
    assert.equal(opened.status, 200);
    assert.match(opened.body, /<title>The Hive/);
    assert.match(String(opened.headers["content-security-policy"]), /default-src 'none'/);
    const cookie = String(opened.headers["set-cookie"]);
    assert.match(cookie, /HttpOnly; SameSite=Strict/);
    const view = await get(page.port, "/view.json", { Cookie: cookie.split(";")[0] ?? "" });
    assert.equal(view.status, 200);
    const events = await get(page.port, "/events", { Cookie: cookie.split(";")[0] ?? "" });
    assert.match(events.body, /^data: \{"node"/);
  });

  it("refuses other host names, so that a web site cannot rebind its name to it", async () => {
    assert.equal((await get(page.port, `/?token=${token}`, { Host: "evil.example" })).status, 421);
    assert.equal((await get(page.port, `/?token=${token}`, {}, "POST")).status, 405);
  });

  it("references nothing outside itself", async () => {
    for (const path of ["/", "/page.js", "/draw.js", "/keeper.js", "/page.css"]) {
      const { status, body } = await get(page.port, path, { Authorization: `Bearer ${token}` });
      assert.equal(status, 200);
      assert.doesNotMatch(body.replaceAll("http://www.w3.org/2000/svg", ""), /https?:\/\/|innerHTML|\beval\b/, path);
    }
  });

  it("takes pins, addresses, NICs and device holders from the API's answers", () => {
    const config = {
      affinity: "2-3,18-19",
      net0: "virtio=AA,bridge=vmbr1,tag=20",
      ipconfig0: "ip=10.0.0.5/24,gw=10.0.0.1",
      hostpci0: "mapping=rtx3090,pcie=1",
    };
    const view = labView({
      ...empty,
      resources: [{ vmid: 100, type: "qemu", name: "brain", status: "running", maxcpu: 8, tags: "hive;ai" }],
      configs: new Map([[100, config]]),
      network: [
        { iface: "vmbr1", type: "bridge", mtu: "9000" },
        { iface: "eno1", type: "eth" },
      ],
      pciMappings: [{ id: "rtx3090", description: "RTX 3090" }],
    });
    assert.deepEqual(view.guests[0]?.pins, [2, 3, 18, 19]);
    assert.deepEqual(view.guests[0]?.addresses, ["10.0.0.5/24"]);
    assert.deepEqual(view.guests[0]?.tags, ["hive", "ai"]);
    assert.deepEqual(
      view.bridges.map((bridge) => [bridge.name, bridge.mtu, bridge.nics]),
      [["vmbr1", 9000, [{ vmid: 100, name: "brain", nic: "net0", vlan: 20 }]]],
    );
    assert.deepEqual(view.mappings[0]?.holders, [100]);
  });

  it("lets no secret of a guest's configuration through, whatever its name", () => {
    const canary = "canary-7f21";
    const keys = fc.constantFrom("cipassword", "sshkeys", "description", "args", "smbios1", "newsecret", "ciuser");
    fc.assert(
      fc.property(fc.dictionary(keys, fc.constant(canary)), (secrets) => {
        const view = labView({
          ...empty,
          resources: [{ vmid: 100, type: "qemu", name: "x", cipassword: canary }],
          configs: new Map([[100, secrets]]),
        });
        assert.doesNotMatch(JSON.stringify(view), new RegExp(canary));
      }),
    );
  });

  it("is total: any shape of answer gives a view", () => {
    const row = fc.dictionary(
      fc.constantFrom("vmid", "type", "name", "iface", "tags", "net0", "affinity", "id", "starttime"),
      fc.anything(),
    );
    fc.assert(
      fc.property(fc.array(row), fc.anything(), (rows, events) => {
        const typed = rows.map((entry) => ({ type: "qemu", vmid: 1, ...entry }));
        labView({
          ...empty,
          resources: typed,
          network: rows,
          storages: rows,
          pciMappings: rows,
          tasks: rows,
          events,
          configs: new Map([[1, rows[0] ?? {}]]),
        });
      }),
    );
    assert.deepEqual(cpuList("1,x,3-1,5-6"), [1, 5, 6]);
  });
});
