/** A stack's resources as its state has them: inputs by URN, with what differs from one lab to the next named instead. */
import type { LabInfo } from "../../lab/index.ts";
import { readFileSync } from "node:fs";
import { record, rows } from "./lab-client.ts";

export interface Graph {
  readonly [urn: string]: string;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!(value instanceof Object)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** Resources of a state as `pulumi stack export` prints it. */
export function resourcesOf(exported: string): Record<string, unknown>[] {
  return rows(record(record(JSON.parse(exported))["deployment"])["resources"] ?? []);
}

/** From an export with secrets shown. */
export function graphOf(exported: string, lab: LabInfo): Graph {
  const own: [string, string][] = [
    [readFileSync(lab.tokenFile, "utf8").trim(), "TOKEN"],
    [JSON.stringify(readFileSync(lab.ssh.privateKeyFile, "utf8")).slice(1, -1), "KEY"],
    [lab.ssh.hostPublicKey.trim(), "HOSTKEY"],
    [new URL(lab.apiUrl).host, "API"],
    [String(lab.ssh.port), "SSHPORT"],
    [new URL(lab.apiUrl).port, "APIPORT"],
  ];
  const named = (text: string): string => own.reduce((all, [value, name]) => all.replaceAll(value, name), text);
  return Object.fromEntries(
    resourcesOf(exported).map((resource) => [
      String(resource["urn"]),
      named(JSON.stringify(sorted(resource["inputs"] ?? {}))),
    ]),
  );
}
