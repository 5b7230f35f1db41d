/** What Lightsail sells in a region today: asked for where there are credentials, else from the library's table. */
import aws4 from "aws4";
import * as pulumi from "@pulumi/pulumi";
import { bundlesDate, knownBundles, readBundlesPage } from "../components/shared/vps/lightsail.ts";
import type { Offer } from "../components/shared/vps/offers.ts";

/** Longest wait for one page, ms: the table is there when nobody answers. */
const pageMs = 5000;
const mostPages = 20;

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

async function page(region: string, credentials: Credentials, token: string | undefined): Promise<unknown> {
  const endpoint = process.env["AWS_ENDPOINT_URL_LIGHTSAIL"] ?? `https://lightsail.${region}.amazonaws.com`;
  const { host, origin } = new URL(endpoint);
  const request = aws4.sign(
    {
      service: "lightsail",
      region,
      host,
      path: "/",
      method: "POST",
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": "Lightsail_20161128.GetBundles" },
      body: JSON.stringify(token === undefined ? {} : { pageToken: token }),
    },
    { ...credentials, sessionToken: process.env["AWS_SESSION_TOKEN"] ?? "" },
  );
  const headers = new Headers(
    Object.entries(request.headers ?? {}).flatMap(([name, value]): [string, string][] =>
      name.toLowerCase() === "host" || value === undefined ? [] : [[name, String(value)]],
    ),
  );
  const signal = AbortSignal.timeout(pageMs);
  const answer = await fetch(`${origin}/`, { method: "POST", headers, body: String(request.body), signal });
  if (!answer.ok) throw new Error(`it answered ${String(answer.status)}`);
  return answer.json();
}

async function asked(region: string, credentials: Credentials): Promise<readonly Offer[]> {
  const offers: Offer[] = [];
  let token: string | undefined;
  for (let pages = 0; pages < mostPages; pages += 1) {
    const read = readBundlesPage(await page(region, credentials, token));
    if (read === undefined) throw new Error("its answer is not the one of GetBundles");
    offers.push(...read.offers);
    token = read.nextPageToken;
    if (token === undefined) return offers;
  }
  throw new Error(`more than ${String(mostPages)} pages`);
}

/** The offers of a region. Never throws: without an answer they are the table's, and that is said. */
export async function lightsailOffers(region: string): Promise<readonly Offer[]> {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  const table = `Prices of Lightsail are those of ${bundlesDate}`;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    await pulumi.log.info(`${table}: there are no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to ask with`);
    return knownBundles(region);
  }
  try {
    return await asked(region, { accessKeyId, secretAccessKey });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await pulumi.log.warn(`${table}: Lightsail could not be asked (${why})`);
    return knownBundles(region);
  }
}
