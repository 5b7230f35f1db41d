/** What a provider sells, and which of it an agent's server is. */
import { checkWhole, fault, faultInWords } from "../check.ts";
import { describeSize, isOfSize, type VpsSize } from "./sizing.ts";
import type { Checked, Fault } from "../faults.ts";

/** One server that a provider sells, as looked up there. */
export interface Offer {
  /** The provider's own name for it, for example the Lightsail bundle `medium_3_0`. */
  readonly id: string;
  readonly ramMiB: number;
  readonly vcpus: number;
  /** US cents a month, whole; a part of a cent counts as one. */
  readonly centsPerMonth: number;
  /** US cents an hour, whole; a part of a cent counts as one, so never less than what is billed. */
  readonly centsPerHour: number;
}

const mostCents = 10_000_000;

/** US cents for people: `44.00 USD`. */
export function formatCents(cents: number): string {
  return `${String(Math.trunc(cents / 100))}.${String(cents % 100).padStart(2, "0")} USD`;
}

function checkOffer(offer: Offer, index: number): Fault[] {
  const path = (property: string): string => `offers[${String(index)}].${property}`;
  const fix = "Look the provider's offers up again.";
  return [
    ...(offer.id === "" ? [fault(path("id"), offer.id, "the provider's name for it", fix)] : []),
    ...checkWhole(path("ramMiB"), offer.ramMiB, 1, 1024 ** 3, "MiB", fix),
    ...checkWhole(path("vcpus"), offer.vcpus, 1, 4096, "", fix),
    ...checkWhole(path("centsPerMonth"), offer.centsPerMonth, 0, mostCents, "US cents", fix),
    ...checkWhole(path("centsPerHour"), offer.centsPerHour, 0, mostCents, "US cents", fix),
  ];
}

/** Cheaper first. Of two at one price the larger; the name decides last, so that the order of the list never does. */
function byPrice(a: Offer, b: Offer): number {
  return (
    a.centsPerMonth - b.centsPerMonth ||
    a.centsPerHour - b.centsPerHour ||
    b.ramMiB - a.ramMiB ||
    b.vcpus - a.vcpus ||
    (a.id < b.id ? -1 : 1)
  );
}

/**
 * The cheapest offer of a size that what is left of the budget pays for a whole month: the most that a server can cost
 * until somebody looks again.
 *
 * @param budgetLeftCents What may still be promised, US cents a month: the budget less what already stands.
 */
export function cheapestOffer(size: VpsSize, offers: readonly Offer[], budgetLeftCents: number): Checked<Offer> {
  const faults = [
    ...offers.flatMap(checkOffer),
    ...checkWhole("budgetLeftCents", budgetLeftCents, 0, mostCents, "US cents", "Give the budget in whole US cents."),
  ];
  const [cheapest] = offers.filter((offer) => isOfSize(size, offer)).toSorted(byPrice);
  if (cheapest === undefined) {
    const limit = `at least one offer of size ${size}: ${describeSize(size)}`;
    faults.push(fault("offers", offers, limit, "Choose another region, provider or size."));
  }
  if (faults.length > 0 || cheapest === undefined) return { ok: false, faults };
  if (cheapest.centsPerMonth <= budgetLeftCents) return { ok: true, value: cheapest };
  const price = formatCents(cheapest.centsPerMonth);
  const limit = `at least ${price} a month, the price of ${cheapest.id}, the cheapest of size ${size}`;
  const fix = "Raise the budget, or destroy a server that is not needed.";
  return { ok: false, faults: [faultInWords("budgetLeftCents", formatCents(budgetLeftCents), limit, fix)] };
}
