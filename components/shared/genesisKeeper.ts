import { isKeeperSettings, keeperSettingsFaults, type KeeperSettings } from "./agent/keeperSettings.ts";
import type { Fault } from "./faults.ts";
import type { RawReader } from "./rawReader.ts";
import { SecretText } from "./secretText.ts";

/** The section `keeper`, undefined where it is absent or null: no Keeper. Its faults are noted, all at once. */
export function readKeeper(root: RawReader, faults: Fault[]): KeeperSettings | undefined {
  if (!root.has("keeper") || root.isNull("keeper")) return undefined;
  // As a whole it would hide every fault in it; its secrets have keys of their own.
  if (root.secret("keeper") instanceof SecretText) {
    root.raw("keeper");
    return undefined;
  }
  const section = root.json("keeper");
  const told = keeperSettingsFaults(section);
  faults.push(...told.map((fault) => ({ ...fault, property: root.path(fault.property) })));
  return told.length === 0 && isKeeperSettings(section) ? section : undefined;
}
