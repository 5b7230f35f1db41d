import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { keeperPrivileges } from "../../components/shared/privileges.ts";
import type { RunningProxmox } from "../../lab/proxmox/index.ts";
import { listenForHost } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { renderFindings, runChecks } from "../../runtime-agent/src/shared/doctor/doctor.ts";
import { machineChecks } from "../../runtime-agent/src/shared/doctor/checks.ts";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/index.ts";
import { lab, record, type LabClient } from "../support/lab-client.ts";

const key = "0123456789abcdef".repeat(4);
const strangeKey = "fedcba9876543210".repeat(4);

describe("Keeper, host side: its health", function () {
  this.timeout(60_000);
  let pve: RunningProxmox;
  let client: LabClient;
  let folder: string;
  let child: ChildProcess | undefined;

  before(async () => {
    ({ pve, client } = await lab({ bootDelayMs: 5 }));
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hive-health-"));
    await writeFile(join(folder, "psk"), key, { mode: 0o600 });
  });
  afterEach(async () => {
    child?.kill("SIGKILL");
    await rm(folder, { recursive: true });
  });
  after(() => pve.close());

  async function start(
    token: string,
    url = pve.url,
    link = "127.0.0.1:9",
    guests: readonly object[] = [],
  ): Promise<void> {
    await writeFile(join(folder, "token"), token, { mode: 0o600 });
    const { fingerprint256: fingerprint } = new X509Certificate(await readFile(pve.caCertFile));
    const paths = { state: join(folder, "state"), runtime: join(folder, "run"), log: join(folder, "log") };
    const host = {
      proxmox: { url, tokenFile: join(folder, "token"), fingerprint, node: "pve" },
      guests,
      link: { connect: link, vmid: 100, pskFile: join(folder, "psk") },
      observeSec: 1,
    };
    await writeFile(join(folder, "config.json"), JSON.stringify({ version: 1, side: "host", paths, host }));
    const args = [join(import.meta.dirname, "hostChild.ts"), join(folder, "config.json")];
    child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  }
  async function call(path: string) {
    const token = (await readFile(join(folder, "run/api.token"), "utf8")).trim();
    const { status, text } = await callLocalApi({ socket: join(folder, "run/api.sock"), token, path });
    return { status, data: record(JSON.parse(text)) };
  }
  async function until(is: (status: Readonly<Record<string, unknown>>) => boolean): Promise<unknown> {
    let last: unknown;
    for (const end = performance.now() + 20_000; performance.now() < end; await sleep(25)) {
      const answer = await call("/status").catch(() => undefined);
      last = answer?.data;
      if (answer !== undefined && is(answer.data)) return answer.data["unhealthy"];
    }
    assert.fail(`never: ${JSON.stringify(last)}`);
  }
  const doctor = async (): Promise<string> =>
    renderFindings(await runChecks(await machineChecks([join(folder, "config.json")])));
  const good = async (): Promise<string> => (await readFile(pve.tokenFile, "utf8")).trim();

  it("is not well with a token that Proxmox refuses, and says so on both routes", async () => {
    await start((await good()).replace(/=.*/, "=00000000-0000-4000-8000-000000000000"));
    const reasons = await until(({ proxmox }) => String(proxmox).includes("401"));
    assert.match(String(reasons), /^Proxmox refuses the token: .*401/);
    const { status, data } = await call("/health");
    assert.deepEqual([status, data["healthy"], data["unhealthy"]], [503, false, reasons]);
  });

  it("is not well with a token that may not see its guests, names what is missing, and is when it gets it", async () => {
    const asRoot = { root: true };
    const given = (privileges: readonly string[]) =>
      client.call("PUT", "/access/roles/Keeper", { privs: privileges.join(" ") }, asRoot);
    await client.call("POST", "/access/roles", { roleid: "Keeper", privs: "" }, asRoot);
    await client.call("POST", "/access/users", { userid: "keeper@pve" }, asRoot);
    const made = await client.call("POST", "/access/users/keeper@pve/token/host", { privsep: 1 }, asRoot);
    const who = { path: "/", roles: "Keeper" };
    await client.call("PUT", "/access/acl", { ...who, users: "keeper@pve" }, asRoot);
    await client.call("PUT", "/access/acl", { ...who, tokens: "keeper@pve!host" }, asRoot);
    await client.run("POST", "/nodes/pve/qemu", { vmid: 101, memory: 512 }, asRoot);
    const token = `keeper@pve!host=${String(record(made.data)["value"])}`;

    // The lists are empty then, and no call is refused.
    await start(token, pve.url, "127.0.0.1:9", [{ vmid: 101, role: "ai", priority: 1 }]);
    const reasons = await until(
      ({ proxmox, guests }) => String(proxmox).includes("lacks") && Array.isArray(guests) && guests.length === 0,
    );
    const all = keeperPrivileges.filter((privilege) => privilege.startsWith("VM."));
    assert.deepEqual(reasons, [`keeper@pve!host lacks ${all.join(", ")} on /vms/101`]);
    assert.equal((await call("/health")).status, 503);
    assert.match(
      await doctor(),
      /^FAIL {2}Proxmox rights.*VM\.PowerMgmt on \/vms\/101\n.*pveum role modify Keeper --append/m,
    );
    child?.kill("SIGKILL");

    await given(all.filter((privilege) => privilege !== "VM.PowerMgmt"));
    await start(token, pve.url, "127.0.0.1:9", [{ vmid: 101, role: "ai", priority: 1 }]);
    assert.deepEqual(await until(({ proxmox }) => String(proxmox).includes("lacks")), [
      "keeper@pve!host lacks VM.PowerMgmt on /vms/101",
    ]);
    child?.kill("SIGKILL");

    await given(keeperPrivileges);
    await start(token, pve.url, "127.0.0.1:9", [{ vmid: 101, role: "ai", priority: 1 }]);
    assert.deepEqual(await until(({ proxmox }) => proxmox === "up"), []);
    assert.match(await doctor(), /^ok {4}Proxmox rights .*what it needs/m);
    // Taken away while it runs: seen by the list that is short at once.
    await given([]);
    assert.match(String(await until(({ healthy }) => healthy === false)), /lacks VM\.Audit, .* on \/vms\/101/);
  });

  it("is not well while Proxmox has never answered", async () => {
    await start(await good(), "https://127.0.0.1:9");
    assert.match(
      String(await until(({ proxmox }) => String(proxmox).includes("ECONNREFUSED"))),
      /has not answered since the start: .*ECONNREFUSED/,
    );
  });

  it("is well without an arbiter, and with one of another key, which it tells", async () => {
    await start(await good());
    assert.deepEqual(await until(({ healthy, arbiter }) => healthy === true && arbiter === "silent"), []);
    child?.kill("SIGKILL");
    const arbiter = await listenForHost({
      listen: { host: "127.0.0.1", port: 0 },
      ...{
        key: Buffer.from(strangeKey, "hex"),
        clock: realClock(),
        onHandoffRequest: () => undefined,
        onTakeBack: () => undefined,
      },
    });
    try {
      await start(await good(), pve.url, `127.0.0.1:${String(arbiter.port)}`);
      const told = ({ link }: Readonly<Record<string, unknown>>): boolean =>
        String(record(link)["fault"]).includes("another key of the link");
      assert.deepEqual(await until((status) => status["healthy"] === true && told(status)), []);
      assert.equal((await call("/health")).status, 200);
    } finally {
      await arbiter.close();
    }
  });
});
