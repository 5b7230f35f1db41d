/**
 * How old a state of the market is. Spot ages well: a zone that has been up for hours is lost far less often than one
 * that came up a minute ago, and an outage that lasts goes on lasting. So ages, doubling from class to class, are what
 * the predictor looks at.
 */

/** Least age of each class, minutes. */
const classes = [0, 6.5, 13, 26, 52, 104, 208, 416, 832] as const;

/** Classes of a zone that is up. */
export const upClasses = classes.length;
/** Classes of a region of which no zone is up; what lasts longer than the last one's begin is one class. */
export const downClasses = classes.length - 1;
/** States of a region: down by how long, then up by the age of its oldest zone that is up. */
export const regionStates = downClasses + upClasses;

/** Where a class begins and, for the last, where its typical member lies, minutes. */
export function classSpan(index: number): { readonly from: number; readonly to: number } {
  const from = classes[index] ?? 0;
  return { from, to: classes[index + 1] ?? from * 4 };
}

/** The class of an age, at most `most - 1`. */
export function ageClass(ageMs: number, most: number): number {
  let index = 0;
  while (index + 1 < most && ageMs >= (classes[index + 1] ?? 0) * 60_000) index += 1;
  return index;
}

/**
 * State of a region.
 * @param oldestUpMs age of its oldest zone that is up, or negative where none is
 * @param downMs how long none has been up
 */
export function regionState(oldestUpMs: number, downMs: number): number {
  return oldestUpMs < 0 ? ageClass(downMs, downClasses) : downClasses + ageClass(oldestUpMs, upClasses);
}
