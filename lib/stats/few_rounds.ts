/** What a benchmark of few rounds would have said: drawn again and again from what was really measured. */
import { meanOf } from "./mean.ts";
import { type Numbers, quantile } from "./quantile.ts";
import type { Random } from "./random.ts";

/** What a short benchmark makes of its rounds. */
export type Digest = (rounds: Float64Array) => number;

/** numpy's linear percentile, as the workshop's samples compute it. */
export const p95Of: Digest = (rounds) => quantile(rounds, 0.95);

/**
 * The results of `draws` imagined benchmarks of `rounds` requests each, drawn with replacement from `values`
 * (Efron, 1979: the bootstrap).
 *
 * @throws {RangeError} for no values, or rounds or draws that are not whole numbers from 1
 *
 * ```ts
 * import { seededRandom } from "./random.ts";
 * const means = shortBenchmarks([1, 2, 9], { rounds: 3, draws: 200, random: seededRandom(1) });
 * if (means.length !== 200 || means.some((mean) => mean < 1 || mean > 9)) throw new Error("means of the values");
 * ```
 */
export function shortBenchmarks(
  values: Numbers,
  options: {
    readonly rounds: number;
    readonly draws: number;
    readonly random: Random;
    /** @default the mean */
    readonly digest?: Digest;
  },
): Float64Array {
  const { rounds, draws, random, digest = meanOf } = options;
  if (values.length === 0) {
    throw new RangeError("Cannot imagine a benchmark: there are no values to draw from");
  }
  for (const [name, value] of Object.entries({ rounds, draws })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Cannot imagine a benchmark: ${name} is ${value}, give a whole number from 1`);
    }
  }
  const drawn = new Float64Array(rounds);
  return Float64Array.from({ length: draws }, () => {
    for (let at = 0; at < rounds; at++) drawn[at] = values[Math.floor(random() * values.length)] ?? NaN;
    return digest(drawn);
  });
}

/**
 * For each series the share of draws in which its result is the lowest; a tie is shared out evenly.
 *
 * ```ts
 * const [a, b] = lowestShares([[1, 5, 2], [3, 4, 2]]);
 * if (a !== 0.5 || b !== 0.5) throw new Error("one win each, one tie");
 * ```
 */
export function lowestShares(results: readonly Numbers[]): number[] {
  const draws = Math.min(...results.map((series) => series.length));
  const wins = results.map(() => 0);
  for (let draw = 0; draw < draws; draw++) {
    const lowest = Math.min(...results.map((series) => series[draw] ?? Infinity));
    const winners = results.flatMap((series, index) => series[draw] === lowest ? [index] : []);
    for (const index of winners) wins[index] = (wins[index] ?? 0) + 1 / winners.length;
  }
  return wins.map((won) => won / draws);
}
