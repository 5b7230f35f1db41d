/** How a stack's program learns the host key of a new instance: whom it asks, as whom, and how often. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lightsailHostKey } from "../../stacks/lightsailHostKey.ts";

const key = `ssh-ed25519 ${"A".repeat(68)}`;
const witness = { accessDetails: { hostKeys: [{ algorithm: "ssh-ed25519", publicKey: key }] } };
const refusal = (type: string) => ({ __type: `com.amazonaws.lightsail#${type}`, message: "the instance is pending" });

describe("the host key that Lightsail witnessed", () => {
  let api: Server;
  let folder = "";
  let answers: (readonly [number, unknown])[] = [];
  let asked: IncomingHttpHeaders[] = [];
  const environment = { ...process.env };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "lightsail-key-"));
    asked = [];
    api = createServer((request, response) => {
      request.resume();
      asked.push(request.headers);
      const [status, body] = answers[Math.min(asked.length, answers.length) - 1] ?? [500, {}];
      response.writeHead(status, { "content-type": "application/x-amz-json-1.1", connection: "close" });
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", () => resolve()));
    const address = api.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
    process.env["AWS_ENDPOINT_URL_LIGHTSAIL"] = `http://127.0.0.1:${String(port)}`;
    process.env["AWS_SHARED_CREDENTIALS_FILE"] = join(folder, "credentials");
    own("AKIAOWNOWNOWNOWNOWN0", "");
  });
  afterEach(async () => {
    for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
    Object.assign(process.env, environment);
    await new Promise((resolve) => api.close(resolve));
    rmSync(folder, { recursive: true });
  });

  const own = (id: string, more: string): void =>
    writeFileSync(
      join(folder, "credentials"),
      `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${"s".repeat(40)}\n${more}`,
    );
  const told = (ageMs = 0): Promise<string> =>
    lightsailHostKey("eu-west-3", "agent-x", new Date(Date.now() - ageMs).toISOString(), 1);

  it("is asked for again after a failure, as long as the instance is young", async () => {
    answers = [
      [400, refusal("OperationFailureException")],
      [500, {}],
      [200, {}],
      [200, witness],
    ];
    assert.equal(await told(), key);
    assert.equal(asked.length, 4);
    asked = [];
    assert.equal(await told(180_001), "", "an old one is asked once");
    assert.equal(asked.length, 1);
  });

  it("is not asked for again by whoever may not know it", async () => {
    answers = [[400, refusal("AccessDeniedException")]];
    assert.equal(await told(), "");
    assert.equal(asked.length, 1);
  });

  it("is asked for with one and the same set of credentials: of the profile, or of the environment", async () => {
    answers = [[200, witness]];
    process.env["AWS_SESSION_TOKEN"] = "of-the-environment";
    await told();
    own("AKIAOWNOWNOWNOWNOWN0", "aws_session_token = of-the-profile\n");
    await told();
    process.env["AWS_ACCESS_KEY_ID"] = "AKIAENVENVENVENVENV0";
    process.env["AWS_SECRET_ACCESS_KEY"] = "e".repeat(40);
    await told();
    const seen = asked.map((headers) => [
      /Credential=(\w+)/.exec(headers.authorization ?? "")?.[1],
      headers["x-amz-security-token"],
    ]);
    assert.deepEqual(seen, [
      ["AKIAOWNOWNOWNOWNOWN0", undefined],
      ["AKIAOWNOWNOWNOWNOWN0", "of-the-profile"],
      ["AKIAENVENVENVENVENV0", "of-the-environment"],
    ]);
  });
});
