/** How two candidates of a race fare against each other: who won how many blocks, and by how much. */
import { addValue, type Moments, NO_MOMENTS } from "../../stats/anytime_t.ts";
import { bet, type NearZero, NOTHING_SEEN } from "../../stats/bounded_mean.ts";
import { signTestP } from "../../stats/special.ts";

/** The result of one candidate on one case. A candidate that `leaves` is not asked again. */
export type CaseOutcome =
  | { readonly status: "ok"; readonly value: number }
  | { readonly status: "failed"; readonly reason: string; readonly leaves?: true };

/** One case, sent to every live candidate: outcome by candidate id. */
export type RaceBlock = ReadonlyMap<string, CaseOutcome>;

/** How two candidates fared against each other in the blocks that both ran. */
export interface Pairing {
  readonly a: string;
  readonly b: string;
  readonly winsA: number;
  readonly winsB: number;
  /** Blocks in which only a, or only b, failed: won or lost, but without an effect to measure. */
  readonly failedA: number;
  readonly failedB: number;
  /** Of log(a / b), or a − b, over the blocks that both answered. */
  readonly effect: Moments;
  /** Of those, blocks in which the two lay far apart: a tie needs none. */
  readonly farApart: number;
  /** The bets on a difference near zero; they stand still where no `span` is known. */
  readonly near: NearZero;
}

/** Which values are better, and how the difference of two is expressed. */
export interface Criterion {
  readonly better: "lower" | "higher";
  /** A ratio of positive values (latency), or a difference (scores). */
  readonly effect: "ratio" | "difference";
  /** The largest possible difference, where values are bounded: 1 for scores from 0 to 1. */
  readonly span?: number;
  /** Differences smaller than this count as none. */
  readonly epsilon: number;
}

/** Two values of a block lie far apart from this ratio on: a request that took twice as long belongs to the tail. */
export const FAR_RATIO = 2;

/** A difference of two utilities is far from this many ε on. */
const FAR_EPSILONS = 3;

/**
 * Two candidates before their first block.
 *
 * ```ts
 * console.assert(newPairing("a", "b").effect.n === 0);
 * ```
 */
export function newPairing(a: string, b: string): Pairing {
  return {
    a,
    b,
    winsA: 0,
    winsB: 0,
    failedA: 0,
    failedB: 0,
    effect: NO_MOMENTS,
    farApart: 0,
    near: NOTHING_SEEN,
  };
}

/**
 * The pairing after one more block; unchanged when one of the two was not in it. A failure loses against an
 * answer; equal values, and two failures, count for neither.
 *
 * ```ts
 * const block = new Map([["a", { status: "ok" as const, value: 1 }], ["b", { status: "ok" as const, value: 2 }]]);
 * const criterion = { better: "lower", effect: "ratio", epsilon: 0.1 } as const;
 * console.assert(extendPairing(newPairing("a", "b"), block, criterion).winsA === 1);
 * ```
 */
export function extendPairing(pairing: Pairing, block: RaceBlock, criterion: Criterion): Pairing {
  const a = block.get(pairing.a);
  const b = block.get(pairing.b);
  if (a === undefined || b === undefined) return pairing;
  if (a.status === "failed" || b.status === "failed") {
    if (a.status === b.status) return pairing;
    return a.status === "ok"
      ? { ...pairing, failedB: pairing.failedB + 1, winsA: pairing.winsA + 1 }
      : { ...pairing, failedA: pairing.failedA + 1, winsB: pairing.winsB + 1 };
  }
  const { better, effect, span, epsilon } = criterion;
  const apart = effect === "ratio" ? Math.log(a.value) - Math.log(b.value) : a.value - b.value;
  const far = effect === "ratio" ? Math.log(FAR_RATIO) : span ?? FAR_EPSILONS * epsilon;
  const aWins = a.value !== b.value && (a.value < b.value) === (better === "lower");
  return {
    ...pairing,
    effect: addValue(pairing.effect, apart),
    farApart: pairing.farApart + (Math.abs(apart) > far ? 1 : 0),
    near: span === undefined ? pairing.near : bet(pairing.near, apart, { epsilon, span }),
    winsA: pairing.winsA + (aWins ? 1 : 0),
    winsB: pairing.winsB + (a.value !== b.value && !aWins ? 1 : 0),
  };
}

/**
 * Who of a pair fails more often, if that is more than chance: the exact sign test over the blocks in which
 * only one of them failed, at 5 %. Null where the rates may be equal.
 *
 * ```ts
 * console.assert(failsMore({ ...newPairing("a", "b"), failedA: 6 }) === "a");
 * console.assert(failsMore({ ...newPairing("a", "b"), failedA: 6, failedB: 2 }) === null);
 * ```
 */
export function failsMore({ a, b, failedA, failedB }: Pairing): string | null {
  if (signTestP(failedA, failedB) > 0.05) return null;
  return failedA > failedB ? a : b;
}
