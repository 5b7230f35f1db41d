/**
 * The seed of everything random in a run of the tests. The same in each run, so that one that passed passes again; another
 * one by `npm test -- --seed N`, and `--seed random` to look for what no run has met yet.
 */
export const usualSeed = 20_261_121;

/** Carries the seed to the processes that run the tests. */
export const seedVariable = "HIVE_TEST_SEED";

/** The seed of this process. */
export function testSeed(): number {
  const given = Number(process.env[seedVariable] ?? "");
  return Number.isSafeInteger(given) && given > 0 ? given : usualSeed;
}
