/** An interval for a mean that holds at all sample sizes at once, so that one may look and stop at any time. */
import type { Interval } from "./quantile.ts";

/** Running count, mean and sum of squared deviations (Welford 1962): all that a t interval needs. */
export interface Moments {
  readonly n: number;
  readonly mean: number;
  readonly squares: number;
}

export const NO_MOMENTS: Moments = { n: 0, mean: 0, squares: 0 };

/**
 * The moments with one more value.
 *
 * ```ts
 * const two = addValue(addValue(NO_MOMENTS, 1), 3);
 * console.assert(two.n === 2 && two.mean === 2 && two.squares === 2);
 * ```
 */
export function addValue({ n, mean, squares }: Moments, value: number): Moments {
  const next = mean + (value - mean) / (n + 1);
  return { n: n + 1, mean: next, squares: squares + (value - mean) * (value - next) };
}

/**
 * Confidence sequence for the mean of normal values of unknown variance (Wang and Ramdas 2023,
 * "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance"; the Gaussian
 * mixture over the standardised mean). With probability at least 1 - error the interval holds the mean at
 * every n at once:
 *
 *     mean ± s · sqrt( (1 − r)(n + c²) / (r(n + c²) − c²) )      r = (error² c² / (n + c²))^(1/n)
 *
 * where s² is the variance with divisor n. It inverts the test martingale
 *
 *     sqrt(c² / (n + c²)) · ( (n + c²)V / ((n + c²)V − S²) )^(n/2)  ≥  1 / error
 *
 * with S the sum and V the sum of squares of the values minus the supposed mean. `c²` = 1 puts a standard
 * normal on mean / standard deviation; the interval is narrowest, against other
 * choices, around 10 to 50 values.
 *
 * The values must be independent and normal; heavy tails break the promise (their
 * size is measured in the tests).
 *
 * @param error Total over all times, e.g. 0.05.
 * @returns Null while r(n + c²) <= c² (the interval is infinite), and when the values show no spread.
 * @throws {RangeError} When the error is not strictly between 0 and 1, or c² is not positive.
 *
 * ```ts
 * const values = [0.1, 0.12, 0.08, 0.11, 0.09, 0.1, 0.13, 0.07];
 * const limits = anytimeTInterval(values.reduce(addValue, NO_MOMENTS), 0.05);
 * console.assert(limits !== null && limits[0] > 0.06 && limits[1] < 0.14);
 * ```
 */
export function anytimeTInterval({ n, mean, squares }: Moments, error: number, c2 = 1): Interval | null {
  if (!(error > 0 && error < 1 && c2 > 0)) {
    throw new RangeError(`Cannot bound a mean with error ${error}, c² = ${c2}: 0 < error < 1 and c² > 0`);
  }
  if (n < 2) return null;
  const spread = Math.sqrt(squares / n);
  if (spread <= Math.abs(mean) * 1e-12) return null;
  const r = Math.exp((2 * Math.log(error) + Math.log(c2 / (n + c2))) / n);
  const room = r * (n + c2) - c2;
  if (room <= 0) return null;
  const half = spread * Math.sqrt((1 - r) * (n + c2) / room);
  return [mean - half, mean + half];
}
