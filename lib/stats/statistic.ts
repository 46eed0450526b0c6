/** One metric of one candidate in a handful of figures, each null where the sample is too small for it. */
import { groupBy, groupedVarianceOfMean, type Grouping, type Labels, oneOfEach } from "./groups.ts";
import { type Interval, type Numbers, quantileInterval, quantileSorted, sorted } from "./quantile.ts";
import { seededRandom } from "./random.ts";
import { studentTQuantile } from "./t.ts";

/** Field names are those of summary.json; units are those of the values. */
export interface Statistic {
  readonly n: number;
  /** Independent units behind the intervals: groups, or values where there are none. */
  readonly units: number;
  readonly mean: number | null;
  /** Sample standard deviation (n - 1); null below two values. */
  readonly sd: number | null;
  readonly min: number | null;
  readonly p50: number | null;
  /** Null below 20 units. */
  readonly p95: number | null;
  /** Null below 100 units. */
  readonly p99: number | null;
  readonly max: number | null;
  /** Student t; null below two units, or when they show no spread. Never below 0 where no value is. */
  readonly mean_ci95: Interval | null;
  /** Distribution-free; null below 59 units. */
  readonly p95_ci95: Interval | null;
}

/** The fewest units from which a p95 and a p99 are given: below, they are little else than the maximum. */
export const P95_FROM = 20;
const P99_FROM = 100;

/**
 * Summarises values: mean, spread, linear percentiles, and 95 % intervals for the mean and the p95.
 *
 * With `groups`, whole groups are taken as independent, not single values: five rounds over twelve cases are
 * twelve cases, and all gaps of one case are one case. The interval of the mean then comes from the spread
 * between groups (cluster-robust, t with groups - 1 degrees of freedom); that of the p95 rests on one value
 * of each group, drawn at random: an independent sample of the same distribution. A single group gives no
 * intervals. Without `groups` every value counts by itself: right for one case repeated many times, where the
 * figures speak of that case alone.
 *
 * @param values Finite numbers; plain or typed array. A sorted copy is made: 8
 * (Float32Array: 4) bytes per value.
 * @param options.groups One label per value (case, request number).
 * @throws {RangeError} When a value is not finite, or labels and values differ in number.
 *
 * ```ts
 * const seconds = [1.1, 1.3, 0.9, 1.2];
 * const each = summarize(seconds);
 * const byCase = summarize(seconds, { groups: ["p1", "p1", "p2", "p2"] });
 * console.assert(each.mean === byCase.mean && each.p95 === null);
 * console.assert(byCase.mean_ci95 !== null && byCase.units === 2);
 * ```
 */
export function summarize(values: Numbers, options: { readonly groups?: Labels } = {}): Statistic {
  const n = values.length;
  const groups = options.groups === undefined ? null : groupBy(options.groups, n);
  const ascending = sorted(values);
  const min = ascending[0];
  const max = ascending[n - 1];
  if (min === undefined || max === undefined) return NO_VALUES;
  const units = groups?.count ?? n;
  // The mean of equal values may miss them by a rounding error; it never lies outside what was seen.
  const mean = Math.min(max, Math.max(min, total(ascending, (x) => x) / n));
  const sd = n < 2 ? null : Math.sqrt(total(ascending, (x) => (x - mean) ** 2) / (n - 1));
  const p95 = units < P95_FROM ? null : quantileSorted(ascending, 0.95);
  const limits = sd === null || min === max ? null : meanInterval(values, mean, sd, groups);
  return {
    n,
    units,
    mean,
    sd,
    min,
    p50: quantileSorted(ascending, 0.5),
    p95,
    p99: units < P99_FROM ? null : quantileSorted(ascending, 0.99),
    max,
    mean_ci95: limits === null || min < 0 || limits[0] > 0 ? limits : positiveInterval(mean, limits),
    p95_ci95: p95 === null || min === max ? null : p95Interval(values, ascending, p95, groups),
  };
}

/** The statistic of no values: nothing is known. */
export const NO_VALUES: Statistic = {
  n: 0,
  units: 0,
  mean: null,
  sd: null,
  min: null,
  p50: null,
  p95: null,
  p99: null,
  max: null,
  mean_ci95: null,
  p95_ci95: null,
};

function meanInterval(values: Numbers, mean: number, sd: number, groups: Grouping | null): Interval | null {
  const variance = groups === null ? sd * sd / values.length : groupedVarianceOfMean(values, mean, groups);
  // Groups with one and the same mean would give an interval of no width: false certainty.
  if (variance === null || Math.sqrt(variance) <= Math.abs(mean) * 1e-12) return null;
  const df = (groups?.count ?? values.length) - 1;
  const half = studentTQuantile(0.975, df) * Math.sqrt(variance);
  return [mean - half, mean + half];
}

/** The same relative half-width on a logarithmic scale: times and rates are positive, and so are their means. */
function positiveInterval(mean: number, [, high]: Interval): Interval | null {
  if (mean <= 0) return null;
  const factor = Math.exp((high - mean) / mean);
  return [mean / factor, mean * factor];
}

function p95Interval(
  values: Numbers,
  ascending: Numbers,
  p95: number,
  groups: Grouping | null,
): Interval | null {
  const limits = groups === null || groups.count === values.length
    ? quantileInterval(ascending, 0.95)
    : quantileInterval(sorted(oneOfEach(values, groups, seededRandom("p95"))), 0.95);
  if (limits === null || limits[0] === limits[1]) return null;
  // The figure rests on all values, the interval on one per group: it never leaves out the figure.
  return [Math.min(limits[0], p95), Math.max(limits[1], p95)];
}

/** Sums in ascending order; a plain loop, because ten million values pass here. */
function total(values: Numbers, term: (value: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += term(values[i] ?? 0);
  return sum;
}
