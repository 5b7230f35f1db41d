/** Settings that several rules share, so that their defaults are written once. */
import { physicalCoresSchema } from "./cpuSet.ts";
import type { HostFacts } from "./host.ts";

/** Machines of the seed that rules name. */
export const tradingId = 200;
export const bastionId = 400;

/** The trading guest, and the host's cores. */
export const tradingConfig: { readonly tradingId: number } = { tradingId };
export const coresOf = ({ physicalCores }: HostFacts): Pick<HostFacts, "physicalCores"> => ({ physicalCores });

export const tradingSchema = {
  tradingId: { type: "integer" as const, minimum: 100, description: "Id of the guest whose cores are its alone." },
  physicalCores: physicalCoresSchema,
};

/** Guests that hold what cannot be rebuilt (seed 001). */
export const keptIds: readonly number[] = [100, 200, 400];

export const idsSchema = (description: string) => ({
  type: "array" as const,
  items: { type: "integer" as const },
  description,
});

export const namesSchema = (description: string) => ({
  type: "array" as const,
  items: { type: "string" as const },
  description,
});
