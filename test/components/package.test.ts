import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const tsc = join(root, "node_modules/typescript/bin/tsc");

const program = `import * as pulumi from "@pulumi/pulumi";
import { planPinning, ProxmoxGuest, smtTopology } from "pulumi-hive";

const names: string[] = [];
await pulumi.runtime.setMocks({
  newResource: (args) => {
    names.push(args.name);
    return { id: args.name, state: args.inputs };
  },
  call: (args) => args.inputs,
});
const guest = new ProxmoxGuest("scraper", {
  vmId: 310,
  hostname: "scraper",
  kind: "container",
  os: "alpine",
  role: "worker",
  nodeName: "pve",
  nics: [{ bridge: "vmbr0", mtu: 1500, mac: "02:60:de:00:01:36", cidr: "192.168.1.60/24" }],
  storageId: "local-zfs",
  image: "local:vztmpl/alpine.tar.xz",
  admin: { user: "hive", publicKeys: [] },
  dns: { domain: "hive.internal", servers: [] },
});
const vmId: pulumi.Output<number> = guest.vmId;
const topology = smtTopology({ sockets: 1, coresPerSocket: 4, threadsPerCore: 2 });
const plan = planPinning({ topology, machines: [], reservedCores: 1 });
await pulumi.runtime.disconnect();
vmId.apply((id) => console.log(JSON.stringify({ id, names: names.sort(), planned: plan.ok })));
`;

describe("the package", function () {
  this.timeout(120_000);
  let folder = "";

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hive-package-"));
    const installed = join(folder, "node_modules/pulumi-hive");
    mkdirSync(installed, { recursive: true });
    execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", join(installed, "dist")], {
      cwd: root,
    });
    cpSync(join(root, "package.json"), join(installed, "package.json"));
    for (const name of readdirSync(join(root, "node_modules"))) {
      if (!name.startsWith(".")) symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
    }
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(folder, "program.ts"), program);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const check = (file: string) => {
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2024", "--skipLibCheck"];
    return spawnSync(process.execPath, [tsc, ...options, file], { cwd: folder, encoding: "utf8" });
  };

  it("type-checks in somebody else's program, under that program's own compiler settings", () => {
    const { status, stdout } = check("program.ts");
    assert.equal(status, 0, stdout);
  });

  it("lets the compiler see a wrong argument there", () => {
    writeFileSync(join(folder, "wrong.ts"), program.replace("vmId: 310", 'vmId: "310"'));
    assert.match(check("wrong.ts").stdout, /Type 'string' is not assignable to type 'number'/);
  });

  it("runs there as plain JavaScript", () => {
    const text = execFileSync(process.execPath, ["program.ts"], { cwd: folder, encoding: "utf8", timeout: 60_000 });
    assert.deepEqual(JSON.parse(text), {
      id: 310,
      names: ["scraper", "scraper-container", "scraper-firewall", "scraper-rules"],
      planned: true,
    });
  });
});
