/** How many independent values a series of dependent ones is worth. */

/**
 * The integrated autocorrelation time of a series: n values say as much about their mean as n / time independent ones
 * do. One plus twice the sum of the autocorrelations (Sokal 1997, "Monte Carlo methods in statistical mechanics"), up to
 * the first that independent values could show by chance (2 / √n, Bartlett 1946); 1 for a series that never changes.
 *
 * @example
 * ```ts
 * if (autocorrelationTime([1, 5, 2, 4, 1, 5, 2, 4]) !== 1) throw new Error("it alternates");
 * const slow = Array.from({ length: 200 }, (_, at) => Math.floor(at / 20) % 2);
 * if (autocorrelationTime(slow) < 5) throw new Error("each value comes twenty times in a row");
 * ```
 */
export function autocorrelationTime(values: readonly number[]): number {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const deviations = values.map((value) => value - mean);
  const variance = deviations.reduce((sum, value) => sum + value * value, 0);
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
