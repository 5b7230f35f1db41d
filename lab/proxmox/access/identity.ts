/**
 * Who calls: a login ticket, an API token, or root on the local socket.
 *
 * Source: pve-access-control src/PVE/AccessControl.pm (verify_token, verify_ticket, verify_csrf_prevention_token),
 * pve-manager PVE/HTTPServer.pm (auth_handler).
 */
import { unauthorized } from "../core/errors.ts";
import type { LabState, Token } from "../core/state.ts";
import { constantTimeEqual, sign, verifySecret } from "./secrets.ts";

export const ROOT = "root@pam";
/** Tickets live two hours, as Proxmox's. */
export const TICKET_SECONDS = 7200;

export interface Identity {
  /** `user@realm` or `user@realm!token`: what permission checks and UPIDs see. */
  readonly authId: string;
  readonly userid: string;
  readonly token: string | undefined;
  readonly via: "ticket" | "token" | "socket";
}

export interface Credentials {
  authorization: string | undefined;
  cookie: string | undefined;
  csrf: string | undefined;
  rootSocket: boolean;
}

export function isRoot(identity: Identity): boolean {
  return identity.authId === ROOT;
}

export function identify(state: LabState, credentials: Credentials, method: string, nowMs: number): Identity {
  if (credentials.rootSocket) return { authId: ROOT, userid: ROOT, token: undefined, via: "socket" };
  const header = /^PVEAPIToken[= ](.+)$/.exec(credentials.authorization ?? "");
  if (header?.[1] !== undefined) return fromToken(state, header[1], nowMs);
  const cookie = /(?:^|;\s*)PVEAuthCookie=([^;]+)/.exec(credentials.cookie ?? "");
  if (cookie?.[1] === undefined) unauthorized("No ticket");
  const userid = verifyTicket(state, decodeURIComponent(cookie[1]), nowMs);
  if (method !== "GET" && !verifyCsrf(state, userid, credentials.csrf ?? "", nowMs)) {
    unauthorized("Permission denied - invalid csrf token");
  }
  return { authId: userid, userid, token: undefined, via: "ticket" };
}

function fromToken(state: LabState, text: string, nowMs: number): Identity {
  const match = /^([^!]+)!([A-Za-z][A-Za-z0-9.\-_]+)[=:](.+)$/.exec(text);
  if (!match) unauthorized("no tokenid specified");
  const [, userid = "", tokenid = "", secret = ""] = match;
  const user = enabledUser(state, userid, nowMs);
  const token: Token | undefined = user.tokens[tokenid];
  if (!token) unauthorized(`no such token '${tokenid}' for user '${userid}'`);
  if (token.expire !== 0 && token.expire * 1000 < nowMs) unauthorized(`token '${tokenid}' access expired`);
  if (!verifySecret(secret, token.secretHash)) unauthorized("invalid token value!");
  return { authId: `${userid}!${tokenid}`, userid, token: tokenid, via: "token" };
}

function enabledUser(state: LabState, userid: string, nowMs: number): LabState["access"]["users"][string] {
  const user = state.access.users[userid];
  if (!user) unauthorized(`no such user ('${userid}')`);
  if (!user.enable) unauthorized(`user '${userid}' is disabled`);
  if (user.expire !== 0 && user.expire * 1000 < nowMs) unauthorized("account expired");
  return user;
}

export function login(
  state: LabState,
  userid: string,
  password: string,
  nowMs: number,
): { ticket: string; csrf: string } {
  const user = state.access.users[userid];
  const known = user?.passwordHash !== undefined && user.enable;
  const passed = verifySecret(password, known ? (user.passwordHash ?? "") : DUMMY);
  if (!known || !passed) {
    // A still valid ticket may be presented in place of the password.
    let renewed = false;
    try {
      renewed = verifyTicket(state, password, nowMs) === userid;
    } catch {
      renewed = false;
    }
    if (!renewed) unauthorized("authentication failure");
  }
  return issueTicket(state, userid, nowMs);
}

/** Compared against when the user does not exist, so that both answers take the same time. */
const DUMMY = "scrypt:00:" + "0".repeat(64);

export function issueTicket(state: LabState, userid: string, nowMs: number): { ticket: string; csrf: string } {
  const stamp = Math.floor(nowMs / 1000)
    .toString(16)
    .toUpperCase()
    .padStart(8, "0");
  const plain = `PVE:${userid}:${stamp}`;
  return {
    ticket: `${plain}::${sign(state.access.ticketKey, plain)}`,
    csrf: `${stamp}:${sign(state.access.ticketKey, `csrf:${stamp}:${userid}`)}`,
  };
}

function fresh(stamp: string, nowMs: number): boolean {
  const age = nowMs / 1000 - Number.parseInt(stamp, 16);
  return age > -300 && age < TICKET_SECONDS;
}

export function verifyTicket(state: LabState, ticket: string, nowMs: number): string {
  const match = /^(PVE:([^:]+):([0-9A-F]{8}))::(.+)$/.exec(ticket);
  if (!match) unauthorized("permission denied - invalid PVE ticket");
  const [, plain = "", userid = "", stamp = "", signature = ""] = match;
  if (!constantTimeEqual(signature, sign(state.access.ticketKey, plain)) || !fresh(stamp, nowMs)) {
    unauthorized("permission denied - invalid PVE ticket");
  }
  enabledUser(state, userid, nowMs);
  return userid;
}

function verifyCsrf(state: LabState, userid: string, csrf: string, nowMs: number): boolean {
  const match = /^([0-9A-F]{8}):(.+)$/.exec(csrf);
  if (!match) return false;
  const [, stamp = "", signature = ""] = match;
  return fresh(stamp, nowMs) && constantTimeEqual(signature, sign(state.access.ticketKey, `csrf:${stamp}:${userid}`));
}
