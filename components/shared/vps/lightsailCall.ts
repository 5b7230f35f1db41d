/**
 * Calls of Lightsail's API, as they travel: AWS JSON 1.1, signed by Signature Version 4 (`aws4`: 2 MiB of memory, where the
 * client of AWS's own SDK takes 27). Pure.
 */
import aws4 from "aws4";

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string;
}

/**
 * The credentials of one profile in AWS's shared credentials file (AWS SDKs and Tools Reference Guide, "Shared config and
 * credentials files"): lines of `name = value` below `[profile]`. Undefined where it lacks one of the two keys.
 */
export function credentialsIn(text: string, profile: string): AwsCredentials | undefined {
  const found = new Map<string, string>();
  let current = "";
  for (const line of text.split("\n")) {
    const [, section] = /^\s*\[([^\]]+)\]\s*$/.exec(line) ?? [];
    if (section !== undefined) current = section.trim();
    const [, name, value] = /^\s*(\w+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (current === profile && name !== undefined && value !== undefined) found.set(name, value);
  }
  const [accessKeyId, secretAccessKey] = [found.get("aws_access_key_id"), found.get("aws_secret_access_key")];
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  const sessionToken = found.get("aws_session_token");
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** Where a region's API is. */
export function lightsailEndpoint(region: string): string {
  return `https://lightsail.${region}.amazonaws.com`;
}

/** Headers of a POST of this body to `/`, without the host's own. @param call.host with its port, where it has one */
export function signedHeaders(
  call: { readonly region: string; readonly host: string; readonly action: string; readonly body: string },
  credentials: AwsCredentials,
): Readonly<Record<string, string>> {
  const { region, host, action, body } = call;
  const headers = { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": `Lightsail_20161128.${action}` };
  const signed = aws4.sign(
    { service: "lightsail", region, method: "POST", host, path: "/", body, headers },
    credentials,
  );
  return Object.fromEntries(
    Object.entries(signed.headers ?? {}).flatMap(([name, value]): [string, string][] =>
      name.toLowerCase() === "host" || value === undefined ? [] : [[name, String(value)]],
    ),
  );
}
