/** Values far from the rest are pointed at, never dropped. */
import { meanOf } from "./mean.ts";
import { type Numbers, quantileSorted, sorted } from "./quantile.ts";

/** Below this many values nothing is flagged: there is no bulk to be far from. */
const OUTLIERS_FROM = 5;

/**
 * Flags values more than 3.5 robust standard deviations from the median, the robust standard deviation
 * being 1.4826 × the median absolute deviation. Where more than half of the values are equal that deviation
 * is zero, and 1.2533 × the mean absolute deviation takes its place (Iglewicz and Hoaglin 1993).
 *
 * @returns One flag a value, in the values' order.
 * @throws {RangeError} When a value is not finite.
 *
 * ```ts
 * console.assert(String(flagOutliers([1, 1.1, 0.9, 1, 1.2, 9])) === "false,false,false,false,false,true");
 * ```
 */
export function flagOutliers(values: Numbers): boolean[] {
  const ascending = sorted(values);
  if (values.length < OUTLIERS_FROM) return Array.from(values, () => false);
  const median = quantileSorted(ascending, 0.5);
  const deviations = Float64Array.from(ascending, (value) => Math.abs(value - median)).sort();
  const mad = quantileSorted(deviations, 0.5);
  const scale = mad > 0 ? 1.4826 * mad : 1.2533 * meanOf(deviations);
  return Array.from(values, (value) => Math.abs(value - median) > 3.5 * scale);
}
