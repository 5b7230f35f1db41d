/** Reading a request: query, form, JSON or multipart, all bounded. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { PveError } from "../core/errors.ts";
import type { Params, Upload } from "../core/router.ts";

/** Proxmox's own limit of a form is 512 KiB; uploads of test files get more. */
export const FORM_LIMIT = 512 * 1024;
export const UPLOAD_LIMIT = 64 * 1024 * 1024;

async function read(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!(chunk instanceof Buffer)) continue;
    size += chunk.length;
    if (size > limit) throw new PveError(413, `request entity too large (limit ${limit} bytes)`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A name that comes twice is one value, NUL-joined, as Proxmox's server passes it on. */
function collect(into: Params, entries: Iterable<[string, string]>): void {
  for (const [name, value] of entries) {
    if (name === "__proto__" || name === "constructor") throw new PveError(400, "bad parameter name");
    const before = into[name];
    into[name] = before === undefined ? value : `${before}\0${value}`;
  }
}

export async function readParams(
  request: IncomingMessage,
  query: URLSearchParams,
): Promise<{ params: Params; upload?: Upload }> {
  const params: Params = {};
  collect(params, query);
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("multipart/form-data")) {
    const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1];
    if (boundary === undefined) throw new PveError(400, "multipart body without a boundary");
    const upload = parseMultipart(await read(request, UPLOAD_LIMIT), boundary, params);
    return upload ? { params, upload } : { params };
  }
  const body = (await read(request, FORM_LIMIT)).toString("utf8");
  if (body === "") return { params };
  if (type.startsWith("application/json")) collect(params, jsonEntries(body));
  else collect(params, new URLSearchParams(body));
  return { params };
}

function* jsonEntries(body: string): Generator<[string, string]> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw new PveError(400, "malformed JSON body");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new PveError(400, "JSON body must be an object");
  for (const [key, value] of Object.entries(parsed)) {
    const items: unknown[] = Array.isArray(value) ? value : [value];
    for (const item of items) {
      if (item === null || item === undefined) continue;
      if (typeof item === "object") throw new PveError(400, `parameter '${key}' must be plain`);
      yield [key, typeof item === "boolean" ? (item ? "1" : "0") : String(item)];
    }
  }
}

function parseMultipart(body: Buffer, boundary: string, params: Params): Upload | undefined {
  let upload: Upload | undefined;
  const mark = Buffer.from(`--${boundary}`);
  let start = body.indexOf(mark);
  while (start >= 0) {
    const headerStart = start + mark.length + 2;
    const headerEnd = body.indexOf("\r\n\r\n", headerStart);
    const end = body.indexOf(mark, headerStart);
    if (headerEnd < 0 || end < 0) break;
    const header = body.subarray(headerStart, headerEnd).toString("utf8");
    const content = body.subarray(headerEnd + 4, end - 2);
    const name = /name="([^"]*)"/.exec(header)?.[1] ?? "";
    const filename = /filename="([^"]*)"/.exec(header)?.[1];
    if (filename === undefined) collect(params, [[name, content.toString("utf8")]]);
    else {
      upload = {
        filename: filename.replace(/^.*[/\\]/, ""),
        sizeBytes: content.length,
        sha256: createHash("sha256").update(content).digest("hex"),
      };
      params["filename"] ??= upload.filename;
    }
    start = end;
  }
  return upload;
}
