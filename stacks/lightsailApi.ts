/** One call of Lightsail's API, signed with the credentials of this machine's environment. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import aws4 from "aws4";

/** Longest wait for one answer, ms. */
const answerMs = 5000;

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Those of the environment, which the AWS provider uses too; undefined where there are none. */
export function awsCredentials(): AwsCredentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  return accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey };
}

/** Those of the profile in AWS's shared credentials file; undefined where there are none. */
export async function profileCredentials(): Promise<AwsCredentials | undefined> {
  const { AWS_SHARED_CREDENTIALS_FILE: file = join(homedir(), ".aws/credentials"), AWS_PROFILE: name = "default" } =
    process.env;
  const text = await readFile(file, "utf8").catch(() => "");
  const section = text.split(/^\s*\[/m).find((part) => part.startsWith(`${name}]`)) ?? "";
  const value = (key: string): string | undefined => new RegExp(`^\\s*${key}\\s*=\\s*(\\S+)`, "m").exec(section)?.[1];
  const [accessKeyId, secretAccessKey] = [value("aws_access_key_id"), value("aws_secret_access_key")];
  return accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey };
}

/** @throws Error when it does not answer, or refuses */
export async function askLightsail(
  region: string,
  credentials: AwsCredentials,
  action: "GetBundles" | "GetInstanceAccessDetails",
  body: object,
): Promise<unknown> {
  const endpoint = process.env["AWS_ENDPOINT_URL_LIGHTSAIL"] ?? `https://lightsail.${region}.amazonaws.com`;
  const { host, origin } = new URL(endpoint);
  const request = aws4.sign(
    {
      service: "lightsail",
      region,
      host,
      path: "/",
      method: "POST",
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `Lightsail_20161128.${action}` },
      body: JSON.stringify(body),
    },
    { ...credentials, sessionToken: process.env["AWS_SESSION_TOKEN"] ?? "" },
  );
  const headers = new Headers(
    Object.entries(request.headers ?? {}).flatMap(([name, value]): [string, string][] =>
      name.toLowerCase() === "host" || value === undefined ? [] : [[name, String(value)]],
    ),
  );
  const signal = AbortSignal.timeout(answerMs);
  const answer = await fetch(`${origin}/`, { method: "POST", headers, body: String(request.body), signal });
  if (!answer.ok) throw new Error(`it answered ${String(answer.status)}`);
  return answer.json();
}
