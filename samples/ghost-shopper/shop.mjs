/**
 * A sample of a heavy agent: a ghost shopper that visits pages of shops and tells what a customer would meet there.
 * Plain Node 20 or newer, no dependency. It only reads, so a visit that was interrupted may be made again: `idempotent`.
 *
 * Payload: {"visits": [{"url": "https://shop.example/item", "expect": "in stock", "withinMs": 3000}]}
 * Result: {"runId", "passed", "visits": [{"url", "status", "ms", "bytes", "title", "prices", "passed", "why"}]}
 */
import { readFile, rename, writeFile } from "node:fs/promises";

const mostVisits = 50;
const mostPageBytes = 4 * 1024 * 1024;
/** Longest that a page may take when the visit does not say, ms. */
const usualMs = 10_000;

/** Exit status of a payload that cannot be read (sysexits.h EX_DATAERR). */
const badPayload = 65;

function fail(why) {
  process.stderr.write(`ghost-shopper: ${why}\n`);
  process.exit(badPayload);
}

/** The environment that the runner gives. */
function given(name) {
  return process.env[name] ?? fail(`${name} is not set: the runner starts this program`);
}

function readVisit(visit, index) {
  const { url, expect, withinMs = usualMs } = typeof visit === "string" ? { url: visit } : (visit ?? {});
  const where = `visits[${index}]`;
  if (typeof url !== "string" || !/^https?:\/\//.test(url) || !URL.canParse(url))
    fail(`${where}.url: an http(s) address`);
  if (expect !== undefined && typeof expect !== "string") fail(`${where}.expect: a text`);
  if (!Number.isInteger(withinMs) || withinMs < 1 || withinMs > 120_000) fail(`${where}.withinMs: 1 to 120000`);
  return { url, expect, withinMs };
}

async function readVisits(file) {
  let payload;
  try {
    payload = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    fail(`the payload cannot be read: ${error.message}`);
  }
  const visits = payload?.visits ?? [];
  if (!Array.isArray(visits) || visits.length > mostVisits) fail(`visits: a list of at most ${mostVisits}`);
  return visits.map(readVisit);
}

async function readPage(response) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > mostPageBytes) throw new Error(`the page is above ${mostPageBytes} bytes`);
    chunks.push(chunk);
  }
  return { bytes, text: Buffer.concat(chunks).toString("utf8") };
}

/** Prices as people read them: `12,90 €`, `€12.90`, `$ 1,299.00`. */
function pricesIn(text) {
  const found = text.matchAll(/[€$£]\s?\d[\d.,\u00a0]*\d|\d[\d.,\u00a0]*\d\s?[€$£]/g);
  return [...new Set([...found].map(([price]) => price))].slice(0, 20);
}

async function visit({ url, expect, withinMs }) {
  const begin = performance.now();
  const told = { url, status: null, ms: 0, bytes: 0, title: null, prices: [], passed: false, why: null };
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(withinMs), headers: { accept: "text/html" } });
    const { bytes, text } = await readPage(response);
    const title = /<title[^>]*>([^<]{0,200})/i.exec(text)?.[1]?.trim() ?? null;
    Object.assign(told, { status: response.status, bytes, title, prices: pricesIn(text) });
    if (!response.ok) told.why = `it answered ${response.status}`;
    else if (expect !== undefined && !text.includes(expect))
      told.why = `the page does not say ${JSON.stringify(expect)}`;
  } catch (error) {
    told.why = error.name === "TimeoutError" ? `not there within ${withinMs} ms` : (error.cause?.code ?? error.message);
  }
  told.ms = Math.round(performance.now() - begin);
  told.passed = told.why === null;
  process.stdout.write(`${told.passed ? "passed" : "failed"} ${url} ${told.ms} ms ${told.why ?? ""}\n`);
  return told;
}

const runId = given("HEAVY_AGENT_RUN_ID");
const resultFile = given("HEAVY_AGENT_RESULT");
const visits = [];
// One after the other, as a customer would: never a load for the shop.
for (const one of await readVisits(given("HEAVY_AGENT_PAYLOAD"))) visits.push(await visit(one));
const result = { runId, passed: visits.every(({ passed }) => passed), visits };
// In one step, so that nobody reads a part of it.
await writeFile(`${resultFile}.part`, `${JSON.stringify(result)}\n`);
await rename(`${resultFile}.part`, resultFile);
