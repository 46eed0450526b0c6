/**
 * A circuit breaker (Nygard, Release It!, 2007): after a few failures in a row no request is sent to a model
 * that is down, until a pause is over and one request at a time has shown that it is up again.
 */
import type { Clock } from "../../clock.ts";

export interface BreakerSettings {
  /** Failures in a row that open it; at least 1. */
  readonly failuresToOpen: number;
  /** How long it then stays open. */
  readonly openMs: number;
}

export type BreakerState = "closed" | "open" | "half-open";

export interface Breaker {
  state(): BreakerState;
  /** Whether a request may be sent now. Asking changes nothing. */
  allows(): boolean;
  /**
   * A request was sent. Half-open, no other one is let through until it reported, or for `openMs`
   * where it never does because its client went away. A caller that omits this lets every request
   * through a half-open breaker.
   */
  started(): void;
  succeeded(): void;
  failed(): void;
}

/**
 * Makes a breaker, closed. A success closes a half-open one, a failure opens it again for the whole pause.
 * What reports to an open one was sent before it opened, and says nothing about now.
 *
 * @throws {RangeError} when a setting is not positive
 *
 * ```ts
 * let now = 0;
 * const breaker = makeBreaker({ failuresToOpen: 2, openMs: 1000 }, () => now);
 * breaker.failed();
 * breaker.failed();
 * console.assert(breaker.state() === "open" && !breaker.allows());
 * now = 1000;
 * console.assert(breaker.state() === "half-open" && breaker.allows());
 * ```
 */
export function makeBreaker({ failuresToOpen, openMs }: BreakerSettings, clock: Clock): Breaker {
  if (!(Number.isInteger(failuresToOpen) && failuresToOpen >= 1 && openMs > 0)) {
    throw new RangeError(
      `Cannot make a breaker that opens after ${failuresToOpen} failures for ${openMs} ms: ` +
        "give at least one failure, and a time above 0",
    );
  }
  let failuresInRow = 0;
  let openUntilMs: number | null = null;
  let triedAtMs: number | null = null;
  const state = (): BreakerState =>
    openUntilMs === null ? "closed" : clock() < openUntilMs ? "open" : "half-open";
  const open = () => {
    openUntilMs = clock() + openMs;
    triedAtMs = null;
    failuresInRow = 0;
  };
  return {
    state,
    allows() {
      if (state() !== "half-open") return state() === "closed";
      return triedAtMs === null || clock() - triedAtMs >= openMs;
    },
    started() {
      if (state() === "half-open") triedAtMs = clock();
    },
    succeeded() {
      if (state() === "open") return;
      failuresInRow = 0;
      openUntilMs = null;
      triedAtMs = null;
    },
    failed() {
      const now = state();
      if (now === "half-open") return open();
      if (now === "open" || ++failuresInRow < failuresToOpen) return;
      open();
    },
  };
}
