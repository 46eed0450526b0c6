/** When a series changed its level for good: a machine that throttles after some minutes. */
import { meanOf, sumOf } from "./mean.ts";

/** A change, between the values `at − 1` and `at`. */
export interface ChangePoint {
  readonly at: number;
  /** Probability of so large a change where there is none. */
  readonly p: number;
  /** Means before and after. */
  readonly before: number;
  readonly after: number;
}

/** Fewer values show no change. */
const LEAST = 20;

/**
 * The most likely change of level in a series, by Pettitt's rank test (1979, "A non-parametric approach to
 * the change-point problem"), which assumes no distribution: with the ranks R of n values,
 *
 *     U(t) = 2 (R(1) + … + R(t)) − t (n + 1),   K = max |U(t)|,   p ≈ 2 exp(−6 K² / (τ (n³ + n²)))
 *
 * Values that follow each other are alike, so the test counts them as n / τ (as Yue and Wang 2004, "The
 * Mann–Kendall test modified by effective sample size"): τ = (1 + r) / (1 − r), with the lag-1 correlation r
 * of the ranks around their means before and after, corrected for its bias (Marriott and Pope 1954), twice
 * for the two means. A change at less than a twentieth of the series from an end is not looked for. Null
 * below twenty values.
 *
 * ```ts
 * const steady = Array.from({ length: 60 }, (_, at) => 50 + (at * 7) % 5);
 * const throttled = steady.map((value, at) => at < 40 ? value : 0.8 * value);
 * const found = changePoint(throttled);
 * if (found === null || Math.abs(found.at - 40) > 1 || found.p > 0.001) throw new Error(JSON.stringify(found));
 * if ((changePoint(steady)?.p ?? 0) < 0.05) throw new Error("nothing changed");
 * ```
 */
export function changePoint(values: readonly number[]): ChangePoint | null {
  const n = values.length;
  if (n < LEAST) return null;
  const ranks = ranksOf(values);
  const margin = Math.ceil(n / 20);
  let [at, largest, sum] = [0, -1, 0];
  for (let t = 1; t < n; t++) {
    sum += ranks[t - 1] ?? 0;
    const u = Math.abs(2 * sum - t * (n + 1));
    if (t >= margin && t <= n - margin && u > largest) [at, largest] = [t, u];
  }
  const [before, after] = [meanOf(values.slice(0, at)), meanOf(values.slice(at))];
  const time = dependence(ranks, at);
  const p = Math.min(1, 2 * Math.exp(-6 * largest ** 2 / (time * (n ** 3 + n ** 2))));
  return { at, p, before, after };
}

/** τ, at least 1. */
function dependence(ranks: readonly number[], at: number): number {
  const [before, after] = [meanOf(ranks.slice(0, at)), meanOf(ranks.slice(at))];
  const rest = ranks.map((rank, i) => rank - (i < at ? before : after));
  const total = sumOf(rest.map((value) => value * value));
  if (total === 0) return 1;
  const lagged = sumOf(rest.map((value, i) => value * (rest[i + 1] ?? 0))) / total;
  const r = Math.min(0.95, Math.max(0, lagged + 2 * (1 + 4 * lagged) / ranks.length));
  return (1 + r) / (1 - r);
}

/** Ranks from 1; equal values share the mean of theirs. */
function ranksOf(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const ranks: number[] = [];
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && values[order[to] ?? 0] === values[order[from] ?? 0]) to++;
    for (const index of order.slice(from, to)) ranks[index] = (from + to + 1) / 2;
    from = to;
  }
  return ranks;
}
