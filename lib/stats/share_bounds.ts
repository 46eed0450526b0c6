/** How sure a share is when requests come in stretches that share the state of a queue. */
import { betaQuantile } from "./beta.ts";
import { meanOf, sumOf } from "./mean.ts";
import { studentTQuantile } from "./t.ts";

/** One stretch: how many of its requests counted. */
export interface ShareStretch {
  readonly met: number;
  readonly n: number;
}

/** A share with one-sided bounds. */
export interface ShareBounds {
  readonly share: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/**
 * A share over stretches, with a lower and an upper bound that each hold with probability 1 − `error`.
 *
 * Clopper and Pearson's exact bounds (1934), on the effective number of requests of Korn and Graubard (1998,
 * "Confidence intervals for proportions with small expected number of positive counts
 * estimated from survey data"):
 *
 *     n* = p (1 − p) / v · (t(n − 1) / t(k − 1))²,  at most n
 *
 * where v is the variance of p between the k stretches. Where all requests met (or none did), n* is n. A
 * queue makes requests alike also where none missed yet: `most` caps n*.
 *
 * @param most largest effective number of requests, from what else is known of their dependence
 * @throws {RangeError} without a request, or where a stretch has more met than requests
 *
 * ```ts
 * const all = shareBounds(Array.from({ length: 8 }, () => ({ met: 10, n: 10 })), 0.05);
 * if (all.low < 0.96 || all.high !== 1) throw new Error("80 of 80");
 * const bunched = shareBounds([...Array.from({ length: 7 }, () => ({ met: 10, n: 10 })), { met: 2, n: 10 }], 0.05);
 * const spread = shareBounds(Array.from({ length: 8 }, () => ({ met: 9, n: 10 })), 0.05);
 * if (bunched.share !== spread.share || bunched.low >= spread.low) throw new Error("misses that hang together say less");
 * ```
 */
export function shareBounds(
  stretches: readonly ShareStretch[],
  error: number,
  most = Infinity,
): ShareBounds {
  const n = sumOf(stretches.map((one) => one.n));
  const met = sumOf(stretches.map((one) => one.met));
  if (n === 0 || stretches.some((one) => one.met > one.n)) {
    throw new RangeError(`Cannot bound a share of ${met} in ${n} requests`);
  }
  const share = met / n;
  const used = stretches.filter((one) => one.n > 0);
  const k = used.length;
  let effective = Math.min(n, most);
  if (met > 0 && met < n && k > 1) {
    const squares = sumOf(used.map((one) => (one.met - share * one.n) ** 2));
    const variance = (k / (k - 1)) * squares / n ** 2;
    const shrink = studentTQuantile(1 - error, n - 1) / studentTQuantile(1 - error, k - 1);
    if (variance > 0) effective = Math.min(effective, share * (1 - share) / variance * shrink ** 2);
  }
  const [x, rest] = [share * effective, (1 - share) * effective];
  return {
    share,
    low: met === 0 ? 0 : betaQuantile(error, x, rest + 1),
    high: met === n ? 1 : betaQuantile(1 - error, x + 1, rest),
    n,
  };
}

/**
 * The integrated autocorrelation time of a series: n values say as much about their mean as n / time
 * independent ones do. One plus twice the sum of the autocorrelations (Sokal 1997, "Monte Carlo methods in
 * statistical mechanics"), up to the first that independent values could show by chance (2 / √n, Bartlett
 * 1946); 1 for a series that never changes.
 *
 * ```ts
 * if (autocorrelationTime([1, 5, 2, 4, 1, 5, 2, 4]) !== 1) throw new Error("it alternates");
 * const slow = Array.from({ length: 200 }, (_, at) => Math.floor(at / 20) % 2);
 * if (autocorrelationTime(slow) < 5) throw new Error("each value comes twenty times in a row");
 * ```
 */
export function autocorrelationTime(values: readonly number[]): number {
  const n = values.length;
  const mean = meanOf(values);
  const deviations = values.map((value) => value - mean);
  const variance = sumOf(deviations.map((value) => value * value));
  if (!(variance > 0)) return 1;
  const chance = 2 / Math.sqrt(n);
  let time = 1;
  for (let lag = 1; lag < n / 2; lag++) {
    let sum = 0;
    for (let at = 0; at + lag < n; at++) sum += (deviations[at] ?? 0) * (deviations[at + lag] ?? 0);
    if (sum / variance < chance) break;
    time += 2 * sum / variance;
  }
  return time;
}
