// The lab's page: loopback only, opened by a token that is new at each start.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import type { LabView } from "./view.ts";

export interface PageOptions {
  /** 0 lets the system choose. */
  port: number;
  /** What the page shows; called at most once a second however many watch. */
  view: () => Promise<LabView>;
}

export interface RunningPage {
  port: number;
  /** With the access token. */
  url: string;
  close: () => Promise<void>;
}

const assets: Record<string, { file: string; type: string }> = {
  "/": { file: "index.html", type: "text/html; charset=utf-8" },
  "/page.js": { file: "page.js", type: "text/javascript; charset=utf-8" },
  "/draw.js": { file: "draw.js", type: "text/javascript; charset=utf-8" },
  "/keeper.js": { file: "keeper.js", type: "text/javascript; charset=utf-8" },
  "/page.css": { file: "page.css", type: "text/css; charset=utf-8" },
};
const viewEveryMs = 1000;
const maxWatchers = 32;

const securityHeaders = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
};

/** Listens on 127.0.0.1. @throws the listen error, for example EADDRINUSE. */
export async function startPage(options: PageOptions): Promise<RunningPage> {
  const token = randomBytes(32).toString("base64url");
  const watchers = new Set<ServerResponse>();
  let port = options.port;

  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 10_000, maxHeaderSize: 8192 },
    (request, response) => {
      for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
      const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
      if (!hosts.includes(request.headers.host ?? "")) return refuse(response, 421, "This address is not served here.");
      if (request.method !== "GET") return refuse(response, 405, "Only GET.");
      const url = new URL(request.url ?? "/", `http://127.0.0.1:${port}`);
      if (!isAllowed(request, url, token, port)) {
        return refuse(response, 401, "Open the address that the lab printed: it carries this start's access token.");
      }
      const asset = assets[url.pathname];
      if (asset !== undefined) {
        if (url.searchParams.has("token")) {
          response.setHeader("Set-Cookie", `hive_lab_${port}=${token}; HttpOnly; SameSite=Strict; Path=/`);
        }
        response.setHeader("Content-Type", asset.type);
        return void response.end(readFileSync(fileURLToPath(new URL(`./${asset.file}`, import.meta.url))));
      }
      if (url.pathname === "/view.json") return void answerView(options.view, response);
      if (url.pathname === "/events") return watch(response);
      refuse(response, 404, "Not found.");
    },
  );

  const watch = (response: ServerResponse): void => {
    if (watchers.size >= maxWatchers) return refuse(response, 503, "Too many open pages.");
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
    watchers.add(response);
    response.on("close", () => watchers.delete(response));
    response.on("error", () => watchers.delete(response));
    lastSent = "";
    tick();
  };
  let lastSent = "";
  let busy = false;
  const tick = (): void => {
    if (watchers.size === 0 || busy) return;
    busy = true;
    void options
      .view()
      .then((view) => JSON.stringify(view))
      .catch((error: unknown) =>
        JSON.stringify({ unavailable: error instanceof Error ? error.message : String(error) }),
      )
      .then((text) => {
        const message = text === lastSent ? ": same\n\n" : `data: ${text}\n\n`;
        lastSent = text;
        for (const watcher of watchers) if (watcher.writableLength < 1_000_000) watcher.write(message);
      })
      .finally(() => (busy = false));
  };
  const timer = setInterval(tick, viewEveryMs);
  timer.unref();

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    port,
    url: `http://127.0.0.1:${port}/?token=${token}`,
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer);
        for (const watcher of watchers) watcher.end();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answerView(view: () => Promise<LabView>, response: ServerResponse): Promise<void> {
  try {
    const text = JSON.stringify(await view());
    response.setHeader("Content-Type", "application/json; charset=utf-8");
    response.end(text);
  } catch (error) {
    refuse(response, 503, `The lab's API does not answer: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function isAllowed(request: IncomingMessage, url: URL, token: string, port: number): boolean {
  const cookie = (request.headers.cookie ?? "").split(/;\s*/).find((part) => part.startsWith(`hive_lab_${port}=`));
  const offers = [
    url.searchParams.get("token"),
    cookie?.slice(cookie.indexOf("=") + 1),
    /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1],
  ];
  const expected = digest(token);
  return offers.map((offer) => timingSafeEqual(digest(offer ?? ""), expected)).some((same) => same);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${message}\n`);
}
