/**
 * Who may call: AWS Signature Version 4 is checked for real (AWS General Reference, "Signature Version 4 signing
 * process"), and each credential has the part of an IAM policy that the lab needs: actions, and tags that the resource
 * must carry (`aws:ResourceTag/…`).
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { isRecord, privateFolder, readJsonObject, writeFileAtomic } from "../host/files.ts";
import { AwsError } from "./errors.ts";

export interface Statement {
  /** `*` stands for anything. */
  actions: readonly string[];
  /** Tags that the resource must carry, every one of them. @default none */
  whenTagged?: Readonly<Record<string, string>>;
}

export interface Credential {
  accessKeyId: string;
  secretAccessKey: string;
  user: string;
  may: readonly Statement[];
}

/** The rights of a reaper, after components/shared/vps/reaperRights.ts, which a test holds this to. */
const reaperMay: readonly Statement[] = [
  { actions: ["GetInstance", "GetInstances"] },
  { actions: ["DeleteInstance"], whenTagged: { "hive:throwaway": "true", "hive:estate": "lab" } },
];

/** The two credentials of a lab, made once: `admin` may do all, `reaper` what the Sentinel's reaper is to have. */
export function ensureCredentials(stateDir: string): { admin: Credential; reaper: Credential } {
  const file = join(privateFolder(join(stateDir, "aws")), "credentials.json");
  const stored = readJsonObject(file) ?? {};
  const keyOf = (user: string): { accessKeyId: string; secretAccessKey: string } => {
    const found = stored[user];
    if (isRecord(found) && typeof found["accessKeyId"] === "string" && typeof found["secretAccessKey"] === "string")
      return { accessKeyId: found["accessKeyId"], secretAccessKey: found["secretAccessKey"] };
    const letters = [...randomBytes(16)].map((byte) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[byte & 31]);
    return { accessKeyId: `AKIA${letters.join("")}`, secretAccessKey: randomBytes(30).toString("base64") };
  };
  const admin = { ...keyOf("admin"), user: "admin", may: [{ actions: ["*"] }] };
  const reaper = { ...keyOf("reaper"), user: "reaper", may: reaperMay };
  const both = { admin: keyPart(admin), reaper: keyPart(reaper) };
  writeFileAtomic(file, `${JSON.stringify(both)}\n`);
  return { admin, reaper };
}

function keyPart({ accessKeyId, secretAccessKey }: Credential): object {
  return { accessKeyId, secretAccessKey };
}

export interface SignedRequest {
  method: string;
  path: string;
  query: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
}

/** How far the clocks may be apart, ms: AWS allows five minutes. */
const skewMs = 5 * 60_000;

/** The credential and region that a request is signed for. @throws AwsError as AWS refuses it */
export function verifySignature(
  request: SignedRequest,
  credentials: readonly Credential[],
  nowMs: number,
): { credential: Credential; region: string } {
  const authorization = header(request, "authorization");
  if (authorization === "")
    throw new AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403);
  const [, keyId = "", date = "", region = "", service = "", signed = "", signature = ""] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([\w-]+)\/(\w+)\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? [];
  if (keyId === "") throw new AwsError("IncompleteSignatureException", "Authorization header is not in a valid form");
  const credential = credentials.find((entry) => entry.accessKeyId === keyId);
  if (credential === undefined)
    throw new AwsError("UnrecognizedClientException", "The security token included in the request is invalid.");
  const stamp = header(request, "x-amz-date");
  const signedMs = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!(Math.abs(nowMs - signedMs) <= skewMs) || !stamp.startsWith(date))
    throw new AwsError("InvalidSignatureException", `Signature expired or not yet current: ${stamp}`);
  const names = signed.split(";");
  if (service !== "lightsail" || !names.includes("host"))
    throw new AwsError("InvalidSignatureException", "Credential should be scoped to correct service: 'lightsail'.");
  const canonical = [
    request.method,
    request.path,
    request.query,
    ...names.map((name) => `${name}:${header(request, name).trim().replaceAll(/\s+/g, " ")}`),
    "",
    signed,
    sha256(request.body),
  ].join("\n");
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", stamp, scope, sha256(Buffer.from(canonical))].join("\n");
  const key = [date, region, service, "aws4_request"].reduce<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${credential.secretAccessKey}`),
  );
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, "hex")))
    throw new AwsError(
      "InvalidSignatureException",
      "The request signature we calculated does not match the signature you provided.",
    );
  return { credential, region };
}

/** @throws AwsError AccessDeniedException, in IAM's words */
export function authorize(
  credential: Credential,
  action: string,
  tags: readonly { key: string; value: string }[],
): void {
  const allowed = credential.may.some(
    ({ actions, whenTagged }) =>
      (actions.includes("*") || actions.includes(action)) &&
      Object.entries(whenTagged ?? {}).every(([key, value]) =>
        tags.some((tag) => tag.key === key && tag.value === value),
      ),
  );
  if (!allowed)
    throw new AwsError(
      "AccessDeniedException",
      `User: arn:aws:iam::123456789012:user/${credential.user} is not authorized to perform: lightsail:${action} because no identity-based policy allows the lightsail:${action} action`,
    );
}

function header(request: SignedRequest, name: string): string {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
