/** Whether a bounded mean lies near zero, decided at any time, without a law of the values. */
import { meanOf } from "./mean.ts";

/** Shares of the largest possible stake. Several at once, because the best one depends on what is not known. */
const STAKES = [1, 0.5, 0.25] as const;

/** Two gamblers' logarithms of what they hold, one entry per stake: against "at least ε" and "at most −ε". */
export interface NearZero {
  readonly againstHigh: readonly number[];
  readonly againstLow: readonly number[];
}

export const NOTHING_SEEN: NearZero = { againstHigh: STAKES.map(() => 0), againstLow: STAKES.map(() => 0) };

/**
 * One more value. Betting as in Waudby-Smith and Ramdas (2024, "Estimating means of bounded random variables
 * by betting"): a bettor who doubts that the mean is at least ε stakes a share f of what they hold on ε − x,
 * and holds after every value
 *
 *     K ← K · (1 + f (ε − x) / (span − ε))
 *
 * which never falls below 0 since x ≤ span. Were the mean at least ε, K would be a supermartingale; the mean
 * of several such K, with the stakes 1, ½ and ¼, is one too.
 *
 * @param value in [−span, span]
 * @throws {RangeError} When the value is outside, or ε is not strictly between 0 and span.
 *
 * ```ts
 * let seen = NOTHING_SEEN;
 * for (let i = 0; i < 39; i++) seen = bet(seen, 0, { epsilon: 0.1, span: 1 });
 * console.assert(isNearZero(seen, 0.05) && !isNearZero(NOTHING_SEEN, 0.05));
 * ```
 */
export function bet(seen: NearZero, value: number, bounds: { epsilon: number; span: number }): NearZero {
  const { epsilon, span } = bounds;
  if (!(epsilon > 0 && epsilon < span)) {
    throw new RangeError(`Cannot bet with epsilon ${epsilon} and span ${span}: give 0 < epsilon < span`);
  }
  if (!(Math.abs(value) <= span)) {
    throw new RangeError(`Cannot bet on ${value}: it takes values from −${span} to ${span}`);
  }
  const grow = (held: readonly number[], x: number) =>
    held.map((log, i) => log + Math.log1p((STAKES[i] ?? 0) * (epsilon - x) / (span - epsilon)));
  return { againstHigh: grow(seen.againstHigh, value), againstLow: grow(seen.againstLow, -value) };
}

/**
 * Whether the mean lies within ±ε: both "at least ε" and "at most −ε" are refuted. However often one looks,
 * that is wrong with probability at most `error` (Ville 1939); not twice that, since only one of the two can
 * be true.
 */
export function isNearZero({ againstHigh, againstLow }: NearZero, error: number): boolean {
  return held(againstHigh) >= 1 / error && held(againstLow) >= 1 / error;
}

const held = (logs: readonly number[]) => meanOf(logs.map(Math.exp));
