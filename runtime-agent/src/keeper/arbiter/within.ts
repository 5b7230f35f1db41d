/** Settles as the work does, or rejects after `ms`; the work itself goes on unheard. */
export function within<T>(work: Promise<T>, ms: number, late: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${late} within ${String(Math.round(ms))} ms`)), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
