/** Whether a candidate's times stayed the same: after its warm-ups, and from the start of the run to its end. */
import { meanOf, sumOf } from "../stats/mean.ts";
import { studentTQuantile } from "../stats/t.ts";
import type { GoodRequest } from "./collect.ts";

/** Two warm-ups that differ by less than this share are alike. */
const STABLE_SHARE = 0.1;

/**
 * Whether the last two of a candidate's warm-ups took about the same time per token,
 * so that no more are needed.
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
  readonly ci95: [number, number];
  readonly n: number;
}

/** Fewer requests show no trend. */
const LEAST_REQUESTS = 8;

/** The logarithm of each request's time per token, of its latency where no time per token is known. */
export function logTimes(
  requests: readonly GoodRequest[],
): { readonly block: number; readonly log: number }[] {
  const metric = requests.some(({ tpot_s }) => (tpot_s ?? 0) > 0) ? "tpot_s" : "latency_s";
  return requests.map((request) => ({ block: request.block, log: Math.log(request[metric] ?? NaN) }))
    .filter(({ log }) => Number.isFinite(log));
}

/**
 * The trend of the logarithm of a candidate's times over the order in which its requests ran, by least
 * squares; null for fewer than eight good requests.
 *
 * ```ts ignore
 * const drift = driftOf(candidate.good);
 * if (drift !== null && drift.ci95[0] > 1.05) console.log("it became slower");
 * ```
 */
export function driftOf(requests: readonly GoodRequest[]): Drift | null {
  const logs = logTimes(requests).map(({ log }) => log);
  const n = logs.length;
  if (n < LEAST_REQUESTS) return null;
  const place = (at: number) => at / (n - 1) - 0.5;
  const mean = meanOf(logs);
  const spread = sumOf(logs.map((_, at) => place(at) ** 2));
  const slope = sumOf(logs.map((log, at) => place(at) * (log - mean))) / spread;
  const rest = sumOf(logs.map((log, at) => (log - mean - slope * place(at)) ** 2));
  const half = studentTQuantile(0.975, n - 2) * Math.sqrt(rest / (n - 2) / spread);
  return { ratio: Math.exp(slope), ci95: [Math.exp(slope - half), Math.exp(slope + half)], n };
}
