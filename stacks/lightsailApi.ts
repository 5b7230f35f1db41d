/** One call of Lightsail's API, with the credentials of this machine's environment. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import {
  type AwsCredentials,
  credentialsIn,
  lightsailEndpoint,
  signedHeaders,
} from "../components/shared/vps/lightsailCall.ts";

/** Longest wait for one answer, ms. */
const answerMs = 5000;

/** Those of the environment, which the AWS provider uses too; undefined where there are none. */
export function awsCredentials(): AwsCredentials | undefined {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken = "",
  } = process.env;
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken === "" ? {} : { sessionToken }) };
}

/** Those of the profile in AWS's shared credentials file; undefined where there are none. */
export async function profileCredentials(): Promise<AwsCredentials | undefined> {
  const { AWS_SHARED_CREDENTIALS_FILE: file = join(homedir(), ".aws/credentials"), AWS_PROFILE: name = "default" } =
    process.env;
  return credentialsIn(await readFile(file, "utf8").catch(() => ""), name);
}

/** An answer other than 200. */
export class LightsailRefusal extends Error {
  override readonly name = "LightsailRefusal";
  /** Whether whoever asked has no right to. */
  readonly denied: boolean;

  constructor(status: number, body: string) {
    const type = /"__type"\s*:\s*"(?:[\w.]+#)?(\w+)"/.exec(body)?.[1];
    super(`it answered ${String(status)}${type === undefined ? "" : `, ${type}`}`);
    this.denied = type === "AccessDeniedException";
  }
}

/** @throws Error when it does not answer; {@link LightsailRefusal} */
export async function askLightsail(
  region: string,
  credentials: AwsCredentials,
  action: "GetBundles" | "GetInstanceAccessDetails",
  asked: object,
): Promise<unknown> {
  const { host, origin } = new URL(process.env["AWS_ENDPOINT_URL_LIGHTSAIL"] ?? lightsailEndpoint(region));
  const body = JSON.stringify(asked);
  const headers = signedHeaders({ region, host, action, body }, credentials);
  const signal = AbortSignal.timeout(answerMs);
  const answer = await fetch(`${origin}/`, { method: "POST", headers, body, signal });
  if (!answer.ok) throw new LightsailRefusal(answer.status, await answer.text());
  return answer.json();
}
