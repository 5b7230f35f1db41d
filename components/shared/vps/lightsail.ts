/** What AWS Lightsail sells, as data and as its API tells it. Pure. */
import * as z from "zod";
import type { Offer } from "./offers.ts";

/**
 * Plans for Linux with a public IPv4 address, by their ids (`_3_0`: the third generation, in the regions below).
 * Source: docs.aws.amazon.com/lightsail/latest/userguide/amazon-lightsail-bundles.html, list prices of us-east-1 in USD
 * a month. Those with more than 64 GB are of no size that an agent has.
 */
const bundles = {
  /** Day on which the table was read. */
  date: "2026-09-17",
  /** Regions with these ids and prices; Mumbai, Sydney and Jakarta have others. */
  regions: [
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
  ],
  rows: [
    { id: "nano_3_0", ramMiB: 512, vcpus: 2, usd: 5 },
    { id: "micro_3_0", ramMiB: 1024, vcpus: 2, usd: 7 },
    { id: "small_3_0", ramMiB: 2048, vcpus: 2, usd: 12 },
    { id: "medium_3_0", ramMiB: 4096, vcpus: 2, usd: 24 },
    { id: "large_3_0", ramMiB: 8192, vcpus: 2, usd: 44 },
    { id: "xlarge_3_0", ramMiB: 16_384, vcpus: 4, usd: 84 },
    { id: "2xlarge_3_0", ramMiB: 32_768, vcpus: 8, usd: 164 },
    { id: "4xlarge_3_0", ramMiB: 65_536, vcpus: 16, usd: 384 },
  ],
} as const;

/** Day on which the table of {@link knownBundles} was read. */
export const bundlesDate = bundles.date;

/** Hours that a month's price is divided by: Lightsail bills 5 USD a month as 0.0067 USD an hour, which is 31 days. */
const hoursAMonth = 744;

function offerOf(bundle: {
  readonly id: string;
  readonly ramMiB: number;
  readonly vcpus: number;
  readonly usd: number;
}): Offer {
  // A price is a float on the wire: what it is off by must not become another cent.
  const centsPerMonth = Math.ceil(bundle.usd * 100 - 1e-4);
  const { id, ramMiB, vcpus } = bundle;
  return { id, ramMiB, vcpus, centsPerMonth, centsPerHour: Math.ceil(centsPerMonth / hoursAMonth) };
}

/** The region of an availability zone: `eu-west-3a` is in `eu-west-3`; undefined for what is none. */
export function regionOf(zone: string): string | undefined {
  return /^([a-z]{2}(?:-[a-z]+)+-\d)[a-z]$/.exec(zone)?.[1];
}

/** The table's offers in a region; none where it does not hold. */
export function knownBundles(region: string): readonly Offer[] {
  return bundles.regions.some((known) => known === region) ? bundles.rows.map(offerOf) : [];
}

const answer = z.object({
  bundles: z.array(
    z.object({
      bundleId: z.string().min(1).max(100),
      price: z.number().nonnegative(),
      cpuCount: z.number().int().positive(),
      ramSizeInGb: z.number().positive(),
      isActive: z.boolean().default(true),
      supportedPlatforms: z.array(z.string()).default(["LINUX_UNIX"]),
      supportedAppCategories: z.array(z.string()).default([]),
      publicIpv4AddressCount: z.number().int().default(1),
    }),
  ),
  nextPageToken: z.string().min(1).max(10_000).nullish(),
});

/** One page of Lightsail's answer to `GetBundles`. */
export interface BundlesPage {
  readonly offers: readonly Offer[];
  readonly nextPageToken?: string | undefined;
}

/**
 * Reads a page of `GetBundles` (docs.aws.amazon.com/lightsail/2016-11-28/api-reference/API_Bundle.html): what is still
 * sold for Linux on x86-64, with a public IPv4 address, and not for Lightsail for Research. Undefined when it is no such answer.
 */
export function readBundlesPage(json: unknown): BundlesPage | undefined {
  const read = answer.safeParse(json);
  if (!read.success) return undefined;
  const offers = read.data.bundles.flatMap((bundle) =>
    bundle.isActive &&
    bundle.supportedPlatforms.includes("LINUX_UNIX") &&
    bundle.supportedAppCategories.length === 0 &&
    // The agent's release is for x86-64.
    !/(?:^|_)arm(?:64)?_/.test(bundle.bundleId) &&
    bundle.publicIpv4AddressCount > 0
      ? [
          offerOf({
            id: bundle.bundleId,
            ramMiB: Math.round(bundle.ramSizeInGb * 1024),
            vcpus: bundle.cpuCount,
            usd: bundle.price,
          }),
        ]
      : [],
  );
  return { offers, nextPageToken: read.data.nextPageToken ?? undefined };
}
