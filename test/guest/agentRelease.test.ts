// The release as it ships, on a real systemd: installed by the component's own scripts, used by a person's service that
// is not root, killed, reloaded, removed.
import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { planAgent } from "../../components/shared/agent/agentPlan.ts";
import {
  asRoot,
  renderInstallStep,
  renderPrepareStep,
  secretLines,
  uploadFile,
} from "../../components/shared/agent/installScripts.ts";
import { writeTarball } from "../../runtime-agent/build/tarball.ts";
import { adminUser, type Guest, type Ran } from "../support/guest.ts";
import { openGuest, type GuestScene } from "../support/guestScene.ts";
import { isRecord } from "../support/records.ts";

const context = { role: "keeper", side: "arbiter", owner: "hive/genesis", healthSec: 30, steadySec: 0 } as const;
const evaToken = "a-token-of-eva-".padEnd(40, "0");
const secretNames = ["eva-token"];
const unit = "hive-agent-keeper.service";

/** EVA's own unit: not running, and not root's. */
const evaUnit = `[Service]
User=${adminUser}
ExecStart=/bin/sleep infinity
`;

/** A call to the socket with the release's own Node: `METHOD PATH TOKEN`; prints status and body. */
const caller = `const [method, path, token] = process.argv.slice(2);
const request = require("node:http").request(
  { socketPath: "/run/hive-agent/keeper/api.sock", method, path, headers: { authorization: "Bearer " + token } },
  (answer) => {
    let text = "";
    answer.on("data", (part) => (text += part)).on("end", () => console.log(JSON.stringify([answer.statusCode, JSON.parse(text)])));
  },
);
request.on("error", (error) => console.log(JSON.stringify([0, { error: error.code }])));
request.end(method === "POST" ? JSON.stringify({ id: "person-speaks" }) : undefined);
`;

describe("the agent's release on a real systemd", function () {
  this.timeout(120_000);
  let folder = "";
  let guest: Guest;
  let scene: GuestScene;

  before(async function () {
    scene = await openGuest(this, "agent-release");
    ({ guest, folder } = scene);
  });
  after(async () => {
    await scene?.close();
  });

  const inside = (path: string): string => join(guest.root, path);
  const byAdmin = async (script: string, stdin = ""): Promise<Ran> => {
    const ran = await guest.ssh(asRoot(adminUser, script), { stdin, user: adminUser });
    assert.equal(ran.status, 0, ran.stderr);
    return ran;
  };
  const byRoot = async (command: string): Promise<string> => (await guest.ssh(command)).stdout.trim();
  const pid = (): Promise<string> => byRoot(`systemctl show --property=MainPID --value ${unit}`);
  /** A call as the login user, who is not root. */
  const call = async (
    method: string,
    path: string,
    token: string,
  ): Promise<readonly [number, Record<string, unknown>]> => {
    const ran = await guest.ssh(`/opt/hive-agent/current/lib/node /usr/local/caller.cjs ${method} ${path} ${token}`, {
      user: adminUser,
    });
    assert.equal(ran.status, 0, ran.stderr);
    const answer: unknown = JSON.parse(ran.stdout);
    assert.ok(Array.isArray(answer) && typeof answer[0] === "number" && isRecord(answer[1]), ran.stdout + ran.stderr);
    return [answer[0], answer[1]];
  };
  async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
    for (let n = 0; n < 100; n += 1) {
      if (await holds()) return;
      await sleep(100);
    }
    assert.fail(`never: ${what}\n${await byRoot(`journalctl --unit=${unit} --no-pager --output=cat | tail -40`)}`);
  }

  it("installs, serves a service that is not root, comes back with its state, and leaves nothing", async () => {
    const built = await writeTarball(folder, 1);
    const release = { version: built.version, sha256: built.sha256 };
    const tokenFile = `/etc/hive-agent/secrets/${secretNames[0] ?? ""}`;
    const planned = planAgent({
      ...{ side: "arbiter", release, secretNames, allow: [], healthSec: 60 },
      config: {
        ...{ version: 1, side: "arbiter" },
        arbiter: {
          services: [
            {
              ...{ name: "eva", rank: 2, kind: "interactive", vram: "8 GB", leaseSec: 60, tokenFile },
              ...{ unit: "eva.service", start: ["systemctl", "start", "eva.service"], rungs: ["freeze", "term"] },
            },
          ],
        },
      },
    });
    assert.ok(planned.ok, JSON.stringify(planned));
    const prepare = renderPrepareStep(context, { login: adminUser, secretNames });
    const install = renderInstallStep(context, { release, secretNames, ...planned.value });
    writeFileSync(inside("etc/systemd/system/eva.service"), evaUnit);
    writeFileSync(inside("usr/local/caller.cjs"), caller);
    await byAdmin(prepare.create, secretLines({ "eva-token": evaToken }));
    copyFileSync(built.file, inside(uploadFile(release)));
    await byAdmin(install.create);

    // Whoever is on the machine reaches the socket, and gets nowhere without a token.
    assert.equal((await call("POST", "/v1/leases?wait=1", "x".repeat(40)))[0], 401);
    assert.equal((await call("GET", "/status", evaToken))[0], 403);
    const [status, lease] = await call("POST", "/v1/leases?wait=20", evaToken);
    assert.deepEqual([status, lease["state"], lease["service"]], [200, "held", "eva"], JSON.stringify(lease));
    // Started by the Keeper, outside its fence, before the grant.
    assert.equal(await byRoot("systemctl is-active eva.service"), "active");

    // What the fence has to leave for a freeze in milliseconds (hurry.ts): CAP_SYS_NICE is 23.
    const first = await pid();
    const bits = await byRoot(`awk '/^CapEff/ {print $2}' /proc/${first}/status`);
    assert.equal((BigInt(`0x${bits}`) >> 23n) & 1n, 1n);

    await byRoot(`systemctl kill --kill-whom=main --signal=KILL ${unit}`);
    await until(async () => !["0", first].includes(await pid()), "systemd starts it again");
    const look = (): Promise<readonly [number, Record<string, unknown>]> =>
      call("GET", "/v1/leases/person-speaks", evaToken);
    await until(async () => (await look())[0] === 200, "it answers again");
    const again = (await look())[1];
    assert.deepEqual([again["state"], again["token"]], ["held", lease["token"]]);

    const second = await pid();
    assert.equal((await guest.ssh(`systemctl reload ${unit}`)).status, 0);
    await until(
      async () => (await byRoot(`journalctl --unit=${unit} --no-pager --output=cat`)).includes("is in force"),
      "the configuration is read anew",
    );
    assert.equal(await pid(), second);

    for (const step of [install, prepare]) await byAdmin(step.delete);
    const places = "/opt /etc /var/lib /run /var/log /var/cache";
    const left = await byRoot(
      `find ${places} -path '*hive-agent*' -prune -print; systemctl list-units --no-legend 'hive-agent*'; systemctl list-unit-files --no-legend 'hive-agent*'; pgrep -af hive-agent`,
    );
    assert.equal(left, "");
    // What it started is not its own to end.
    assert.equal(await byRoot("systemctl is-active eva.service"), "active");
  });
});
