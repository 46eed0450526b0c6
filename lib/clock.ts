/**
 * The outside world as parameters. lib/ never reads the time, waits or uses the network on its own: it is
 * handed these, so that a test can run an hour of measuring in a millisecond.
 */
import { setImmediate as nextTurn, setTimeout as timer } from "node:timers/promises";

/** Milliseconds on a monotonic clock; only differences mean anything. */
export type Clock = () => number;

/** Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** Timers fire one to two milliseconds late. */
const TIMER_LATE_MS = 3;

/**
 * The real `Sleep` on a clock: a timer until shortly before the time, then turns of the event loop until it
 * has come. Late by microseconds.
 *
 * ```ts
 * const clock = () => performance.now();
 * const startMs = clock();
 * await sleepOn(clock)(10);
 * if (clock() - startMs < 10) throw new Error("it never wakes early");
 * ```
 */
export function sleepOn(clock: Clock): Sleep {
  return async (ms, signal) => {
    const untilMs = clock() + ms;
    signal?.throwIfAborted();
    if (ms > TIMER_LATE_MS) {
      // Its own error is an AbortError, whatever the signal's reason is.
      await timer(ms - TIMER_LATE_MS, undefined, { signal }).catch((error) => {
        throw signal?.reason ?? error;
      });
    }
    while (clock() < untilMs) {
      signal?.throwIfAborted();
      await nextTurn();
    }
  };
}

/** The platform's `fetch`, or a function with the same signature. */
export type Fetch = typeof fetch;
