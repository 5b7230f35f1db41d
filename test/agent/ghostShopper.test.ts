import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import * as z from "zod";
import { temporaryFolder } from "../support/agentChild.ts";

const sources = resolve("samples/ghost-shopper");

/** Runs the sample as its unit does. */
async function shop(folder: string, payload: string) {
  await writeFile(join(folder, "payload.json"), payload);
  const result = join(folder, "result.json");
  const child = spawn(join(sources, "run"), {
    cwd: sources,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      HEAVY_AGENT_RUN_ID: "run_1",
      HEAVY_AGENT_PAYLOAD: join(folder, "payload.json"),
      HEAVY_AGENT_RESULT: result,
    },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((end) => child.once("close", end));
  return { code, said, result: await readFile(result, "utf8").catch(() => undefined) };
}

describe("the sample agent", () => {
  it("visits each page, and writes what a customer meets there", async () => {
    await using stack = new AsyncDisposableStack();
    const { folder } = stack.use(await temporaryFolder());
    const server = createServer((request, response) => {
      if (request.url !== "/item") return response.writeHead(404).end();
      response.end("<title>Kettle</title><p>in stock, 12,90 €</p>");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    stack.defer(() => void server.close());
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const url = `http://127.0.0.1:${String(port)}`;
    const visits = [{ url: `${url}/item`, expect: "in stock" }, { url: `${url}/item`, expect: "gift" }, `${url}/gone`];
    const { code, said, result } = await shop(folder, JSON.stringify({ visits }));
    assert.equal(code, 0, said);
    const told = z
      .object({
        runId: z.string(),
        passed: z.boolean(),
        visits: z.array(
          z.object({
            status: z.number(),
            title: z.string().nullable(),
            prices: z.array(z.string()),
            passed: z.boolean(),
          }),
        ),
      })
      .parse(JSON.parse(result ?? ""));
    assert.deepEqual([told.runId, told.passed], ["run_1", false]);
    assert.deepEqual(told.visits[0], { status: 200, title: "Kettle", prices: ["12,90 €"], passed: true });
    assert.deepEqual(
      told.visits.map(({ status, passed }) => [status, passed]),
      [
        [200, true],
        [200, false],
        [404, false],
      ],
    );
    assert.match(said, /passed http.*\/item/);
  });

  it("ends with 65 and no result when it cannot read its payload", async () => {
    await using stack = new AsyncDisposableStack();
    const { folder } = stack.use(await temporaryFolder());
    const { code, said, result } = await shop(folder, '{"visits":[{"url":"file:///etc/passwd"}]}');
    assert.deepEqual([code, result], [65, undefined]);
    assert.match(said, /visits\[0\]\.url/);
  });
});
