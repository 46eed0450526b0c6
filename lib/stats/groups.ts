/** Values that come in groups (repeats of a prompt, gaps of a request) are not independent: what they are worth. */
import type { Numbers } from "./quantile.ts";
import type { Random } from "./random.ts";

/** One label per value, equal for values of one group. */
export type Labels = ArrayLike<string | number>;

/** Values sorted into groups: the group number of each value, and how many groups there are. */
export interface Grouping {
  readonly of: Int32Array;
  readonly count: number;
}

/**
 * Numbers the groups in order of appearance.
 *
 * @throws {RangeError} When there is not exactly one label per value.
 *
 * ```ts
 * console.assert(groupBy(["a", "b", "a"], 3).count === 2);
 * ```
 */
export function groupBy(labels: Labels, values: number): Grouping {
  if (labels.length !== values) {
    throw new RangeError(
      `Cannot group ${values} values by ${labels.length} labels: give one label per value`,
    );
  }
  const numbers = new Map<string | number, number>();
  const of = new Int32Array(values);
  let last: string | number | undefined;
  let number = -1;
  for (let i = 0; i < values; i++) {
    const label = labels[i];
    if (label === undefined) throw new RangeError(`Cannot group value ${i}: its label is missing`);
    if (label !== last || i === 0) {
      number = numbers.get(label) ?? numbers.size;
      numbers.set(label, number);
      last = label;
    }
    of[i] = number;
  }
  return { of, count: numbers.size };
}

/**
 * Variance of the mean of all values when whole groups, not values, are independent: the linearised
 * (ratio) estimate of a cluster sample (Cochran 1977, section 6.13). With groups of one value it is s²/n.
 *
 * @returns Null with fewer than two groups: one group tells nothing about the spread between groups.
 *
 * ```ts
 * const values = [1, 1, 3, 3];
 * const groups = { of: Int32Array.of(0, 0, 1, 1), count: 2 };
 * console.assert(groupedVarianceOfMean(values, 2, groups) === 1);
 * ```
 */
export function groupedVarianceOfMean(
  values: Numbers,
  mean: number,
  groups: Grouping,
): number | null {
  if (groups.count < 2) return null;
  const excess = new Float64Array(groups.count);
  for (let i = 0; i < values.length; i++) {
    const group = groups.of[i] ?? 0;
    excess[group] = (excess[group] ?? 0) + ((values[i] ?? 0) - mean);
  }
  let squares = 0;
  for (const total of excess) squares += total * total;
  return groups.count / (groups.count - 1) * squares / values.length ** 2;
}

/**
 * One value of each group, drawn at random: independent values of the same distribution, where those of one
 * group hang together.
 *
 * ```ts
 * const groups = { of: Int32Array.of(0, 0, 1), count: 2 };
 * console.assert(oneOfEach([1, 1, 5], groups, () => 0.5).join() === "1,5");
 * ```
 */
export function oneOfEach(values: Numbers, groups: Grouping, random: Random): Float64Array {
  const seen = new Int32Array(groups.count);
  const drawn = new Float64Array(groups.count);
  for (let i = 0; i < values.length; i++) {
    const group = groups.of[i] ?? 0;
    const count = (seen[group] ?? 0) + 1;
    seen[group] = count;
    // The k-th value takes the place of the one drawn so far with probability 1/k.
    if (random() * count < 1) drawn[group] = values[i] ?? NaN;
  }
  return drawn;
}
