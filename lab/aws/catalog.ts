/**
 * What Lightsail sells, as GetBundles, GetBlueprints and GetRegions tell it. Prices and sizes: Lightsail user guide,
 * "Instance plans" (read 2026-09; us-east-1, Linux, with a public IPv4 address).
 */
export interface Bundle {
  bundleId: string;
  name: string;
  instanceType: string;
  price: number;
  cpuCount: number;
  ramSizeInGb: number;
  diskSizeInGb: number;
  transferPerMonthInGb: number;
  power: number;
  isActive: boolean;
  supportedPlatforms: string[];
  publicIpv4AddressCount: number;
}

const rows: readonly (readonly [string, string, number, number, number, number, number, number])[] = [
  ["nano", "Nano", 5, 2, 0.5, 20, 1024, 300],
  ["micro", "Micro", 7, 2, 1, 40, 2048, 500],
  ["small", "Small", 12, 2, 2, 60, 3072, 1000],
  ["medium", "Medium", 24, 2, 4, 80, 4096, 2000],
  ["large", "Large", 44, 2, 8, 160, 5120, 3000],
  ["xlarge", "Xlarge", 84, 4, 16, 320, 6144, 4000],
  ["2xlarge", "2Xlarge", 164, 8, 32, 640, 7168, 5000],
];

function bundle(row: (typeof rows)[number], generation: 2 | 3, active: boolean): Bundle {
  const [instanceType, name, price, cpuCount, ramSizeInGb, diskSizeInGb, transferPerMonthInGb, power] = row;
  return {
    ...{ bundleId: `${instanceType}_${generation}_0`, name, instanceType, price, cpuCount, ramSizeInGb, diskSizeInGb },
    ...{ transferPerMonthInGb, power, isActive: active, supportedPlatforms: ["LINUX_UNIX"], publicIpv4AddressCount: 1 },
  };
}

/** The generation that is sold, and the one before it, which is listed as inactive. */
export const bundles: readonly Bundle[] = rows.flatMap((row) => [bundle(row, 3, true), bundle(row, 2, false)]);

export interface Blueprint {
  blueprintId: string;
  name: string;
  group: string;
  type: string;
  description: string;
  isActive: boolean;
  minPower: number;
  version: string;
  versionCode: string;
  platform: string;
}

function blueprint(group: string, name: string, version: string): Blueprint {
  const blueprintId = `${group}_${version.replaceAll(".", "_").toLowerCase()}`;
  return {
    ...{
      blueprintId,
      name,
      group,
      type: "os",
      description: `${name} ${version}`,
      isActive: true,
      minPower: 0,
      version,
    },
    ...{ versionCode: "1", platform: "LINUX_UNIX" },
  };
}

export const blueprints: readonly Blueprint[] = [
  blueprint("debian", "Debian", "11"),
  blueprint("debian", "Debian", "12"),
  blueprint("ubuntu", "Ubuntu", "22.04"),
  blueprint("ubuntu", "Ubuntu", "24.04"),
];

/** Account of a new server: user guide, "Connect to your instance". */
export function userNameOf(blueprintId: string): string {
  return blueprintId.startsWith("ubuntu") ? "ubuntu" : "admin";
}

export const regions: Readonly<Record<string, string>> = {
  "us-east-1": "Virginia",
  "us-west-2": "Oregon",
  "eu-west-1": "Ireland",
  "eu-west-3": "Paris",
  "eu-central-1": "Frankfurt",
  "ap-northeast-1": "Tokyo",
};
