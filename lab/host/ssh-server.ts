// One SSH server for one machine of the lab: public-key login, exec, shell and SFTP; loopback only.
import type { ChildProcess } from "node:child_process";
import { createHash, timingSafeEqual } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import ssh2 from "ssh2";
import type { AuthContext, Connection, ServerChannel, Session } from "ssh2";
import { authorizedKeyOf } from "./authorized-keys.ts";
import type { AuthorizedKey } from "./authorized-keys.ts";
import { killGroup } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";
import { serveSftp } from "./sftp.ts";

declare module "ssh2" {
  interface Connection {
    /** There since ssh2 1.0, missing from its types. Without it each small packet waits 40 ms for an acknowledgement. */
    setNoDelay(noDelay?: boolean): this;
  }
}

export interface SshServerOptions {
  root: string;
  sandbox: Sandbox;
  hostKey: string;
  /** Lines of authorized_keys by user name; asked at each login, so that new keys work at once. */
  authorizedKeys: (user: string) => readonly string[];
  /** 0 lets the system choose. */
  port: number;
  limits?: Partial<SshLimits>;
  /** Where connections may be forwarded to, as by `ssh -J`. @default nowhere */
  forwarding?: Forwarding;
}

export interface Forwarding {
  mayForward: (address: string, port: number) => boolean;
  forward: (socket: Duplex, address: string, port: number) => Promise<void>;
}

export interface SshLimits {
  /** A command that runs longer is killed. */
  commandTimeoutSec: number;
  /** Standard output and error together; beyond it the command is killed. */
  maxOutputBytes: number;
  maxConnections: number;
  maxSessionsEach: number;
  /** A client that has not logged in by then is dropped (sshd's LoginGraceTime). */
  loginGraceSec: number;
  maxAuthTries: number;
}

const defaultLimits: SshLimits = {
  commandTimeoutSec: 900,
  maxOutputBytes: 64 * 1024 * 1024,
  maxConnections: 64,
  maxSessionsEach: 10, // sshd_config(5): MaxSessions
  loginGraceSec: 30,
  maxAuthTries: 6, // sshd_config(5): MaxAuthTries
};

/** Debian's sshd_config: `AcceptEnv LANG LC_*`; Proxmox VE ships it unchanged. */
const acceptedEnvironment = /^(LANG|LC_[A-Z_]{1,32})$/;

export interface SshServer {
  port: number;
  close: () => Promise<void>;
}

/** Listens on 127.0.0.1. @throws the listen error, for example EADDRINUSE. */
export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const limits = { ...defaultLimits, ...options.limits };
  const connections = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [options.hostKey], ident: "OpenSSH_9.2p1-lab" }, (connection) => {
    if (connections.size >= limits.maxConnections) return void connection.end();
    connections.add(connection);
    connection.setNoDelay(true);
    serveConnection(connection, options, limits, () => connections.delete(connection));
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => resolve());
  });
  const address: AddressInfo | string | null = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.end();
      }),
  };
}

function serveConnection(connection: Connection, options: SshServerOptions, limits: SshLimits, gone: () => void): void {
  const running = new Set<ChildProcess>();
  let sessions = 0;
  let attempts = 0;
  /** Of the key that logged in; it runs whatever is asked for. */
  let forced: string | undefined;
  const grace = setTimeout(() => connection.end(), limits.loginGraceSec * 1000);
  const end = (): void => {
    clearTimeout(grace);
    for (const child of running) killGroup(child, "SIGKILL");
    running.clear();
    gone();
  };
  connection.on("close", end);
  connection.on("end", end);
  connection.on("error", () => undefined); // a client's broken packet ends its connection, nothing else
  connection.on("authentication", (context) => {
    attempts += 1;
    if (attempts > limits.maxAuthTries * 2) return void connection.end();
    const key = authorizedBy(context, options.authorizedKeys(context.username));
    if (key === undefined) return void context.reject(["publickey"]);
    forced = key.command;
    context.accept();
  });
  connection.on("ready", () => clearTimeout(grace));
  connection.on("tcpip", (accept, reject, info) => {
    const { forwarding } = options;
    if (forced !== undefined || forwarding?.mayForward(info.destIP, info.destPort) !== true) return void reject();
    void forwarding.forward(accept(), info.destIP, info.destPort);
  });
  connection.on("session", (accept, reject) => {
    if (sessions >= limits.maxSessionsEach) return void reject();
    sessions += 1;
    const session = accept();
    session.on("close", () => (sessions -= 1));
    serveSession(session, forced, options, limits, running);
  });
}

/** The key that a login may go by, or undefined. */
function authorizedBy(context: AuthContext, authorized: readonly string[]): AuthorizedKey | undefined {
  if (context.method !== "publickey") return undefined;
  const offered = digest(context.key.data);
  let matched: AuthorizedKey | undefined;
  for (const line of authorized) {
    const key = authorizedKeyOf(line);
    if (key !== undefined && timingSafeEqual(digest(Buffer.from(key.base64, "base64")), offered)) matched = key;
  }
  if (matched === undefined) return undefined;
  if (context.signature === undefined || context.blob === undefined) return matched; // asks only whether the key would do
  const key = ssh2.utils.parseKey(`${matched.type} ${matched.base64}`);
  const isSigned = !(key instanceof Error) && key.verify(context.blob, context.signature, context.hashAlgo) === true;
  return isSigned ? matched : undefined;
}

function digest(data: Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}

function serveSession(
  session: Session,
  forced: string | undefined,
  options: SshServerOptions,
  limits: SshLimits,
  running: Set<ChildProcess>,
): void {
  const environment: Record<string, string> = {};
  let current: ChildProcess | undefined;
  session.on("env", (accept, reject, info) => {
    const fits = acceptedEnvironment.test(info.key) && Buffer.byteLength(info.val) <= 4096;
    if (fits) environment[info.key] = info.val;
    const reply: (() => unknown) | undefined = fits ? accept : reject;
    reply?.();
  });
  session.on("signal", (accept, _reject, info) => {
    const name = `SIG${info.name}`;
    if (current !== undefined && isSignal(name)) killGroup(current, name);
    const reply: (() => unknown) | undefined = accept;
    reply?.();
  });
  if (forced === undefined) session.on("sftp", (accept) => serveSftp(accept(), options.root));
  const run = (channel: ServerChannel, command: string | undefined): void => {
    current = runCommand(channel, command, environment, options, limits);
    if (current === undefined) return;
    const child = current;
    running.add(child);
    child.once("close", () => running.delete(child));
  };
  session.on("exec", (accept, _reject, info) => run(accept(), forced ?? info.command));
  session.on("shell", (accept) => run(accept(), forced));
}

const signals = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGKILL",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGABRT",
  "SIGPIPE",
] as const;
function isSignal(name: string): name is (typeof signals)[number] {
  return signals.some((signal) => signal === name);
}

function runCommand(
  channel: ServerChannel,
  command: string | undefined,
  environment: Record<string, string>,
  options: SshServerOptions,
  limits: SshLimits,
): ChildProcess | undefined {
  if (options.sandbox.kind === "unavailable") {
    channel.stderr.write(`lab: commands cannot run on this machine: ${options.sandbox.reason}\n`);
    channel.exit(126);
    channel.end();
    return undefined;
  }
  const child = options.sandbox.spawn({ command, environment });
  let outputBytes = 0;
  let ended = false;
  const kill = (): void => {
    if (!ended) killGroup(child, "SIGKILL");
  };
  const stop = (why: string): void => {
    channel.stderr.write(`lab: ${why}; killed\n`);
    kill();
  };
  const timer = setTimeout(
    () => stop(`command ran longer than ${limits.commandTimeoutSec} s`),
    limits.commandTimeoutSec * 1000,
  );
  const count = (chunk: Buffer): void => {
    const before = outputBytes;
    outputBytes += chunk.length;
    if (before <= limits.maxOutputBytes && outputBytes > limits.maxOutputBytes)
      stop(`more than ${limits.maxOutputBytes} bytes of output`);
  };
  child.stdout?.on("data", count).pipe(channel, { end: false });
  child.stderr?.on("data", count).pipe(channel.stderr, { end: false });
  child.stdin?.on("error", () => undefined); // the command ended without reading its input
  if (child.stdin !== null) channel.pipe(child.stdin);
  channel.on("close", kill);
  channel.on("error", kill);
  child.once("error", (error) => {
    clearTimeout(timer);
    channel.stderr.write(`lab: ${error.message}\n`);
    channel.exit(126);
    channel.end();
  });
  child.once("close", (code, signal) => {
    ended = true;
    clearTimeout(timer);
    if (signal !== null) channel.exit(signal.replace(/^SIG/, ""), false, "");
    else channel.exit(code ?? 255);
    channel.end();
  });
  return child;
}
