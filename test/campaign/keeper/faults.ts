/** The faults of the campaign. Each leaves its fault ended; what must then hold is judged by the arena. */
import { appendFile, readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { configureScene } from "../../support/arbiterScene.ts";
import type { Daemon } from "../../support/arbiterDaemon.ts";
import type { Arena } from "./arena.ts";

export type Random = () => number;

/** What a fault did, for the log of the campaign. */
export type Fault = (arena: Arena, random: Random) => Promise<string>;

const failpoints = [
  "arbiter.decided",
  "arbiter.recorded",
  "executor.before",
  "executor.after",
  "journal.before-write",
  "journal.before-fsync",
  "journal.after-fsync",
] as const;
const startPoints = ["recover.before-kernel", "recover.before-adopt", "journal.before-fsync"] as const;

export function pick<T>(list: readonly T[], random: Random): T {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

/** EVA comes and goes; ends when the daemon does. */
async function visits(arena: Arena, daemon: Daemon, count: number): Promise<void> {
  for (let visit = 0; visit < count && !daemon.over; visit += 1) {
    if (arena.known.held === undefined) await arena.ask(daemon, 2);
    else await arena.release(daemon);
  }
}

async function killed(daemon: Daemon): Promise<void> {
  daemon.signal("SIGKILL");
  await daemon.ended;
}

/** In which state EVA is when it happens: she may hold the GPU, or not. */
async function maybeHeld(arena: Arena, daemon: Daemon, random: Random): Promise<void> {
  if (random() < 0.5) await arena.ask(daemon);
}

/** After a kill with a call under way EVA asks again under the same id: whatever was granted must be hers. */
function forget(arena: Arena, daemonSaid: string): string {
  return arena.known.held === undefined ? daemonSaid : `${daemonSaid}, held`;
}

const killAtFailpoint: Fault = async (arena, random) => {
  if (arena.daemon !== undefined && !arena.daemon.over) await killed(arena.daemon);
  const point = `${pick(failpoints, random)}=kill:${String(1 + Math.floor(random() * 8))}`;
  const daemon = await arena.start(point, false);
  await Promise.race([daemon.answers(), daemon.ended]).catch(() => undefined);
  if (!daemon.over) await visits(arena, daemon, 6);
  await killed(daemon);
  return forget(arena, `SIGKILL at ${point}`);
};

const killAtStart: Fault = async (arena, random) => {
  const before = await arena.running();
  await maybeHeld(arena, before, random);
  await killed(before);
  const point = `${pick(startPoints, random)}=kill`;
  const daemon = await arena.start(point, false);
  await Promise.race([daemon.ended, sleep(3_000)]);
  await killed(daemon);
  return forget(arena, `SIGKILL in the start, at ${point}`);
};

const killAnywhere: Fault = async (arena, random) => {
  const daemon = await arena.running();
  const afterMs = Math.floor(random() * 60);
  const visiting = visits(arena, daemon, 40);
  await sleep(afterMs);
  await killed(daemon);
  await visiting;
  return forget(arena, `SIGKILL after ${String(afterMs)} ms of visits`);
};

const tornJournal: Fault = async (arena, random) => {
  const daemon = await arena.running();
  await maybeHeld(arena, daemon, random);
  await killed(daemon);
  const folder = join(arena.disk, "journal");
  const last = (await readdir(folder)).toSorted().at(-1) ?? "";
  const torn = pick(["00000000 {", "0123", '{"half":', "\u0000\u0000\u0000", "ffffffff {}\nffffffff "], random);
  await appendFile(join(folder, last), torn);
  return forget(arena, `a journal that ends in ${JSON.stringify(torn)}`);
};

const hungDriver: Fault = async (arena, random) => {
  const daemon = await arena.running();
  await maybeHeld(arena, daemon, random);
  const held = arena.known.held !== undefined;
  await arena.gpu.set({ hang: ["all"] });
  try {
    await daemon.until(({ gpu }) => gpu.kind === "unknown", "the card is unknown");
    if (held) await arena.ask(daemon, 1);
    else if ((await arena.ask(daemon, 0.1))?.state === "held") throw new Error("granted with an unknown card");
    if (random() < 0.3) await killed(daemon);
  } finally {
    await arena.gpu.set({ hang: [] });
  }
  return forget(arena, "a driver that hangs");
};

const fullDisk: Fault = async (arena, random) => {
  const daemon = await arena.running();
  await maybeHeld(arena, daemon, random);
  const { held } = arena.known;
  const filler = join(arena.disk, "filler");
  await writeFile(filler, Buffer.alloc(64 * 1024 * 1024)).catch(() => undefined);
  try {
    // What still fits into the journal's last page is written, and may be granted.
    if (held === undefined) {
      const answer = await arena.ask(daemon, 0.2);
      // On a slow machine the grant may come after her short wait: then it must be there, else the status says why.
      if (answer?.state !== "held") {
        const isTold = ({ journalFault, holder }: Awaited<ReturnType<Daemon["status"]>>): boolean =>
          journalFault !== null || holder?.service === "eva";
        await daemon.until(isTold, "the status says why, or it is granted after her wait");
      }
    } else if ((await daemon.renew(held.lease)).state !== "held") throw new Error("a full disk took a grant away");
    if (random() < 0.3) await killed(daemon);
  } finally {
    await rm(filler, { force: true });
  }
  return forget(arena, "a full disk");
};

const clockJump: Fault = async (arena, random) => {
  const daemon = await arena.running();
  await maybeHeld(arena, daemon, random);
  const hours = random() < 0.5 ? 1 : -1;
  await arena.jump(hours * 3_600_000);
  if (arena.known.held === undefined) await arena.ask(daemon);
  else if ((await daemon.renew(arena.known.held.lease)).state !== "held") throw new Error("a jump ended a lease");
  if (random() < 0.3) await killed(daemon);
  await arena.jump(0);
  return forget(arena, `the clock jumps by ${String(hours)} h`);
};

/** Many connections at once, each saying nothing, half a request, or nonsense. */
const flood: Fault = async (arena, random) => {
  const daemon = await arena.running();
  await maybeHeld(arena, daemon, random);
  const words = [
    "",
    "GET /status HTTP/1.1\r\nhost: a\r\n",
    "\u0000\u00ff\u0013",
    "POST /v1/leases HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
    "A".repeat(20_000),
  ];
  const sockets = Array.from({ length: 300 }, () => {
    const socket = connect(join(arena.site.folder, "run", "api.sock"));
    socket.on("error", () => undefined);
    const word = pick(words, random);
    if (word !== "") socket.write(word, "latin1");
    return socket;
  });
  await sleep(50 + random() * 150);
  for (const socket of sockets) socket.destroy();
  if (daemon.over) throw new Error("a flood ended the arbiter");
  return forget(arena, "300 connections at once");
};

const malformed: Fault = async (arena, random) => {
  const daemon = await arena.running();
  await maybeHeld(arena, daemon, random);
  const bodies: readonly unknown[] = [
    null,
    [],
    7,
    "x",
    { service: 1 },
    { service: "eva", id: "../../x" },
    { service: "eva", a: { b: [] } },
    { service: "eva".repeat(9999) },
  ];
  const paths = [
    "/v1/leases",
    "/v1/leases?wait=-1",
    "/v1/leases?wait=1e9",
    "/v1/leases/%00",
    "/v1/leases/..%2f..",
    "/decisions?since=-1",
    "/decisions?since=1e999",
    "//",
    "/v1",
  ];
  for (let call = 0; call < 12; call += 1) {
    const method = pick(["GET", "POST", "PUT", "DELETE"] as const, random);
    const body = method === "GET" ? {} : { body: pick(bodies, random) };
    const { status } = await daemon.call(method, pick(paths, random), { ...body, timeoutMs: 5_000 });
    if (status >= 500) throw new Error(`answered ${String(status)}: ${daemon.log.slice(-500)}`);
  }
  await writeFile(
    arena.site.configFile,
    pick(["{", "version: 9", "\u0000", "a: &a [*a]", `version: 1\nside: host\n${"x".repeat(1000)}`], random),
  );
  daemon.signal("SIGHUP");
  await daemon.until(() => daemon.log.includes("is refused"), "the configuration is refused");
  await configureScene(arena.site, arena.scene, { library: arena.library, evaLeaseSec: 60 });
  return forget(arena, "malformed calls and configuration");
};

/** Every kind of fault, by name. */
export const faults: Readonly<Record<string, Fault>> = {
  killAtFailpoint,
  killAtStart,
  killAnywhere,
  tornJournal,
  hungDriver,
  fullDisk,
  clockJump,
  flood,
  malformed,
};
