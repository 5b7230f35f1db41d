import { shellVariables } from "../shared/shell.ts";
import type { StepScripts } from "./storageScripts.ts";

/**
 * Turns the host's firewall on behind our security group, and off again as it was. The former options are kept in
 * `/var/lib/hive/firewall.before` until then. Both scripts are idempotent: a run that was cut short is finished by
 * the next one.
 */
export function renderFirewallStep(group: string): StepScripts {
  const head = `set -eu
${shellVariables({ HIVE_GROUP: group })}
before=/var/lib/hive/firewall.before
# Each reading of the host is an assignment of its own, for a failure inside a pipe would pass unseen.
read_options() { options=$(pvesh get /cluster/firewall/options --output-format json); }
read_rules() { rules=$(pvesh get /cluster/firewall/rules --output-format json); }
field() { printf '%s\\n' "$options" | sed -n "s/.*\\"$1\\":\\"\\{0,1\\}\\([A-Za-z0-9]*\\).*/\\1/p"; }
# Our group's rules, one a line.
ours() { printf '%s\\n' "$rules" | tr '{' '\\n' | grep "\\"action\\":\\"$HIVE_GROUP\\"" || true; }
position() { ours | sed -n 's/.*"pos":"\\{0,1\\}\\([0-9]*\\).*/\\1/p' | head -n 1; }
leads() { [ "$(position)" = 0 ] && ours | grep '"pos":"\\{0,1\\}0[^0-9]' | grep -q '"enable":"\\{0,1\\}1'; }
`;
  return {
    create: `${head}mkdir -p /var/lib/hive
if [ ! -f "$before" ]; then
  read_options
  printf 'enable=%s\\npolicy_in=%s\\n' "$(field enable)" "$(field policy_in)" >"$before.new"
  mv "$before.new" "$before"
fi
read_rules
if [ -z "$(position)" ]; then
  pvesh create /cluster/firewall/rules --type group --action "$HIVE_GROUP" --enable 1 --pos 0
  read_rules
elif ! leads; then
  pvesh set "/cluster/firewall/rules/$(position)" --enable 1
  pvesh set "/cluster/firewall/rules/$(position)" --moveto 0
  read_rules
fi
leads || { echo "security group $HIVE_GROUP is not the first of the host's rules; the firewall stays as it was" >&2; exit 1; }
pvesh set /cluster/firewall/options --enable 1 --policy_in DROP
read_options
[ "$(field enable) $(field policy_in)" = "1 DROP" ] || { echo "the firewall reads back as: $options" >&2; exit 1; }
echo "firewall on: group $HIVE_GROUP first, policy DROP"
`,
    delete: `${head}if [ -f "$before" ]; then
  enable=$(sed -n 's/^enable=//p' "$before")
  policy=$(sed -n 's/^policy_in=//p' "$before")
  if [ "\${enable:-0}" = 1 ]; then pvesh set /cluster/firewall/options --enable 1; else pvesh set /cluster/firewall/options --enable 0; fi
  if [ -n "$policy" ]; then pvesh set /cluster/firewall/options --policy_in "$policy"; else pvesh set /cluster/firewall/options --delete policy_in; fi
  if [ -z "$enable" ]; then pvesh set /cluster/firewall/options --delete enable; fi
fi
read_rules
while [ -n "$(position)" ]; do
  pvesh delete "/cluster/firewall/rules/$(position)"
  read_rules
done
rm -f "$before" "$before.new"
`,
  };
}
