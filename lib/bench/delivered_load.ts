/** The load that was actually delivered. */
import type { CollectedRequest } from "./collect.ts";

type Times = Pick<CollectedRequest, "dueMs" | "sentMs" | "endMs">;

export interface DeliveredLoad {
  /** Requests sent per second, over the stretches in which requests were due. */
  readonly deliveredRate: number;
  /** Requests ended per second, over the time in which one was in flight. */
  readonly completedRate: number;
  readonly maxInFlight: number;
  /** Time in which at least one request was in flight, in seconds. */
  readonly busyS: number;
}

/**
 * The load a candidate met. At a constant rate the plan may have run in stretches (other candidates in
 * between): a pause in the due times of more than 1.5 intervals begins a new one.
 *
 * @param plannedRate requests per second that the plan states; null in a closed loop
 *
 * ```ts
 * // Four requests at 10 a second, each 50 ms long.
 * const requests = [0, 100, 200, 300].map((dueMs) => ({ dueMs, sentMs: dueMs, endMs: dueMs + 50 }));
 * const load = deliveredLoad(requests, 10);
 * if (Math.abs(load.deliveredRate - 10) > 1e-9 || load.maxInFlight !== 1) throw new Error("as asked");
 * ```
 */
export function deliveredLoad(requests: readonly Times[], plannedRate: number | null): DeliveredLoad {
  const { busyMs, maxInFlight } = sweep(requests);
  const busyS = busyMs / 1000;
  const completedRate = busyS > 0 ? requests.length / busyS : 0;
  const deliveredRate = plannedRate === null ? completedRate : rateOfStretches(requests, 1500 / plannedRate);
  return { deliveredRate, completedRate, maxInFlight, busyS };
}

/** (n − 1) / (last sent − first sent), over all stretches together. */
function rateOfStretches(requests: readonly Times[], pauseMs: number): number {
  let [intervals, spanMs] = [0, 0];
  let before: Times | undefined;
  for (const now of requests.toSorted((a, b) => a.dueMs - b.dueMs)) {
    if (before !== undefined && now.dueMs - before.dueMs <= pauseMs) {
      intervals++;
      spanMs += now.sentMs - before.sentMs;
    }
    before = now;
  }
  return spanMs > 0 ? (intervals * 1000) / spanMs : 0;
}

/** The union of [sent, end], and the most that overlap. */
function sweep(requests: readonly Times[]): { busyMs: number; maxInFlight: number } {
  const starts = Float64Array.from(requests, ({ sentMs }) => sentMs).sort();
  const ends = Float64Array.from(requests, ({ endMs }) => endMs).sort();
  let [busyMs, inFlight, maxInFlight, closed, since] = [0, 0, 0, 0, 0];
  for (const start of starts) {
    for (; closed < ends.length && (ends[closed] ?? 0) <= start; closed++) {
      inFlight--;
      if (inFlight === 0) busyMs += (ends[closed] ?? 0) - since;
    }
    if (inFlight === 0) since = start;
    inFlight++;
    maxInFlight = Math.max(maxInFlight, inFlight);
  }
  const last = ends.at(-1);
  if (inFlight > 0 && last !== undefined) busyMs += last - since;
  return { busyMs, maxInFlight };
}
