// Skipping a test with its reason, which the runner prints: `skip(this, "needs Linux")`.

const reasons = new WeakMap<object, string>();

/** Ends the running test (or, in a `before` hook, its whole suite) as skipped because of `why`. */
export function skip(context: Mocha.Context, why: string): never {
  const runnable = context.runnable();
  reasons.set(runnable, why);
  if ("type" in runnable && runnable.type === "hook" && runnable.parent) reasons.set(runnable.parent, why);
  return context.skip();
}

/** The reason given for a skipped test, by itself or by a suite around it. */
export function skipReason(test: Mocha.Test): string | undefined {
  const own = reasons.get(test);
  if (own !== undefined) return own;
  for (let suite = test.parent; suite; suite = suite.parent) {
    const why = reasons.get(suite);
    if (why !== undefined) return why;
  }
  return undefined;
}
