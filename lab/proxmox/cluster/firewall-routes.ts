/**
 * Firewall of the cluster, the node and each guest: options, rules with positions, aliases, sets, groups.
 * A rule with a digest of an older list is refused; a new rule comes first.
 * Source: pve-firewall src/PVE/API2/Firewall/{Cluster,Host,VM,Rules,Aliases,IPSet,Groups}.pm, src/PVE/Firewall.pm.
 */
import { need } from "../access/permissions.ts";
import { die, paramError } from "../core/errors.ts";
import { sha1, splitList } from "../core/property.ts";
import { type Context, integer, type Route } from "../core/router.ts";
import type { FirewallRule, FirewallScope } from "../core/state.ts";
import { getGuest } from "../guests/model.ts";
import { setRoutes } from "./firewall-sets.ts";

const API = "pve-firewall@6f1311f src/PVE/API2/Firewall";
const RULE = "action type enable comment source dest proto sport dport iface icmp-type log macro pos digest group";

export interface Scope {
  readonly base: string;
  readonly file: string;
  readonly options: string;
  readonly find: (context: Context) => FirewallScope;
  readonly audit: (context: Context) => void;
  readonly modify: (context: Context) => void;
}

const cluster: Scope = {
  base: "/cluster/firewall",
  file: "Cluster.pm",
  options: "enable ebtables log_ratelimit policy_in policy_out policy_forward",
  find: ({ state }) => state.firewall.cluster,
  audit: ({ state, identity }) => need(state, identity, "/", ["Sys.Audit"]),
  modify: ({ state, identity }) => need(state, identity, "/", ["Sys.Modify"]),
};

const node: Scope = {
  base: "/nodes/{node}/firewall",
  file: "Host.pm",
  options: `enable log_level_in log_level_out log_level_forward log_nf_conntrack ndp nf_conntrack_allow_invalid
    nf_conntrack_helpers nf_conntrack_max nf_conntrack_tcp_timeout_established nf_conntrack_tcp_timeout_syn_recv nftables
    nosmurfs protection_synflood protection_synflood_burst protection_synflood_rate smurf_log_level tcp_flags_log_level
    tcpflags`,
  find: ({ state }) => state.firewall.node,
  audit: ({ state, identity }) => need(state, identity, `/nodes/${state.node.name}`, ["Sys.Audit"]),
  modify: ({ state, identity }) => need(state, identity, `/nodes/${state.node.name}`, ["Sys.Modify"]),
};

const guest = (kind: "qemu" | "lxc"): Scope => ({
  base: `/nodes/{node}/${kind}/{vmid}/firewall`,
  file: "VM.pm",
  options: "dhcp enable ipfilter log_level_in log_level_out macfilter ndp policy_in policy_out radv",
  find: ({ state, path }) => getGuest(state, kind, path["vmid"] ?? "").firewall,
  audit: ({ state, identity, path }) => need(state, identity, `/vms/${path["vmid"] ?? ""}`, ["VM.Audit"]),
  modify: ({ state, identity, path }) => need(state, identity, `/vms/${path["vmid"] ?? ""}`, ["VM.Config.Network"]),
});

export function listDigest(list: readonly object[]): string {
  return sha1(JSON.stringify(list));
}

export function checkListDigest(list: readonly object[], digest: string | undefined): void {
  if (digest !== undefined && digest !== listDigest(list))
    die("detected modified configuration - file changed by other user? Try again.");
}

function optionRoutes(scope: Scope): Route[] {
  const path = `${scope.base}/options`;
  const source = `${API}/${scope.file} (get_options, set_options)`;
  return [
    {
      method: "GET",
      path,
      params: "",
      source,
      handle: (context) => {
        scope.audit(context);
        const { options } = scope.find(context);
        const typed = Object.entries(options).map(([k, v]) => [k, /^\d+$/.test(v) ? Number(v) : v] as const);
        return { ...Object.fromEntries(typed), digest: listDigest([options]) };
      },
    },
    {
      method: "PUT",
      path,
      params: `delete digest ${scope.options}`,
      source,
      handle: (context) => {
        scope.modify(context);
        const { options } = scope.find(context);
        const { delete: remove, digest, ...values } = context.params;
        checkListDigest([options], digest);
        for (const key of splitList(remove)) {
          if (!scope.options.split(/\s+/).includes(key)) paramError({ delete: `no such option '${key}'` });
          delete options[key];
        }
        Object.assign(options, values);
        context.event("firewall-options", { scope: context.path["vmid"] ?? scope.base });
        return null;
      },
    },
  ];
}

const ACTIONS = /^(ACCEPT|DROP|REJECT)$/;

function verifyRule(context: Context, rule: FirewallRule, scope: FirewallScope | undefined): void {
  const errors: Record<string, string> = {};
  const type = rule["type"] ?? "";
  const action = rule["action"] ?? "";
  if (!/^(in|out|forward|group)$/.test(type)) errors["type"] = `unknown rule type '${type}'`;
  if (type === "group" && !context.state.firewall.groups[action])
    errors["action"] = `no such security group '${action}'`;
  if (type !== "group" && !ACTIONS.test(action)) errors["action"] = `unknown action '${action}'`;
  if ((rule["dport"] ?? rule["sport"]) !== undefined && rule["proto"] === undefined && rule["macro"] === undefined) {
    errors["proto"] = "missing property - 'dport' or 'sport' needs a protocol";
  }
  for (const key of ["source", "dest"]) {
    const value = rule[key] ?? "";
    const set = /^\+(?:(?:dc|guest)\/)?(.+)$/.exec(value)?.[1];
    if (set !== undefined && !scope?.ipset[set] && !context.state.firewall.cluster.ipset[set] && set !== "management") {
      errors[key] = `no such ipset '${set}'`;
    }
  }
  if (Object.keys(errors).length > 0) paramError(errors);
}

function ruleRoutes(
  base: string,
  file: string,
  audit: Scope["audit"],
  modify: Scope["modify"],
  rules: (c: Context) => FirewallRule[],
  scope: (c: Context) => FirewallScope | undefined,
): Route[] {
  const source = `${API}/Rules.pm, ${file}; bpg v0.111.1 proxmox/firewall/rules_types.go`;
  const at = (context: Context): { list: FirewallRule[]; pos: number; rule: FirewallRule } => {
    const list = rules(context);
    const pos = integer(context.path, "pos", 0);
    return { list, pos, rule: list[pos] ?? die(`no rule at position ${pos}`) };
  };
  const view = (rule: FirewallRule, pos: number | string, digest: string): Record<string, string | number> => ({
    ...rule,
    enable: Number(rule["enable"] ?? 0),
    pos,
    digest,
  });
  return [
    {
      method: "GET",
      path: base,
      params: "",
      source,
      handle: (context) => {
        audit(context);
        const list = rules(context);
        return list.map((rule, pos) => view(rule, pos, listDigest(list)));
      },
    },
    {
      method: "POST",
      path: base,
      params: RULE.replace("action", "action!").replace("type ", "type! "),
      source,
      handle: (context) => {
        modify(context);
        const list = rules(context);
        const { pos: _pos, digest, ...rule } = context.params;
        checkListDigest(list, digest);
        verifyRule(context, rule, scope(context));
        rule["enable"] ??= "0";
        list.unshift(rule);
        context.event("firewall-rule", { scope: context.path["vmid"] ?? base, change: "create" });
        return null;
      },
    },
    {
      method: "GET",
      path: `${base}/{pos}`,
      params: "",
      source,
      handle: (context) => {
        audit(context);
        const { list, pos, rule } = at(context);
        // The position comes from the path here, and stays the text it was.
        return view(rule, String(pos), listDigest(list));
      },
    },
    {
      method: "PUT",
      path: `${base}/{pos}`,
      params: `${RULE} delete moveto`,
      source,
      handle: (context) => {
        modify(context);
        const { list, pos, rule } = at(context);
        const { digest, delete: remove, moveto, pos: _pos, ...values } = context.params;
        checkListDigest(list, digest);
        if (moveto !== undefined) {
          const to = integer(context.params, "moveto", 0);
          list.splice(pos, 1);
          list.splice(to > pos ? to - 1 : to, 0, rule);
        } else {
          const next = { ...rule, ...values };
          for (const key of splitList(remove)) delete next[key];
          verifyRule(context, next, scope(context));
          list[pos] = next;
        }
        context.event("firewall-rule", { scope: context.path["vmid"] ?? base, change: "update" });
        return null;
      },
    },
    {
      method: "DELETE",
      path: `${base}/{pos}`,
      params: "digest",
      source,
      handle: (context) => {
        modify(context);
        const { list, pos } = at(context);
        checkListDigest(list, context.params["digest"]);
        list.splice(pos, 1);
        context.event("firewall-rule", { scope: context.path["vmid"] ?? base, change: "delete" });
        return null;
      },
    },
  ];
}

const scopeRoutes = (scope: Scope): Route[] => [
  ...optionRoutes(scope),
  ...ruleRoutes(`${scope.base}/rules`, scope.file, scope.audit, scope.modify, (c) => scope.find(c).rules, scope.find),
];

const groupOf = ({ state, path }: Context): { comment?: string; rules: FirewallRule[] } =>
  state.firewall.groups[path["group"] ?? ""] ?? die(`no such security group '${path["group"] ?? ""}'`);

const groupRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/cluster/firewall/groups",
    params: "",
    source: `${API}/Groups.pm (list_security_groups)`,
    handle: ({ state }) =>
      Object.entries(state.firewall.groups).map(([group, g]) => ({
        group,
        digest: listDigest([g]),
        ...(g.comment === undefined ? {} : { comment: g.comment }),
      })),
  },
  {
    method: "POST",
    path: "/cluster/firewall/groups",
    params: "group! comment rename digest",
    source: `${API}/Groups.pm (create_security_group)`,
    handle: (context) => {
      cluster.modify(context);
      const { state, params } = context;
      const name = params["group"] ?? "";
      const rename = params["rename"];
      if (rename !== undefined) {
        const old = state.firewall.groups[rename];
        if (!old) paramError({ group: `Security group '${rename}' does not exist` });
        if (rename !== name && state.firewall.groups[name])
          paramError({ group: `Security group '${name}' does already exist` });
        delete state.firewall.groups[rename];
        state.firewall.groups[name] = {
          ...old,
          ...(params["comment"] === undefined ? {} : { comment: params["comment"] }),
        };
        return null;
      }
      if (!/^[A-Za-z][A-Za-z0-9\-_]+$/.test(name))
        paramError({ group: "invalid format - invalid security group name" });
      if (state.firewall.groups[name]) paramError({ group: `Security group '${name}' already exists` });
      state.firewall.groups[name] = {
        rules: [],
        ...(params["comment"] === undefined ? {} : { comment: params["comment"] }),
      };
      return null;
    },
  },
  {
    method: "DELETE",
    path: "/cluster/firewall/groups/{group}",
    params: "",
    source: `${API}/Rules.pm (delete_security_group)`,
    handle: (context) => {
      cluster.modify(context);
      const group = groupOf(context);
      if (group.rules.length > 0) die(`Security group '${context.path["group"] ?? ""}' is not empty`);
      delete context.state.firewall.groups[context.path["group"] ?? ""];
      return null;
    },
  },
  ...ruleRoutes(
    "/cluster/firewall/groups/{group}",
    "Groups.pm",
    cluster.audit,
    cluster.modify,
    (c) => groupOf(c).rules,
    ({ state }) => state.firewall.cluster,
  ),
];

export const firewallRoutes: readonly Route[] = [
  ...[cluster, node, guest("qemu"), guest("lxc")].flatMap(scopeRoutes),
  ...[cluster, guest("qemu"), guest("lxc")].flatMap(setRoutes),
  ...groupRoutes,
];
