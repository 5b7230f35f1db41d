/**
 * The admission webhook: HTTPS by `node:https` alone. It has no side effects and asks for no name: whoever reaches it learns
 * what a Pod would be answered, and no more. Whatever a caller sends, and however slowly, is bounded; what is not answered
 * in time costs a Pod nothing (`failurePolicy: Ignore`).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Server, createServer } from "node:https";
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { type Admission, type Outcome, outcomes, reviewOf } from "../core/admission.ts";
import { type Family, Histogram, type Sample, exposition, expositionType, processFamilies } from "../exposition.ts";
import { type CertificateFiles, watchCertificate } from "./certificate.ts";
import { Intake, type Refused, parseBody, refusals, refusedStatus } from "./intake.ts";

export interface WebhookOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly files: CertificateFiles;
  /** How often the files are looked at, ms. */
  readonly reloadMs: number;
  /** Answers a parsed body. */
  readonly admit: (review: unknown) => Admission;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Webhook {
  readonly port: number;
  /** Looks at the certificate's files now. */
  reload(): Promise<void>;
  /** Takes no more connections, answers what is under way, and ends. */
  close(): Promise<void>;
}

const limits = {
  // A whole request takes at most 1.5 s with the time between two looks; the API server gives up after 2 s at most.
  requestTimeout: 1000,
  headersTimeout: 1000,
  connectionsCheckingInterval: 500,
  handshakeTimeout: 1500,
  // A new connection costs a handshake. The API server lets go of an idle one after 90 s.
  keepAliveTimeout: 600_000,
  maxHeaderSize: 16 * 1024,
};
/** Connections take some 70 KiB each. Above the first bound idle ones are closed, above the second new ones. */
const mostIdle = 48;
const mostConnections = 64;
/** How long the end waits for answers that are under way, ms. */
const lastAnswersMs = 2000;
/** Bounds of the histogram, s. */
const buckets = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

interface Numbers {
  readonly outcomes: Map<Outcome, number>;
  readonly refused: Map<Refused, number>;
  readonly seconds: Histogram;
}

function freshNumbers(): Numbers {
  return {
    outcomes: new Map(outcomes.map((outcome) => [outcome, 0])),
    refused: new Map(refusals.map((refused) => [refused, 0])),
    seconds: new Histogram(buckets),
  };
}

function count<T>(numbers: Map<T, number>, one: T): void {
  numbers.set(one, (numbers.get(one) ?? 0) + 1);
}

/** @param last closes the connection behind it */
function answer(response: ServerResponse, status: number, type: string, text: string, last = false): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(text, "utf8");
  response.writeHead(status, {
    "content-type": type,
    "content-length": body.length,
    // What is left of a body that was not read would be taken for the next request.
    ...(status === 413 || status === 503 || last ? { connection: "close" } : {}),
  });
  response.end(body);
}

const say = (response: ServerResponse, status: number, text: string): void =>
  answer(response, status, "text/plain; charset=utf-8", `${text}\n`);

/** Starts it. Rejects when the certificate cannot be used or the address is another's. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { clock, log } = options;
  const numbers = freshNumbers();
  const intake = new Intake();
  const watch = await watchCertificate(options.files, options.reloadMs, log, ({ cert, key }) =>
    server.setSecureContext({ cert, key }),
  );
  const { cert, key } = watch.current();
  const server = createServer({ ...limits, cert, key });
  server.maxConnections = mostConnections;

  /** Why the API server would not speak with this server; undefined when it would. */
  const unready = (): string | undefined => {
    const { fromMs, untilMs } = watch.current();
    const now = clock.wallMs();
    if (now < fromMs) return "the certificate is not valid yet";
    return now < untilMs ? undefined : "the certificate has expired";
  };

  async function admission(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = clock.monotonicMs();
    const body = await intake.read(request);
    const review = body.ok ? parseBody(body.value) : body;
    if (!review.ok) {
      count(numbers.refused, review.refused);
      return say(response, refusedStatus[review.refused], review.refused);
    }
    const given = options.admit(review.value);
    answer(response, 200, "application/json", JSON.stringify(reviewOf(review.value, given)), !server.listening);
    count(numbers.outcomes, given.outcome);
    numbers.seconds.observe((clock.monotonicMs() - began) / 1000);
  }

  const gets: Readonly<Record<string, (response: ServerResponse) => void>> = {
    "/healthz": (response) => say(response, 200, "ok"),
    "/readyz": (response) => {
      const why = unready();
      say(response, why === undefined ? 200 : 503, why ?? "ok");
    },
    "/metrics": (response) =>
      answer(response, 200, expositionType, exposition([...families(numbers, watch), ...processFamilies()])),
  };

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    // The API server puts its patience into the query.
    const [path = ""] = (request.url ?? "").split("?", 1);
    const get = Object.hasOwn(gets, path) ? gets[path] : undefined;
    if (path !== "/admit" && get === undefined) return say(response, 404, "no such path");
    if (request.method !== (get === undefined ? "POST" : "GET")) return say(response, 405, "no such method here");
    if (get !== undefined) return get(response);
    admission(request, response).catch((error: unknown) => {
      // The caller has gone, or was too slow.
      if (!request.complete) return void request.destroy();
      log.error("an admission failed", { error });
      say(response, 500, "it failed; the log says why");
    });
  });
  server.on("connection", (socket: Socket) => {
    // TLS tells of each connection a second time, as itself.
    if ("encrypted" in socket) return;
    server.getConnections((_error, open) => {
      if (open > mostIdle) server.closeIdleConnections();
    });
  });
  // A caller who does not take the certificate, or speaks no TLS.
  server.on("tlsClientError", (_error: Error, stream: Socket) => stream.destroy());

  try {
    await listening(server, options.listen);
  } catch (error) {
    watch.close();
    throw error;
  }
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    reload: watch.look,
    async close() {
      watch.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), lastAnswersMs);
      await closed;
      clearTimeout(late);
    },
  };
}

function listening(server: Server, { host, port }: WebhookOptions["listen"]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function families(
  { outcomes: byOutcome, refused, seconds }: Numbers,
  watch: Awaited<ReturnType<typeof watchCertificate>>,
): readonly Family[] {
  const by = (label: string, counts: Iterable<readonly [string, number]>): readonly Sample[] =>
    [...counts].map(([name, value]) => ({ labels: { [label]: name }, value }));
  return [
    {
      ...{ name: "hive_nerve_admissions_total", help: "Pods answered, by what became of them", type: "counter" },
      samples: by("outcome", byOutcome),
    },
    {
      ...{ name: "hive_nerve_admissions_refused_total", help: "Requests without an answer, by why", type: "counter" },
      samples: by("reason", refused),
    },
    {
      ...{ name: "hive_nerve_admission_seconds", help: "Time from headers to answer, seconds", type: "histogram" },
      samples: seconds.samples(),
    },
    {
      ...{ name: "hive_nerve_certificate_expires_seconds", help: "End of the certificate, Unix time", type: "gauge" },
      samples: [{ value: watch.current().untilMs / 1000 }],
    },
    {
      name: "hive_nerve_certificate_changes_total",
      help: "Certificates read since the start, by what became of them",
      type: "counter",
      samples: by("result", Object.entries(watch.counts)),
    },
  ];
}
