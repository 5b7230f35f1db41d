/** What Lightsail sells in a region today: asked for where there are credentials, else from the library's table. */
import * as pulumi from "@pulumi/pulumi";
import type { AwsCredentials } from "../components/shared/vps/lightsailCall.ts";
import { bundlesDate, knownBundles, readBundlesPage } from "../components/shared/vps/lightsail.ts";
import type { Offer } from "../components/shared/vps/offers.ts";
import { askLightsail, awsCredentials } from "./lightsailApi.ts";

const mostPages = 20;

async function asked(region: string, credentials: AwsCredentials): Promise<readonly Offer[]> {
  const offers: Offer[] = [];
  let token: string | undefined;
  for (let pages = 0; pages < mostPages; pages += 1) {
    const read = readBundlesPage(
      await askLightsail(region, credentials, "GetBundles", token === undefined ? {} : { pageToken: token }),
    );
    if (read === undefined) throw new Error("its answer is not the one of GetBundles");
    offers.push(...read.offers);
    token = read.nextPageToken;
    if (token === undefined) return offers;
  }
  throw new Error(`more than ${String(mostPages)} pages`);
}

/** The offers of a region. Never throws: without an answer they are the table's, and that is said. */
export async function lightsailOffers(region: string): Promise<readonly Offer[]> {
  const credentials = awsCredentials();
  const table = `Prices of Lightsail are those of ${bundlesDate}`;
  if (credentials === undefined) {
    await pulumi.log.info(`${table}: there are no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to ask with`);
    return knownBundles(region);
  }
  try {
    return await asked(region, credentials);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await pulumi.log.warn(`${table}: Lightsail could not be asked (${why})`);
    return knownBundles(region);
  }
}
