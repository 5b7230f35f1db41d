/**
 * The last eight days, and what is usual: which hours of the day are low, how a weekend differs, and how high the days of
 * the week stand. Values are logarithms of g/kWh; a slot is half an hour since 1970 in UTC.
 */

export const slotMs = 1_800_000;
export const slotsPerDay = 48;
export const slotsPerWeek = 7 * slotsPerDay;

/** Rows that are held; a power of two, so that a slot's place is a mask. Eight days and a half are read. */
const held = 512;
/** Days after which a day weighs half. Slower shapes follow the seasons too late, faster ones follow the weather. */
const dayHalf = 20;
/** The same for what a weekday adds (in weekdays), and a Saturday or a Sunday (in weeks). */
const weekdayHalf = 10;
const weekendHalf = 5;
/** Weeks after which the level of a day of the week weighs half. */
const weekHalf = 20;

const shareOf = (half: number): number => 1 - 0.5 ** (1 / half);

/** 0 Sunday to 6 Saturday; 1970 began on a Thursday. */
export const weekdayOf = (slot: number): number => (Math.floor(slot / slotsPerDay) + 4) % 7;
const timeOf = (slot: number): number => slot % slotsPerDay;
const weekTimeOf = (slot: number): number => slot % slotsPerWeek;

/** Means that forget: one for each place. `lean` rows of zero are thought before the first. */
class Means {
  private readonly values: Float64Array;
  private readonly seen: Float64Array;
  private readonly lean: number;

  constructor(places: number, lean: number) {
    this.values = new Float64Array(places);
    this.seen = new Float64Array(places);
    this.lean = lean;
  }

  at(place: number): number {
    return this.values[place] ?? 0;
  }

  add(place: number, value: number, share: number): void {
    const seen = (this.seen[place] ?? 0) + 1;
    this.seen[place] = seen;
    this.values[place] = this.at(place) + (value - this.at(place)) * Math.max(share, 1 / (seen + this.lean));
  }
}

export class Shape {
  /** The slot that comes next: all earlier ones are known. */
  next: number;
  /** Rows that were taken in. */
  count = 0;
  private readonly values = new Float64Array(held);
  private readonly sums = new Float64Array(held);
  private readonly day = new Means(slotsPerDay, 0);
  private readonly dayType = new Means(3 * slotsPerDay, 1);
  private readonly week = new Means(slotsPerWeek, 1);

  constructor(first: number) {
    this.next = first;
  }

  add(value: number): void {
    const place = this.next & (held - 1);
    this.values[place] = value;
    this.next += 1;
    this.count += 1;
    this.sums[this.next & (held - 1)] = (this.sums[place] ?? 0) + value;
    if (this.count >= slotsPerDay) this.learnDay(this.next - slotsPerDay / 2);
    if (this.count >= slotsPerWeek) this.learnWeek(this.next - slotsPerWeek / 2);
  }

  value(slot: number): number {
    return this.values[slot & (held - 1)] ?? 0;
  }

  /** Mean of `length` rows that end before `end`. */
  mean(end: number, length: number): number {
    const sum = (this.sums[end & (held - 1)] ?? 0) - (this.sums[(end - length) & (held - 1)] ?? 0);
    return sum / length;
  }

  timeOfDay(slot: number): number {
    return this.day.at(timeOf(slot));
  }

  typeOfDay(slot: number): number {
    return this.dayType.at(typePlace(slot));
  }

  timeOfWeek(slot: number): number {
    return this.week.at(weekTimeOf(slot));
  }

  /** How far the middle of a day stands from that day's mean: the day around it must be over. */
  private learnDay(slot: number): void {
    const apart = this.value(slot) - this.mean(this.next, slotsPerDay);
    this.day.add(timeOf(slot), apart, shareOf(dayHalf));
    const weekend = weekdayOf(slot) === 0 || weekdayOf(slot) === 6;
    this.dayType.add(typePlace(slot), apart - this.timeOfDay(slot), shareOf(weekend ? weekendHalf : weekdayHalf));
  }

  /** How far a day stands from the mean of the week around it. */
  private learnWeek(slot: number): void {
    const apart = this.mean(slot + slotsPerDay / 2, slotsPerDay) - this.mean(this.next, slotsPerWeek);
    this.week.add(weekTimeOf(slot), apart, shareOf(weekHalf));
  }
}

/** Sundays, Saturdays and the other days have places of their own. */
function typePlace(slot: number): number {
  const day = weekdayOf(slot);
  const type = day === 0 ? 2 : day === 6 ? 1 : 0;
  return type * slotsPerDay + timeOf(slot);
}
