/**
 * The outside world as parameters. lib/ never reads the time, waits or uses the network on its own: it is
 * handed these, so that a test can run an hour of measuring in a millisecond.
 */

/** Milliseconds on a monotonic clock; only differences mean anything. */
export type Clock = () => number;

/** Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** The platform's `fetch`, or a function with the same signature. */
export type Fetch = typeof fetch;
