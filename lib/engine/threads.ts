/**
 * How many threads a context gets: one core stays free for the event loop that hands the tokens out. A
 * decode step waits for its slowest thread, so one thread that has to share its core stalls them all.
 *
 * ```ts
 * if (threadsFor(8) !== 7 || threadsFor(2) !== 1 || threadsFor(1) !== 1) throw new Error("one core is free");
 * ```
 */
export function threadsFor(mathCores: number): number {
  return Math.max(1, mathCores - 1);
}
