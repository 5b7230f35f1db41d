/**
 * A Proxmox VE host without hardware: the API of one node, its state on disk, nothing else.
 *
 * ```ts
 * const pve = await startProxmox({ stateDir: "/tmp/lab", fixture: "fresh", taskDelayMs: 50 });
 * pve.url;        // https://127.0.0.1:PORT   (API below /api2/json; certificate in pve.caCertFile)
 * pve.tokenFile;  // 0600, one line: hive@pve!pulumi=<uuid>   (PVEAPIToken, role "Hive" on /)
 * pve.rootSocket; // 0600 unix socket, the same API as root@pam: what `qm` and `pvesh` on the host use
 * await pve.close();
 * ```
 * As a program: `node lab/proxmox/main.ts --state-dir DIR [--fixture fresh|occupied] [--port N] [--task-delay-ms N]`
 * prints one JSON line with the same fields when it is ready.
 *
 * In the state folder: `state.json` (the whole model, replaced atomically before a reply is sent), `token`,
 * `root-password` (both 0600), `ca.pem`, `key.pem`, `root.sock`, `events.jsonl`, `firewall.jsonl`, `traffic.jsonl` (with `recordTraffic`),
 * and `roots/host/`, the root folder of the host's files: what lies under a directory storage there (for instance
 * `roots/host/var/lib/vz/snippets/x.yaml`) is content of that storage. A killed server recovers on the next start: tasks that
 * ran end as "unexpected status", what they had reserved or locked is released.
 *
 * Only on the root socket: `GET /lab/state`, `GET /lab/events?since=N` (a list of {n, at, kind, user, detail, message}), `GET|POST|DELETE /lab/faults` (form fields
 * kind=500|timeout|drop|slow|slow-task|full-storage, method, path=<regex>, times, after, delayMs, phase=before|after,
 * storage). Routes without a source answer 501. The table of sources is `routeSources()` in sources.ts.
 *
 * The guest agent answers `bootDelayMs` after a start when `agent` is enabled and a cloud-init drive is attached. Guests
 * hold the whole of their memory; a start that does not fit fails. One running guest holds a PCI device.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { recover } from "./core/engine.ts";
import { createRouter } from "./core/router.ts";
import { buildFixture, type FixtureName, TOKEN_NAME, TOKEN_USER } from "./fixtures/index.ts";
import { pveRoutes } from "./routes.ts";
import { certificate } from "./shell/certificate.ts";
import { createFaults } from "./shell/faults.ts";
import { createJournal } from "./shell/journal.ts";
import { labRoutes } from "./shell/lab-routes.ts";
import { createShell } from "./shell/server.ts";
import { openStore, writeFileAtomic } from "./shell/store.ts";

export type { FixtureName } from "./fixtures/index.ts";

export interface ProxmoxOptions {
  /** Everything the lab keeps; made with mode 0700 when it does not exist. */
  readonly stateDir: string;
  /** What a new state starts as; ignored when the folder already holds one. @default "fresh" */
  readonly fixture?: FixtureName;
  /** TCP port on 127.0.0.1; 0 picks a free one. @default 0 */
  readonly port?: number;
  /** How long a task takes, in milliseconds. @default 50 */
  readonly taskDelayMs?: number;
  /** From start to an answering guest agent, in milliseconds. @default 2 × taskDelayMs */
  readonly bootDelayMs?: number;
  /** Write method, path, parameter names and status of every request to `traffic.jsonl`. @default false */
  readonly recordTraffic?: boolean;
  /** Root folder of the host's files. @default `<stateDir>/roots/host` */
  readonly hostRoot?: string;
}

export interface RunningProxmox {
  readonly url: string;
  readonly port: number;
  readonly caCertFile: string;
  readonly tokenFile: string;
  readonly rootPasswordFile: string;
  readonly rootSocket: string;
  readonly hostRoot: string;
  close(): Promise<void>;
}

/**
 * Starts the server on 127.0.0.1.
 * @throws when the port is taken or the state folder holds a state of another version.
 */
export async function startProxmox(options: ProxmoxOptions): Promise<RunningProxmox> {
  const { stateDir } = options;
  const hostRoot = options.hostRoot ?? join(stateDir, "roots", "host");
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  for (const directory of ["snippets", "template/iso", "template/cache", "dump", "images", "import"]) {
    mkdirSync(join(hostRoot, "var/lib/vz", directory), { recursive: true, mode: 0o700 });
  }
  const store = openStore(stateDir);
  const tokenFile = join(stateDir, "token");
  const rootPasswordFile = join(stateDir, "root-password");
  let state = store.load();
  if (!state) {
    const secrets = {
      tokenSecret: readSecret(tokenFile)?.split("=")[1] ?? randomUUID(),
      rootPassword: readSecret(rootPasswordFile) ?? randomBytes(18).toString("base64url"),
      ticketKey: randomBytes(32).toString("hex"),
    };
    // Secrets first: a state whose token nobody knows would be of no use.
    writeFileAtomic(tokenFile, `${TOKEN_USER}!${TOKEN_NAME}=${secrets.tokenSecret}\n`);
    writeFileAtomic(rootPasswordFile, `${secrets.rootPassword}\n`);
    state = buildFixture(options.fixture ?? "fresh", secrets, Date.now());
    store.save(state);
  }
  const journal = createJournal(stateDir, { traffic: options.recordTraffic ?? false });
  const recovered = recover(state, Date.now());
  if (recovered.events.length > 0) store.save(recovered.state);
  journal.record(recovered.events);
  journal.firewall(recovered.state.firewall);
  const faults = createFaults();
  const taskDelayMs = options.taskDelayMs ?? 50;
  const shell = createShell(recovered.state, {
    store,
    journal,
    faults,
    hostRoot,
    router: createRouter([...pveRoutes, ...labRoutes(faults, journal)]),
    taskDelayMs,
    bootDelayMs: options.bootDelayMs ?? taskDelayMs * 2,
  });
  const made = await certificate(stateDir);
  const rootSocket = join(stateDir, "root.sock");
  const { port } = await shell.listen(options.port ?? 0, made, rootSocket);
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    caCertFile: made.certFile,
    tokenFile,
    rootPasswordFile,
    rootSocket,
    hostRoot,
    close: () => shell.close(),
  };
}

function readSecret(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}
