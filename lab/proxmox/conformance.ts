/**
 * Does recorded traffic conform to Proxmox's published API? Given the lines of `traffic.jsonl` and the OpenAPI document,
 * returns the operations and parameters that the document does not know. Pure; the document is read by the caller.
 *
 * The document writes numbered options as `net[n]` or by example (`net0`): one number stands for all.
 */

export interface TrafficRecord {
  readonly method: string;
  /** Below `/api2/json`, as sent. */
  readonly path: string;
  readonly params: readonly string[];
}

export interface ConformanceReport {
  readonly requests: number;
  /** `METHOD /path` of requests whose operation the document lacks. */
  readonly unknownPaths: readonly string[];
  /** `METHOD /template: name` of parameters the operation does not have. */
  readonly unknownParameters: readonly string[];
}

/** An operation that Proxmox has and the document lacks, with where it was read. */
export interface SchemaGap {
  readonly method: string;
  readonly path: string;
  readonly params: readonly string[];
  readonly source: string;
}

const CONTENT = "pve-storage@0c56bad src/PVE/API2/Storage/Content.pm";

const STATUS = "pve-storage@0c56bad src/PVE/API2/Storage/Status.pm";

/** The document lacks a node's storages and what lies below them: these were read in Proxmox's source. */
export const SCHEMA_GAPS: readonly SchemaGap[] = [
  {
    method: "GET",
    path: "/nodes/{node}/version",
    params: [],
    source: "pve-manager@14a22df3 PVE/API2/Nodes.pm (version)",
  },
  {
    method: "GET",
    path: "/nodes/{node}/storage",
    params: ["content", "enabled", "format", "storage", "target"],
    source: STATUS,
  },
  { method: "GET", path: "/nodes/{node}/storage/{storage}/status", params: [], source: STATUS },
  { method: "GET", path: "/nodes/{node}/storage/{storage}/content", params: ["content", "vmid"], source: CONTENT },
  { method: "GET", path: "/nodes/{node}/storage/{storage}/content/{volume}", params: [], source: CONTENT },
  { method: "DELETE", path: "/nodes/{node}/storage/{storage}/content/{volume}", params: ["delay"], source: CONTENT },
  {
    method: "POST",
    path: "/nodes/{node}/storage/{storage}/download-url",
    params: [
      "url",
      "content",
      "filename",
      "checksum",
      "checksum-algorithm",
      "compression",
      "verify-certificates",
      "node",
      "storage",
    ],
    source: `${STATUS} (download_url)`,
  },
  {
    method: "POST",
    path: "/nodes/{node}/storage/{storage}/upload",
    params: ["content", "filename", "tmpfilename", "checksum", "checksum-algorithm"],
    source: `${STATUS} (upload)`,
  },
];

interface Operation {
  readonly names: ReadonlySet<string>;
}

interface Template {
  readonly template: string;
  readonly segments: readonly string[];
  readonly operations: ReadonlyMap<string, Operation>;
}

type Json = unknown;

const isObject = (value: Json): value is Record<string, Json> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function at(value: Json, ...keys: string[]): Json {
  return keys.reduce<Json>((current, key) => (isObject(current) ? current[key] : undefined), value);
}

/** `net[n]` and `net0` both become `net#`. */
function generic(name: string): string {
  return name.replace(/\[n\]$/, "#").replace(/\d+$/, "#");
}

function operationOf(document: Json, operation: Json, shared: Json): Operation {
  const names = new Set<string>();
  const add = (name: string): void => {
    names.add(name);
    if (generic(name) !== name) names.add(generic(name));
  };
  for (const list of [shared, at(operation, "parameters")]) {
    if (!Array.isArray(list)) continue;
    for (const parameter of list) {
      const name = at(parameter, "name");
      if (typeof name === "string") add(name);
    }
  }
  const content = at(operation, "requestBody", "content");
  if (isObject(content)) {
    for (const media of Object.values(content)) {
      const properties = at(resolve(document, at(media, "schema")), "properties");
      if (isObject(properties)) Object.keys(properties).forEach(add);
    }
  }
  return { names };
}

function resolve(document: Json, schema: Json): Json {
  const reference = at(schema, "$ref");
  if (typeof reference !== "string") return schema;
  return at(document, ...reference.replace(/^#\//, "").split("/"));
}

function templatesOf(document: Json): Template[] {
  const paths = at(document, "paths");
  if (!isObject(paths)) throw new Error("the OpenAPI document has no paths");
  return Object.entries(paths).map(([template, item]) => {
    const operations = new Map<string, Operation>();
    if (isObject(item)) {
      for (const [method, operation] of Object.entries(item)) {
        if (/^(get|post|put|delete)$/.test(method))
          operations.set(method.toUpperCase(), operationOf(document, operation, item["parameters"]));
      }
    }
    return { template, segments: template.split("/").slice(1), operations };
  });
}

/** The template with the fewest placeholders that fits and has the method. */
function match(templates: readonly Template[], method: string, path: string): Template | undefined {
  const wanted = path.split("/").slice(1);
  const fitting = templates.filter(
    (t) =>
      t.operations.has(method) &&
      t.segments.length === wanted.length &&
      t.segments.every((s, i) => s.startsWith("{") || s === wanted[i]),
  );
  const holes = (t: Template): number => t.segments.filter((s) => s.startsWith("{")).length;
  return fitting.sort((a, b) => holes(a) - holes(b))[0];
}

export function checkConformance(
  traffic: readonly TrafficRecord[],
  document: Json,
  gaps: readonly SchemaGap[] = SCHEMA_GAPS,
): ConformanceReport {
  const templates = [...templatesOf(document), ...gaps.map(gapTemplate)];
  const unknownPaths = new Set<string>();
  const unknownParameters = new Set<string>();
  for (const { method, path, params } of traffic) {
    const trimmed = path.length > 1 ? path.replace(/\/+$/, "") : path;
    const template = match(templates, method, trimmed);
    const operation = template?.operations.get(method);
    if (!template || !operation) {
      unknownPaths.add(`${method} ${trimmed}`);
      continue;
    }
    for (const name of params) {
      const known = operation.names.has(name) || operation.names.has(generic(name));
      if (!known) unknownParameters.add(`${method} ${template.template}: ${name}`);
    }
  }
  return {
    requests: traffic.length,
    unknownPaths: [...unknownPaths].sort(),
    unknownParameters: [...unknownParameters].sort(),
  };
}

function gapTemplate(gap: SchemaGap): Template {
  return {
    template: gap.path,
    segments: gap.path.split("/").slice(1),
    operations: new Map([[gap.method, { names: new Set(gap.params) }]]),
  };
}

/** Reads `traffic.jsonl`; a line cut short by a kill is left out. */
export function parseTraffic(text: string): TrafficRecord[] {
  const out: TrafficRecord[] = [];
  for (const line of text.split("\n")) {
    let record: Json;
    try {
      record = JSON.parse(line);
    } catch {
      continue;
    }
    const [method, path, params] = [at(record, "method"), at(record, "path"), at(record, "params")];
    if (typeof method !== "string" || typeof path !== "string" || !Array.isArray(params)) continue;
    out.push({ method, path, params: params.filter((p) => typeof p === "string") });
  }
  return out;
}
