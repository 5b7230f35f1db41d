/** A bucket of moto's with a key that may do what the checkpoints need and no more, and a gate before it that sees every PUT. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import aws4 from "aws4";
import { startMoto, type Moto } from "./moto.ts";

/** What a PUT meets: `pass`, `refuse` (503), or a wait for the end of the promise before it is passed on. */
export type OnPut = (path: string) => "pass" | "refuse" | Promise<void>;

export const bucketName = "training";
/** Also in docs/nerve-checkpoint.md: IAM of moto holds every call of the tests against it. */
const rights = [
  { Effect: "Allow", Action: "s3:ListBucket", Resource: `arn:aws:s3:::${bucketName}` },
  {
    Effect: "Allow",
    Action: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    Resource: `arn:aws:s3:::${bucketName}/*`,
  },
];
/** Requests that make bucket, user, policy and key. */
const openRequests = 4;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: Buffer | string;
  readonly service?: "s3" | "iam";
}

interface Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function call(port: number, key: Key, { method, path, body = "", service = "s3" }: Call): Promise<Buffer> {
  // Without one aws4 gives every body the type of a form, and moto reads it as one.
  const type = service === "iam" ? "application/x-www-form-urlencoded; charset=utf-8" : "application/octet-stream";
  const headers = { "content-type": type };
  const host = `127.0.0.1:${String(port)}`;
  const signed = aws4.sign({ host, service, region: "us-east-1", method, path, headers, body }, { ...key });
  const sent = request({ host: "127.0.0.1", port, method, path, headers: { ...signed.headers }, agent: false });
  sent.end(body);
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const content = await bodyOf(answer);
  assert.ok((answer.statusCode ?? 500) < 300, `${method} ${path}: ${String(answer.statusCode)} ${String(content)}`);
  return content;
}

async function makeKey(port: number): Promise<Key> {
  const anybody = { accessKeyId: "anybody", secretAccessKey: "anything" };
  const iam = async (fields: Record<string, string>): Promise<string> => {
    const body = new URLSearchParams({ Version: "2010-05-08", UserName: "trainer", ...fields }).toString();
    return String(await call(port, anybody, { method: "POST", path: "/", body, service: "iam" }));
  };
  await call(port, anybody, { method: "PUT", path: `/${bucketName}` });
  await iam({ Action: "CreateUser" });
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: rights });
  await iam({ Action: "PutUserPolicy", PolicyName: "checkpoints", PolicyDocument: policy });
  const made = await iam({ Action: "CreateAccessKey" });
  const field = (name: string): string => new RegExp(`<${name}>([^<]+)<`).exec(made)?.[1] ?? "";
  return { accessKeyId: field("AccessKeyId"), secretAccessKey: field("SecretAccessKey") };
}

export class Bucket {
  readonly #moto: Moto;
  readonly #gate: Server;
  readonly key: Key;
  /** Replace it to meddle with what the training writes. */
  onPut: OnPut = () => "pass";

  private constructor(moto: Moto, key: Key) {
    this.#moto = moto;
    this.key = key;
    this.#gate = createServer((incoming, outgoing) => {
      void this.#pass(incoming)
        .then(({ status, body }) => outgoing.writeHead(status, { "content-length": body.length }).end(body))
        .catch(() => outgoing.destroy());
    });
  }

  static async start(progress: (line: string) => void): Promise<Bucket | { readonly missing: string }> {
    const moto = await startMoto(openRequests, progress);
    if ("missing" in moto) return moto;
    const bucket = new Bucket(moto, await makeKey(moto.port));
    await once(bucket.#gate.listen(0, "127.0.0.1"), "listening");
    return bucket;
  }

  async #pass(incoming: IncomingMessage): Promise<{ readonly status: number; readonly body: Buffer }> {
    const { method = "", url: path = "", headers } = incoming;
    const body = await bodyOf(incoming);
    const verdict = method === "PUT" ? this.onPut(path) : "pass";
    if (verdict === "refuse") return { status: 503, body: Buffer.alloc(0) };
    if (verdict !== "pass") await verdict;
    const sent = request({ host: "127.0.0.1", port: this.#moto.port, method, path, headers, agent: false });
    sent.end(body);
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    return { status: answer.statusCode ?? 500, body: await bodyOf(answer) };
  }

  /** What a training needs to reach it through the gate. */
  env(prefix: string): Readonly<Record<string, string>> {
    const address = this.#gate.address();
    assert.ok(typeof address === "object" && address !== null);
    return {
      NERVE_CHECKPOINT_URL: `s3://${bucketName}/${prefix}`,
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${String(address.port)}`,
      AWS_ACCESS_KEY_ID: this.key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: this.key.secretAccessKey,
    };
  }

  async get(name: string): Promise<Buffer> {
    return call(this.#moto.port, this.key, { method: "GET", path: `/${bucketName}/${name}` });
  }

  async put(name: string, body: Buffer | string): Promise<void> {
    await call(this.#moto.port, this.key, { method: "PUT", path: `/${bucketName}/${name}`, body });
  }

  async remove(name: string): Promise<void> {
    await call(this.#moto.port, this.key, { method: "DELETE", path: `/${bucketName}/${name}` });
  }

  /** Names below the prefix, sorted; of fewer than a thousand. */
  async names(prefix: string): Promise<string[]> {
    const path = `/${bucketName}?list-type=2&prefix=${encodeURIComponent(`${prefix}/`)}`;
    const list = String(await call(this.#moto.port, this.key, { method: "GET", path }));
    return [...list.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, name = ""]) => name).sort();
  }

  async close(): Promise<void> {
    this.#gate.closeAllConnections();
    this.#gate.close();
    this.#moto.process.kill("SIGKILL");
    if (this.#moto.process.exitCode === null && this.#moto.process.signalCode === null)
      await once(this.#moto.process, "exit");
  }
}
