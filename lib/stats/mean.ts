/** Sums and means of short lists, added in the order of the list. */

/**
 * @example
 * ```ts
 * console.assert(sumOf([1, 2, 3]) === 6 && sumOf([]) === 0);
 * ```
 */
export const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/**
 * The mean; NaN of an empty list.
 *
 * @example
 * ```ts
 * console.assert(meanOf([1, 2, 6]) === 3 && Number.isNaN(meanOf([])));
 * ```
 */
export const meanOf = (values: readonly number[]): number => sumOf(values) / values.length;
