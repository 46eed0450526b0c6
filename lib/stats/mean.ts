/** Sums, means and their variance, over values in the order in which they are given. */

/**
 * The sum; 0 of no values.
 *
 * ```ts
 * console.assert(sumOf([1, 2, 3]) === 6 && sumOf([]) === 0);
 * ```
 */
export function sumOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

/**
 * The mean; NaN of no values.
 *
 * ```ts
 * console.assert(meanOf([1, 2, 6]) === 3 && Number.isNaN(meanOf([])));
 * ```
 */
export function meanOf(values: Iterable<number> & { readonly length: number }): number {
  return sumOf(values) / values.length;
}

/**
 * Sum of the squared deviations from the mean.
 *
 * ```ts
 * console.assert(squaredDeviations([1, 2, 3]) === 2);
 * ```
 */
export function squaredDeviations(values: readonly number[]): number {
  const mean = meanOf(values);
  return sumOf(values.map((value) => (value - mean) ** 2));
}

/**
 * Variance of the mean of independent values, s² / n: the square of its standard error. NaN below two values.
 *
 * ```ts
 * console.assert(varianceOfMean([1, 3]) === 1);
 * ```
 */
export function varianceOfMean(values: readonly number[]): number {
  return squaredDeviations(values) / (values.length - 1) / values.length;
}
