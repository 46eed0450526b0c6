/** What a number of cases can show about shares of right answers, before any model is asked. */

/** Quantiles of the standard normal distribution: a two-sided test at 5 %, and 80 % power. */
const [Z_TEST, Z_POWER] = [1.959964, 0.841621];

/**
 * The cases that a difference between two models' shares of right answers takes, so that McNemar's test at 5
 * % finds it in 80 % of runs (Connor, Biometrics 1987, formula 3).
 *
 * @param difference between the shares, above 0
 * @param disagreeing share of the cases that one model answers rightly and the other
 * doesn't; at least the difference
 * @throws {RangeError} for a difference that is not between 0 and 1
 *
 * ```ts
 * if (casesForDifference(0.1, 0.3) !== 234) throw new Error(String(casesForDifference(0.1, 0.3)));
 * ```
 */
export function casesForDifference(difference: number, disagreeing: number): number {
  if (!(difference > 0 && difference <= 1)) {
    throw new RangeError(`Cannot plan for a difference of ${difference}: give > 0 and at most 1`);
  }
  const apart = Math.max(disagreeing, difference);
  const root = Z_TEST * Math.sqrt(apart) + Z_POWER * Math.sqrt(apart - difference ** 2);
  return Math.ceil((root / difference) ** 2);
}

/**
 * The smallest difference that this many cases show in 80 % of runs; null where not even the largest possible
 * one is shown: all disagreements in favour of one model.
 *
 * ```ts
 * const difference = smallestDifference(234, 0.3);
 * if (difference === null || Math.abs(difference - 0.1) > 1e-3) throw new Error(String(difference));
 * if (smallestDifference(5, 0.3) !== null) throw new Error("five cases show nothing");
 * ```
 */
export function smallestDifference(cases: number, disagreeing: number): number | null {
  if (casesForDifference(disagreeing, disagreeing) > cases) return null;
  let [low, high] = [0, disagreeing];
  while (high - low > 1e-4) {
    const middle = (low + high) / 2;
    if (casesForDifference(middle, disagreeing) > cases) low = middle;
    else high = middle;
  }
  return high;
}
