import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { probe } from "../../cli/setup/network.ts";

describe("probe of an address", () => {
  it("tells what can be fetched from what cannot, and why", async () => {
    const methods: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      methods.push(request.method);
      response.writeHead(request.url === "/there" ? 200 : 404).end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const base = `http://127.0.0.1:${address.port}`;
    assert.equal(await probe(`${base}/there`), undefined);
    assert.match((await probe(`${base}/gone`)) ?? "", /answered 404/);
    assert.equal(await probe(`${base}/there`), undefined);
    assert.deepEqual(methods, ["HEAD", "HEAD"], "asked once each, without the body");
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    assert.match((await probe(`${base}/later`)) ?? "", /cannot be reached \(ECONNREFUSED\)/);
    assert.match((await probe("https://host.invalid/")) ?? "", /host\.invalid cannot be reached/);
  });

  it("does not wait long for a silent address", async () => {
    const server = createServer(() => undefined).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    assert.match((await probe(`http://127.0.0.1:${address.port}/`)) ?? "", /no answer in 4 s/);
    server.closeAllConnections();
    server.close();
  });
});
