/** How much one model's latency varies when the same prompt is asked again: what a simulated race needs to know. */
import { squaredDeviations } from "../lib/stats/mean.ts";
import { quantile } from "../lib/stats/quantile.ts";

/** The noise of a world to race in (`RaceWorld` in simulation.ts). */
export interface LatencyNoise {
  /** Standard deviation of the logarithm of one latency, over repeats of one prompt; 0.1 is about 10 %. */
  readonly noise: number;
  /** Share of requests that took more than twice as long as their prompt's median. */
  readonly slowShare: number;
  /** Requests that were looked at. */
  readonly n: number;
}

/** A request that takes more than this many times its prompt's median is slow, and not part of the noise. */
const SLOW = 2;

/**
 * Measures noise from real repeats: the pooled standard deviation of log latencies within the groups.
 *
 * @param groups Latencies of one candidate on one prompt each, in any unit, above 0. Groups of one say nothing
 *   and are set aside.
 * @throws {RangeError} When no group has two latencies.
 *
 * @example
 * ```ts
 * const { noise, slowShare } = latencyNoise([[1, 1.1, 0.9, 5], [20, 22, 18]]);
 * console.assert(noise > 0.09 && noise < 0.11 && slowShare === 1 / 7);
 * ```
 */
export function latencyNoise(groups: readonly (readonly number[])[]): LatencyNoise {
  const repeated = groups.filter((group) => group.length > 1);
  if (repeated.length === 0) throw new RangeError("Cannot measure noise: no prompt was asked twice");
  let [slow, n, squares, freedom] = [0, 0, 0, 0];
  for (const group of repeated) {
    const limit = SLOW * quantile(group, 0.5);
    const logs = group.filter((latency) => latency <= limit).map(Math.log);
    n += group.length;
    slow += group.length - logs.length;
    squares += squaredDeviations(logs);
    freedom += logs.length - 1;
  }
  return { noise: freedom === 0 ? 0 : Math.sqrt(squares / freedom), slowShare: slow / n, n };
}
