/**
 * Carbon intensity of the next 24 hours, learnt from the rows before them and from nothing else.
 *
 * For each half hour ahead a ridge regression says how far it will stand from the newest row, on a logarithmic scale:
 * what moves a grid moves it by a share. Its inputs are the shapes (yesterday's, last week's, the usual day's) and where
 * the level stands. It leans on a fixed prior, so that it is of use after eight days of history, and learns from there.
 */
import { Ridge } from "./carbonRidge.ts";
import { Shape, slotsPerDay, slotsPerWeek, weekdayOf } from "./carbonShape.ts";

/** Half hours that a forecast reaches. */
export const horizon = slotsPerDay;
/** Rows before the first forecast: the same hour of last week must be known for every hour ahead, and for the row before. */
const firstRows = slotsPerWeek + slotsPerDay;
/** Days after which what was learnt weighs half: a grid keeps its habits longer than its level. */
const halfDays = 250;
/** Below this a grid's value says nothing more, and its logarithm would be far away, g/kWh. */
const floorGrams = 1;
/** Size of the inputs that are no shares (calendar, constant), near the size of the others. */
const size = 0.3;
/** Yesterday, a week ago, time of day, type of day, time of week: a mean of the first three, moved by the fourth. */
const shapePrior = [0.35, 0.2, 0.4, 0.2, 0];
/**
 * The sum of squares of fifty days with moves of a tenth: below it the prior speaks louder. Shapes hold to theirs three
 * times as much.
 */
const strength = 24;
const shapeStrength = 72;

export interface Forecast {
  /** Half hour since 1970 of the first value. */
  readonly firstSlot: number;
  /** g/kWh, one for each half hour. */
  readonly grams: Float64Array;
}

export class CarbonForecaster {
  private readonly shape: Shape;
  private readonly models: Ridge[] = [];
  /** What was known at each of the last 48 slots, by slot modulo 48: a row of inputs for each half hour ahead. */
  private readonly asked: (Float64Array | undefined)[] = [];
  private newest: Forecast | undefined;

  /** @param firstSlot half hour since 1970 of the first row */
  constructor(firstSlot: number) {
    this.shape = new Shape(firstSlot);
  }

  /** The slot whose row is wanted next. */
  get nextSlot(): number {
    return this.shape.next;
  }

  /** From all rows so far; undefined for the first eight days. */
  forecast(): Forecast | undefined {
    return this.newest;
  }

  /** @param grams the next half hour's value, g/kWh; undefined when nobody measured it: what was expected stands in */
  observe(grams: number | undefined): void {
    const { shape } = this;
    const expected = this.newest?.grams[0];
    const before = shape.count > 0 ? shape.value(shape.next - 1) : undefined;
    if (grams !== undefined && Number.isFinite(grams)) shape.add(Math.log(Math.max(grams, floorGrams)));
    else if (expected !== undefined) shape.add(Math.log(expected));
    else if (before !== undefined) shape.add(before);
    else shape.next += 1;
    if (shape.count < firstRows) return;
    this.learn();
    const inputs = this.ask();
    const level = shape.value(shape.next - 1);
    const expectedGrams = new Float64Array(horizon).map((_, ahead) => {
      const input = rowOf(inputs, ahead);
      return Math.exp(level + this.model(ahead, input.length).predict(input));
    });
    this.newest = { firstSlot: shape.next, grams: expectedGrams };
  }

  /** The newest row is the answer to one question of each of the last 48 slots. Weights change once a day, at midnight. */
  private learn(): void {
    const { shape } = this;
    const slot = shape.next - 1;
    for (let ahead = 0; ahead < horizon; ahead += 1) {
      const inputs = this.asked[(slot - ahead) % horizon];
      if (inputs === undefined) continue;
      const input = rowOf(inputs, ahead);
      this.model(ahead, input.length).learn(input, shape.value(slot) - shape.value(slot - ahead - 1));
    }
    if (shape.next % slotsPerDay === 0) for (const model of this.models) model.solve();
  }

  private model(ahead: number, width: number): Ridge {
    const known = this.models[ahead];
    if (known !== undefined) return known;
    const made = new Ridge({
      prior: Array.from({ length: width }, (_, input) => shapePrior[input] ?? 0),
      strength: Array.from({ length: width }, (_, input) => (input < shapePrior.length ? shapeStrength : strength)),
      keep: 0.5 ** (1 / (halfDays * slotsPerDay)),
    });
    this.models[ahead] = made;
    return made;
  }

  /** One row of inputs for each half hour ahead: its shapes, then what is the same for all. */
  private ask(): Float64Array {
    const { shape } = this;
    const [next, last] = [shape.next, shape.next - 1];
    const now = this.state();
    const width = shapePrior.length + now.length;
    // Written over what was asked a day ago, so that a long history leaves no garbage behind.
    const place = next % horizon;
    const inputs = this.asked[place] ?? new Float64Array(horizon * width);
    this.asked[place] = inputs;
    for (let ahead = 0; ahead < horizon; ahead += 1) {
      const slot = next + ahead;
      const shapes = [
        shape.value(slot - slotsPerDay) - shape.value(last - slotsPerDay),
        shape.value(slot - slotsPerWeek) - shape.value(last - slotsPerWeek),
        shape.timeOfDay(slot) - shape.timeOfDay(last),
        shape.typeOfDay(slot) - shape.typeOfDay(last),
        shape.timeOfWeek(slot) - shape.timeOfWeek(last),
      ];
      inputs.set(shapes, ahead * width);
      inputs.set(now, ahead * width + shapes.length);
    }
    return inputs;
  }

  /** Where the level stands and whither it goes, and the calendar. */
  private state(): number[] {
    const { shape } = this;
    const { next } = shape;
    const level = shape.value(next - 1);
    const today = shape.mean(next, slotsPerDay);
    const angle = (2 * Math.PI * (next % slotsPerDay)) / slotsPerDay;
    const above = level - today;
    return [
      above,
      level - shape.mean(next, slotsPerWeek),
      today - shape.mean(next - slotsPerDay, slotsPerDay),
      // Moves of one hour, three, six, a day and a week.
      ...[2, 6, 12, slotsPerDay, slotsPerWeek].map((slots) => level - shape.value(next - 1 - slots)),
      above * Math.sin(angle),
      above * Math.cos(angle),
      size,
      ...[1, 2, 3].flatMap((turns) => [size * Math.sin(turns * angle), size * Math.cos(turns * angle)]),
      ...[0, 1, 2, 3, 4, 5, 6].map((day) => (weekdayOf(next) === day ? size : 0)),
    ];
  }
}

/** The inputs of one half hour ahead. */
function rowOf(inputs: Float64Array, ahead: number): Float64Array {
  const width = inputs.length / horizon;
  return inputs.subarray(ahead * width, (ahead + 1) * width);
}
