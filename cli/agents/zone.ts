/** Where servers at Lightsail are, and where the Sentinel's reaper sees them. Pure. */
import type { Fault } from "../../components/shared/faults.ts";
import { regionOf } from "../../components/shared/vps/lightsail.ts";

/** Where servers at Lightsail are made unless the settings say it. */
export const usualZone = "eu-west-3a";

/**
 * What is wrong with a zone: the reaper looks at one region, and nobody would delete a server of another one at its end.
 * @param region the reaper's; undefined where it has no credentials for Lightsail
 */
export function zoneFaults(property: string, zone: string, region: string | undefined): readonly Fault[] {
  if (region === undefined || regionOf(zone) === region) return [];
  const limit = `a zone of ${region}, the one region that the Sentinel's reaper looks at`;
  const fix = "Choose one, or set watch.reaper.lightsail.region in hive:config of stack sentinel: docs/watch.md.";
  return [{ property, value: `"${zone}"`, limit, fix }];
}
