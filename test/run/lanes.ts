/** Work that is bounded in how much of it runs at once. */

/**
 * A gate that lets at most `most` jobs run at a time, in the order they came.
 * @returns the gate: give it a job, await the job's own result
 */
export function limitedTo(most: number): <T>(job: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (job) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await job();
    } finally {
      // The place goes to the next one in line without becoming free in between.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
