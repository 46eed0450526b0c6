/** The fake endpoint in the test's own process. */
import { setImmediate } from "node:timers/promises";
import type { Clock, Sleep } from "../lib/clock.ts";
import { type Fake, startFakeServer } from "../lib/selfcheck/fake_server.ts";

/** Starts it with one behaviour for every model, or one for each of `models`. */
export function startFake(
  input: Parameters<typeof startFakeServer>[0] = {},
  clock: Clock = () => performance.now(),
): Fake {
  return startFakeServer(input, clock);
}

/** The real time, except that nobody waits for a sleep: it is over at once, and the clock has moved on by its length. */
export function skippingTime(): { readonly clock: Clock; readonly sleep: Sleep } {
  let skippedMs = 0;
  return {
    clock: () => performance.now() + skippedMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      skippedMs += ms;
      await setImmediate();
      signal?.throwIfAborted();
    },
  };
}
