/** Aliases, sets and references. Source: pve-firewall src/PVE/API2/Firewall/{Aliases,IPSet,Cluster}.pm. */
import { die, paramError } from "../core/errors.ts";
import { sha1 } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { FirewallScope } from "../core/state.ts";
import type { Scope } from "./firewall-routes.ts";

const API = "pve-firewall@6f1311f src/PVE/API2/Firewall";

function isCidr(text: string): boolean {
  return (
    /^(\d{1,3}\.){3}\d{1,3}(\/\d{1,2})?(-(\d{1,3}\.){3}\d{1,3})?$/.test(text) ||
    /^[0-9a-f:]+:[0-9a-f:]*(\/\d{1,3})?$/i.test(text)
  );
}

function aliasView(alias: FirewallScope["aliases"][string]): Record<string, string | number> {
  return { ...alias, ipversion: alias.cidr.includes(":") ? 6 : 4, digest: sha1(JSON.stringify(alias)) };
}

function optional(name: "comment" | "nomatch", value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}

export function setRoutes(scope: Scope): Route[] {
  const aliasName = (c: Context): string => (c.path["name"] ?? "").toLowerCase();
  const findAlias = (c: Context): FirewallScope["aliases"][string] =>
    scope.find(c).aliases[aliasName(c)] ?? paramError({ name: "no such alias" });
  const findSet = (c: Context): FirewallScope["ipset"][string] =>
    scope.find(c).ipset[c.path["name"] ?? ""] ?? die(`no such IPSet '${c.path["name"] ?? ""}'`);
  const aliases = `${scope.base}/aliases`;
  const ipset = `${scope.base}/ipset`;
  const aliasSource = `${API}/Aliases.pm; bpg v0.111.1 proxmox/firewall/aliases_types.go`;
  const setSource = `${API}/IPSet.pm; bpg v0.111.1 proxmox/firewall/ipset_types.go`;
  return [
    {
      method: "GET",
      path: aliases,
      params: "",
      source: aliasSource,
      handle: (c) => {
        scope.audit(c);
        return Object.values(scope.find(c).aliases).map(aliasView);
      },
    },
    {
      method: "POST",
      path: aliases,
      params: "name! cidr! comment",
      source: aliasSource,
      handle: (c) => {
        scope.modify(c);
        const name = c.params["name"] ?? "";
        const cidr = c.params["cidr"] ?? "";
        const all = scope.find(c).aliases;
        if (!isCidr(cidr))
          paramError({ cidr: "invalid format - value does not look like a valid IP address or network" });
        if (all[name.toLowerCase()]) paramError({ name: `alias '${name}' already exists` });
        all[name.toLowerCase()] = { name, cidr, ...optional("comment", c.params["comment"]) };
        return null;
      },
    },
    {
      method: "GET",
      path: `${aliases}/{name}`,
      params: "",
      source: aliasSource,
      handle: (c) => {
        scope.audit(c);
        return aliasView(findAlias(c));
      },
    },
    {
      method: "PUT",
      path: `${aliases}/{name}`,
      params: "cidr! comment rename digest",
      source: aliasSource,
      handle: (c) => {
        scope.modify(c);
        const alias = findAlias(c);
        const all = scope.find(c).aliases;
        const rename = c.params["rename"];
        if (rename !== undefined && rename.toLowerCase() !== aliasName(c) && all[rename.toLowerCase()]) {
          paramError({ name: `alias '${rename}' already exists` });
        }
        delete all[aliasName(c)];
        const name = rename ?? alias.name;
        all[name.toLowerCase()] = {
          name,
          cidr: c.params["cidr"] ?? alias.cidr,
          ...optional("comment", c.params["comment"]),
        };
        return null;
      },
    },
    {
      method: "DELETE",
      path: `${aliases}/{name}`,
      params: "digest",
      source: aliasSource,
      handle: (c) => {
        scope.modify(c);
        delete scope.find(c).aliases[aliasName(c)];
        return null;
      },
    },
    {
      method: "GET",
      path: ipset,
      params: "",
      source: setSource,
      handle: (c) => {
        scope.audit(c);
        return Object.entries(scope.find(c).ipset).map(([name, set]) => ({
          name,
          digest: sha1(name),
          ...optional("comment", set.comment),
        }));
      },
    },
    {
      method: "POST",
      path: ipset,
      params: "name! comment rename digest",
      source: setSource,
      handle: (c) => {
        scope.modify(c);
        const sets = scope.find(c).ipset;
        const name = c.params["name"] ?? "";
        const rename = c.params["rename"];
        if (rename !== undefined) {
          const old = sets[rename];
          if (!old) paramError({ name: `IPSet '${rename}' does not exist` });
          if (rename !== name && sets[name]) paramError({ name: `IPSet '${name}' does already exist` });
          delete sets[rename];
          sets[name] = { ...old, ...optional("comment", c.params["comment"]) };
        } else {
          if (sets[name]) paramError({ name: `IPSet '${name}' already exists` });
          sets[name] = { entries: [], ...optional("comment", c.params["comment"]) };
        }
        return null;
      },
    },
    {
      method: "GET",
      path: `${ipset}/{name}`,
      params: "",
      source: setSource,
      handle: (c) => {
        scope.audit(c);
        return findSet(c).entries.map((e) => ({
          ...e,
          ...(e.nomatch === undefined ? {} : { nomatch: Number(e.nomatch) }),
          digest: sha1(e.cidr),
        }));
      },
    },
    {
      method: "POST",
      path: `${ipset}/{name}`,
      params: "cidr! comment nomatch",
      source: setSource,
      handle: (c) => {
        scope.modify(c);
        const set = findSet(c);
        const cidr = c.params["cidr"] ?? "";
        if (!isCidr(cidr) && !/^(dc\/|guest\/)?[A-Za-z][A-Za-z0-9\-_]+$/.test(cidr))
          paramError({ cidr: "invalid format - value is no address, network or alias" });
        if (/\/0$/.test(cidr)) paramError({ cidr: "a zero prefix is not allowed in ipset entries" });
        if (set.entries.some((e) => e.cidr === cidr)) paramError({ cidr: `address '${cidr}' already exists` });
        set.entries.unshift({
          cidr,
          ...optional("comment", c.params["comment"]),
          ...optional("nomatch", c.params["nomatch"]),
        });
        return null;
      },
    },
    {
      method: "DELETE",
      path: `${ipset}/{name}`,
      params: "force",
      source: setSource,
      handle: (c) => {
        scope.modify(c);
        const name = c.path["name"] ?? "";
        if (findSet(c).entries.length > 0 && c.params["force"] !== "1") die(`IPSet '${name}' is not empty`);
        delete scope.find(c).ipset[name];
        return null;
      },
    },
    {
      method: "PUT",
      path: `${ipset}/{name}/{cidr}`,
      params: "comment nomatch digest",
      source: setSource,
      handle: (c) => {
        scope.modify(c);
        const entry = findSet(c).entries.find((e) => e.cidr === c.path["cidr"]);
        if (!entry) paramError({ cidr: "no such IP/Network" });
        Object.assign(entry, optional("comment", c.params["comment"]), optional("nomatch", c.params["nomatch"]));
        return null;
      },
    },
    {
      method: "DELETE",
      path: `${ipset}/{name}/{cidr}`,
      params: "digest",
      source: setSource,
      handle: (c) => {
        scope.modify(c);
        const set = findSet(c);
        set.entries = set.entries.filter((e) => e.cidr !== c.path["cidr"]);
        return null;
      },
    },
    {
      method: "GET",
      path: `${scope.base}/refs`,
      params: "type",
      source: `${API}/${scope.file} (refs)`,
      handle: (c) => {
        scope.audit(c);
        const { aliases: a, ipset: s } = scope.find(c);
        const list = [
          ...Object.values(a).map((alias) => ({ type: "alias", name: alias.name, ref: alias.name, scope: "dc" })),
          ...Object.keys(s).map((name) => ({ type: "ipset", name, ref: `+${name}`, scope: "dc" })),
        ];
        return list.filter((r) => c.params["type"] === undefined || r.type === c.params["type"]);
      },
    },
  ];
}
