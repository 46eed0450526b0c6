/** Whether a candidate's times stayed the same: after its warm-ups, and from the start of the run to its end. */
import { studentTQuantile } from "../stats/t.ts";
import type { Collected } from "./collect.ts";

/** Two warm-ups that differ by less than this share are alike. */
const STABLE_SHARE = 0.1;

/**
 * Whether the last two of a candidate's warm-ups took about the same time per token, so that no more are needed.
 *
 * ```ts
 * if (isStable([0.03, 0.02]) || !isStable([0.03, 0.02, 0.021])) throw new Error("the last two count");
 * ```
 */
export function isStable(seconds: readonly number[]): boolean {
  const [before, last] = seconds.slice(-2);
  if (before === undefined || last === undefined) return false;
  return Math.abs(last - before) <= STABLE_SHARE * Math.max(before, last);
}

/** How a candidate's times changed over the run. */
export interface Drift {
  /** Time per token (latency where that is unknown) at the end of the run, divided by that at its start. */
  readonly ratio: number;
  readonly ci95: readonly [number, number];
  readonly n: number;
}

/** Fewer requests show no trend. */
const LEAST_REQUESTS = 8;

/**
 * The trend of the logarithm of a candidate's times over the order in which its requests ran, by least squares; null for
 * fewer than eight good requests.
 *
 * @param quiet which blocks count; null: all of them
 *
 * ```ts ignore
 * const drift = driftOf(candidate, null);
 * if (drift !== null && drift.ci95[0] > 1.05) console.log("it became slower");
 * ```
 */
export function driftOf({ good }: Collected, quiet: ((block: number) => boolean) | null): Drift | null {
  const [tpot, latency] = [good.metrics.tpot_s.view(), good.metrics.latency_s.view()];
  const times = tpot.some((value) => value > 0) ? tpot : latency;
  const logs = Array.from(good.block.view(), (block, at) => ({ block, log: Math.log(times[at] ?? NaN) }))
    .filter(({ block, log }) => Number.isFinite(log) && (quiet === null || quiet(block)))
    .map(({ log }) => log);
  const n = logs.length;
  if (n < LEAST_REQUESTS) return null;
  const place = (at: number) => at / (n - 1) - 0.5;
  const mean = logs.reduce((sum, log) => sum + log, 0) / n;
  const spread = logs.reduce((sum, _, at) => sum + place(at) ** 2, 0);
  const slope = logs.reduce((sum, log, at) => sum + place(at) * (log - mean), 0) / spread;
  const rest = logs.reduce((sum, log, at) => sum + (log - mean - slope * place(at)) ** 2, 0);
  const half = studentTQuantile(0.975, n - 2) * Math.sqrt(rest / (n - 2) / spread);
  return { ratio: Math.exp(slope), ci95: [Math.exp(slope - half), Math.exp(slope + half)], n };
}
