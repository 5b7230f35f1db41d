// Which engine fits which SDK.

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Reads `v3.259.0`, `3.259.0` or `3.259.0-alpha.1+x`; undefined for anything else. */
export function parseVersion(text: string): Version | undefined {
  const match = /^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+][0-9A-Za-z.+-]*)?$/.exec(text.trim());
  if (!match) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

/**
 * Why `found` cannot serve what asks for `wanted`, or undefined when it can: same major version, and a minor version
 * that is not older. Pulumi's CLI serves older SDKs of its major version; an older CLI lacks what a newer SDK calls.
 */
export function versionMismatch(wanted: string, found: string): string | undefined {
  const want = parseVersion(wanted);
  const have = parseVersion(found);
  if (!want) return `"${wanted}" is not a version`;
  if (!have) return `"${found.trim().slice(0, 80)}" is not a version`;
  if (have.major !== want.major) return `its major version is ${have.major}, ${want.major} is needed`;
  if (have.minor < want.minor)
    return `it is ${have.major}.${have.minor}, at least ${want.major}.${want.minor} is needed`;
  return undefined;
}
