import { formatCents } from "../../components/shared/vps/offers.ts";
import { knownBundles, regionOf } from "../../components/shared/vps/lightsail.ts";
import type { PolicyResource } from "@pulumi/policy";
import { type Maybe, isKnown, numberAt, stringAt, unknownYet } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { componentAround, instanceType, propsOf, serverType } from "../servers.ts";

/** What an instance costs at most, US cents a month: as it was decided, else as the table of bundles says. */
function centsOf(instance: PolicyResource, resources: readonly PolicyResource[]): Maybe<number> {
  const decided = componentAround(instance, serverType, resources);
  const cents = decided === undefined ? undefined : numberAt(decided.props, "offer", "centsPerMonth");
  if (cents !== undefined) return cents;
  const props = propsOf(instance);
  const bundle = stringAt(props, "bundleId");
  const zone = stringAt(props, "availabilityZone");
  if (bundle === unknownYet || zone === unknownYet) return unknownYet;
  return knownBundles(regionOf(zone ?? "") ?? "").find(({ id }) => id === bundle)?.centsPerMonth;
}

/** What a stack's servers cost, beside what is promised to the Hive's others. */
export default stackRule({
  name: "server-budget",
  description:
    "The servers of a stack and those that its plan counts beside them cost no more than the budget together.",
  reason:
    "Lightsail bills a server until it is deleted, stopped ones too: a wrong size or a list that grew is seen on the bill only.",
  fix: "Choose a smaller size, destroy a server that is not needed, or raise centsPerMonth in the policy configuration.",
  config: {
    defaults: { centsPerMonth: 20_000 },
    schema: {
      centsPerMonth: { type: "integer", minimum: 0, description: "For all servers, US cents a month." },
    },
  },
  check: (_, config, resources) => {
    // What the other servers of the Hive cost, as the stack's own plan counted it.
    const promised = resources
      .filter(({ type }) => type === serverType)
      .map(({ props }) => numberAt(props, "committedCents"))
      .filter(isKnown);
    const elsewhere = Math.max(0, ...promised);
    let sum = elsewhere;
    const beside = elsewhere === 0 ? "" : `, ${formatCents(elsewhere)} of it for other servers of the Hive`;
    const breaches: Breach[] = [];
    for (const instance of resources.filter(({ type }) => type === instanceType)) {
      const cents = centsOf(instance, resources);
      if (isKnown(cents)) sum += cents;
      else if (cents === undefined)
        breaches.push({ urn: instance.urn, found: `The price of server ${instance.name} is not known.` });
    }
    if (sum > config.centsPerMonth)
      breaches.push({
        found: `The servers cost ${formatCents(sum)} a month${beside}; allowed: ${formatCents(config.centsPerMonth)}.`,
      });
    return breaches;
  },
});
