/** One metric of one candidate in a handful of figures, each null where the sample cannot carry it. */
import { effectiveSize, groupBy, groupedVarianceOfMean, type Grouping, type Labels } from "./groups.ts";
import { type Interval, type Numbers, quantileInterval, quantileSorted, sorted } from "./quantile.ts";
import { studentTQuantile } from "./t.ts";

/** Field names are those of summary.json; units are those of the values. */
export interface Statistic {
  readonly n: number;
  readonly mean: number | null;
  /** Sample standard deviation (n - 1); null below two values. */
  readonly sd: number | null;
  readonly min: number | null;
  readonly p50: number | null;
  /** Null below 20 values. */
  readonly p95: number | null;
  /** Null below 100 values. */
  readonly p99: number | null;
  readonly max: number | null;
  /** Student t; null below two values or groups, or when they show no spread. */
  readonly mean_ci95: Interval | null;
  /** Distribution-free; null below 59 independent values, or 20 groups. */
  readonly p95_ci95: Interval | null;
}

/** The fewest values from which a p95 and a p99 are given: below, they are little else than the maximum. */
export const P95_FROM = 20;
export const P99_FROM = 100;

/**
 * Summarises values: mean, spread, linear percentiles, and 95 % intervals for the mean and the p95.
 *
 * With `groups`, whole groups are taken as independent, not single values: five rounds over twelve prompts
 * are twelve prompts, and all gaps of one request are one request. The interval of the mean then comes from
 * the spread between groups (cluster-robust, t with groups - 1 degrees of freedom), that of the p95 from as
 * many independent values as the sample is worth, and from 20 groups. A single group gives no intervals. Without `groups` every
 * value counts by itself: right for one prompt asked many times, where the figures speak of that prompt alone.
 *
 * @param values Finite numbers; plain or typed array. A sorted copy is made: 8 (Float32Array: 4) bytes a value.
 * @param options.groups One label a value (prompt id, request number).
 * @throws {RangeError} When a value is not finite, or labels and values differ in number.
 *
 * @example
 * ```ts
 * const seconds = [1.1, 1.3, 0.9, 1.2];
 * const each = summarize(seconds);
 * const byPrompt = summarize(seconds, { groups: ["p1", "p1", "p2", "p2"] });
 * console.assert(each.mean === byPrompt.mean && each.p95 === null);
 * console.assert(byPrompt.mean_ci95 !== null);
 * ```
 */
export function summarize(values: Numbers, options: { readonly groups?: Labels } = {}): Statistic {
  const n = values.length;
  const groups = options.groups === undefined ? null : groupBy(options.groups, n);
  const ascending = sorted(values);
  const min = ascending[0];
  const max = ascending[n - 1];
  if (min === undefined || max === undefined) return EMPTY;
  // The mean of equal values may miss them by a rounding error; it never lies outside what was seen.
  const mean = Math.min(max, Math.max(min, total(ascending, (x) => x) / n));
  const sd = n < 2 ? null : Math.sqrt(total(ascending, (x) => (x - mean) ** 2) / (n - 1));
  const p95 = n < P95_FROM ? null : quantileSorted(ascending, 0.95);
  return {
    n,
    mean,
    sd,
    min,
    p50: quantileSorted(ascending, 0.5),
    p95,
    p99: n < P99_FROM ? null : quantileSorted(ascending, 0.99),
    max,
    mean_ci95: sd === null || min === max ? null : meanInterval(values, mean, sd, groups),
    p95_ci95: p95 === null ? null : p95Interval(values, ascending, p95, groups),
  };
}

const EMPTY: Statistic = {
  n: 0,
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
  // Groups with one and the same mean would give an interval of no width: certainty that nobody has.
  if (variance === null || Math.sqrt(variance) <= Math.abs(mean) * 1e-12) return null;
  const df = (groups?.count ?? values.length) - 1;
  const half = studentTQuantile(0.975, df) * Math.sqrt(variance);
  return [mean - half, mean + half];
}

function p95Interval(
  values: Numbers,
  ascending: Numbers,
  p95: number,
  groups: Grouping | null,
): Interval | null {
  if (groups === null) return quantileInterval(ascending, 0.95);
  if (groups.count < P95_FROM) return null;
  // The size itself is an estimate from few groups; t quantiles allow for that (Korn and Graubard 1998).
  const caution = studentTQuantile(0.975, values.length - 1) / studentTQuantile(0.975, groups.count - 1);
  return quantileInterval(ascending, 0.95, 0.95, effectiveSize(values, p95, groups) * caution ** 2);
}

/** Sums in ascending order; a plain loop, because ten million values pass here. */
function total(values: Numbers, term: (value: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += term(values[i] ?? 0);
  return sum;
}
