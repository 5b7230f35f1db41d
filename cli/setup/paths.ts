// Where the set-up keeps what it makes: one folder a user, never inside the checkout.
import { join } from "node:path";

export { cacheRoot } from "../bin/cache.mjs";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The checkout this code belongs to. */
export const projectRoot: string = join(import.meta.dirname, "..", "..");
