import type { Checked } from "./faults.ts";
import { fault } from "./check.ts";

const factors: Readonly<Record<string, number>> = {
  M: 1,
  MB: 1,
  MiB: 1,
  G: 1024,
  GB: 1024,
  GiB: 1024,
  T: 1024 * 1024,
  TB: 1024 * 1024,
  TiB: 1024 * 1024,
};
const pattern = /^\s*(\d{1,10}(?:\.\d{1,6})?)\s*([A-Za-z]{1,3})\s*$/;
const mostMiB = 1024 ** 3;

/**
 * An amount of memory in MiB. A number is taken as MiB. Proxmox counts in binary units whatever it prints, so
 * `4 GB`, `4 GiB` and `4096 MiB` are the same 4096 MiB.
 */
export function parseMiB(property: string, text: string | number): Checked<number> {
  const limit = "a positive amount of whole MiB, such as 512 MiB, 4 GB or 64 GiB";
  const [, amount, unit] = typeof text === "number" ? [text, text, "MiB"] : (pattern.exec(text) ?? []);
  const factor = factors[String(unit)];
  const mib = factor === undefined ? Number.NaN : Number(amount) * factor;
  if (Number.isInteger(mib) && mib > 0 && mib <= mostMiB) return { ok: true, value: mib };
  return { ok: false, faults: [fault(property, text, limit, "Write a number and a unit: MiB, GB or TB.")] };
}

/** MiB for people: whole GiB as `64 GiB`, everything else as `1536 MiB`. */
export function formatMiB(mib: number): string {
  return mib !== 0 && mib % 1024 === 0 ? `${String(mib / 1024)} GiB` : `${String(mib)} MiB`;
}
