/** The load that was actually delivered. */

/** Times of one candidate's requests, one value per request, in ms. */
export interface RequestTimes {
  readonly due: ArrayLike<number>;
  readonly sent: ArrayLike<number>;
  readonly end: ArrayLike<number>;
}

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
 * const load = deliveredLoad({ due: [0, 100, 200, 300], sent: [0, 100, 200, 300], end: [50, 150, 250, 350] }, 10);
 * if (Math.abs(load.deliveredRate - 10) > 1e-9 || load.maxInFlight !== 1) throw new Error("as asked");
 * ```
 */
export function deliveredLoad(spans: RequestTimes, plannedRate: number | null): DeliveredLoad {
  const { busyMs, maxInFlight } = sweep(spans);
  const busyS = busyMs / 1000;
  const completedRate = busyS > 0 ? spans.end.length / busyS : 0;
  const deliveredRate = plannedRate === null ? completedRate : rateOfStretches(spans, 1500 / plannedRate);
  return { deliveredRate, completedRate, maxInFlight, busyS };
}

/** (n − 1) / (last sent − first sent), over all stretches together. */
function rateOfStretches({ due, sent }: RequestTimes, pauseMs: number): number {
  const order = ascending(due);
  let [intervals, spanMs] = [0, 0];
  for (let at = 1; at < order.length; at++) {
    const [before, now] = [order[at - 1] ?? 0, order[at] ?? 0];
    if ((due[now] ?? 0) - (due[before] ?? 0) > pauseMs) continue;
    intervals++;
    spanMs += (sent[now] ?? 0) - (sent[before] ?? 0);
  }
  return spanMs > 0 ? (intervals * 1000) / spanMs : 0;
}

/** The union of [sent, end], and the most that overlap. */
function sweep({ sent, end }: RequestTimes): { busyMs: number; maxInFlight: number } {
  const starts = Float64Array.from(sent).sort();
  const ends = Float64Array.from(end).sort();
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

function ascending(values: ArrayLike<number>): Uint32Array {
  return Uint32Array.from(values, (_, index) => index).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
}
