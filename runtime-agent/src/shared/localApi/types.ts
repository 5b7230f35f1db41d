/** Who calls: `admin` by the token in `api.token` (0600), `service` by a token of its own. */
export type Role = "admin" | "service";

export interface Caller {
  readonly role: Role;
  /** Name of the service whose token was shown; undefined for the administrator. */
  readonly service?: string;
}

/** What a handler is given. */
export interface ApiContext {
  readonly caller: Caller;
  readonly query: URLSearchParams;
  /** Values of the path's `:name` parts. */
  readonly params: Readonly<Record<string, string>>;
  /** The parsed JSON body; undefined when there was none. To be validated by the handler. */
  readonly body: unknown;
  /** Aborted when the caller hangs up. */
  readonly signal: AbortSignal;
}

/** What a handler gives back: JSON (the default), or text of another type. */
export type ApiReply =
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly text: string; readonly contentType: string };

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** For example `/requests/:id`. */
  readonly path: string;
  /** Least role; the administrator may do what a service may. */
  readonly role: Role;
  handle(context: ApiContext): ApiReply | Promise<ApiReply>;
}

/** Thrown by a handler to answer with an error of its own; anything else thrown is a 500 without details. */
export class ApiError extends Error {
  readonly status: number;
  readonly property: string | undefined;
  readonly limit: string | undefined;
  readonly fix: string | undefined;

  constructor(status: number, message: string, details: { property?: string; limit?: string; fix?: string } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.property = details.property;
    this.limit = details.limit;
    this.fix = details.fix;
  }
}

export interface LocalApiOptions {
  /** Path of the Unix socket (0666: the token decides). At most 107 bytes: the kernel's limit. */
  readonly socket: string;
  /** File of the administrator's token, 0600; made at start when missing. */
  readonly tokenFile: string;
  /** Tokens of services, by the service's name, as lowercase hex SHA-256 of the token. */
  readonly serviceTokenSha256?: Readonly<Record<string, string>>;
  /** A second listener on the loopback, for callers that speak no Unix sockets. */
  readonly tcp?: { readonly host: "127.0.0.1" | "::1"; readonly port: number };
  readonly routes: readonly Route[];
  /** Called with what a handler threw unexpectedly. */
  readonly onError?: (error: unknown, where: string) => void;
  /** @default 64 KiB */
  readonly maxBodyBytes?: number;
  /** @default 128 */
  readonly maxConnections?: number;
  /** Connections that the callers of one service may hold at a time. @default a quarter of `maxConnections` */
  readonly maxConnectionsPerService?: number;
  /** Time for a whole request, ms. @default 10 000 */
  readonly requestTimeoutMs?: number;
}

export interface LocalApi {
  /** Port of the loopback listener, when one was asked for. */
  readonly port: number | undefined;
  /** Puts other service tokens in force. Calls that wait go on waiting; who called by an old token calls no more. */
  setServiceTokens(serviceTokenSha256: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}
