import type { Route } from "./types.ts";

export type Found =
  | { readonly kind: "found"; readonly route: Route; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: "wrongMethod"; readonly allow: string }
  | { readonly kind: "unknown" };

function match(pattern: string, path: string): Readonly<Record<string, string>> | undefined {
  const [wanted, parts] = [pattern.split("/"), path.split("/")];
  if (wanted.length !== parts.length) return undefined;
  const params = new Map<string, string>();
  for (const [index, want] of wanted.entries()) {
    const part = parts[index] ?? "";
    if (!want.startsWith(":")) {
      if (want !== part) return undefined;
      continue;
    }
    try {
      params.set(want.slice(1), decodeURIComponent(part));
    } catch {
      return undefined;
    }
  }
  return Object.fromEntries(params);
}

/** The route of a request, or why there is none. The first one in the table wins. */
export function findRoute(routes: readonly Route[], method: string, path: string): Found {
  const allow = new Set<string>();
  for (const route of routes) {
    const params = match(route.path, path);
    if (params === undefined) continue;
    if (route.method === method) return { kind: "found", route, params };
    allow.add(route.method);
  }
  return allow.size === 0 ? { kind: "unknown" } : { kind: "wrongMethod", allow: [...allow].join(", ") };
}
