/** How two candidates of a race fare against each other: who won how many blocks, and by how much. */
import { addValue, type Moments, NO_MOMENTS } from "../../stats/anytime_t.ts";
import { bet, type NearZero, NOTHING_SEEN } from "../../stats/bounded_mean.ts";

/** What one candidate made of one prompt. */
export type CaseOutcome =
  | { readonly status: "ok"; readonly value: number }
  | { readonly status: "failed"; readonly reason: string };

/** One prompt, asked of every live candidate: outcome by candidate id. */
export type RaceBlock = ReadonlyMap<string, CaseOutcome>;

/** How two candidates fared against each other in the blocks that both ran. */
export interface Pairing {
  readonly a: string;
  readonly b: string;
  readonly winsA: number;
  readonly winsB: number;
  /** Blocks in which exactly one of them failed: won or lost, but without an effect to measure. */
  readonly oneFailed: number;
  /** Of log(a / b), or a − b, over the blocks that both answered. */
  readonly effect: Moments;
  /** The bets on a difference near zero; they stand still where no `span` is known. */
  readonly near: NearZero;
}

/** What makes a value better, and how the difference of two is expressed. */
export interface Criterion {
  readonly better: "lower" | "higher";
  /** A ratio of positive values (latency), or a difference (scores). */
  readonly effect: "ratio" | "difference";
  /** The largest possible difference, where values are bounded: scores from 0 to 1 have 1. */
  readonly span?: number;
  /** Differences smaller than this are as good as none. */
  readonly epsilon: number;
}

/**
 * Two candidates before their first block.
 *
 * @example
 * ```ts
 * console.assert(newPairing("a", "b").effect.n === 0);
 * ```
 */
export function newPairing(a: string, b: string): Pairing {
  return { a, b, winsA: 0, winsB: 0, oneFailed: 0, effect: NO_MOMENTS, near: NOTHING_SEEN };
}

/**
 * The pairing after one more block; unchanged when one of the two was not in it. A failure loses against an
 * answer; equal values, and two failures, win nobody anything.
 *
 * @example
 * ```ts
 * const block = new Map([["a", { status: "ok" as const, value: 1 }], ["b", { status: "ok" as const, value: 2 }]]);
 * console.assert(extendPairing(newPairing("a", "b"), block, { better: "lower", effect: "ratio", epsilon: 0.1 }).winsA === 1);
 * ```
 */
export function extendPairing(pairing: Pairing, block: RaceBlock, measure: Criterion): Pairing {
  const a = block.get(pairing.a);
  const b = block.get(pairing.b);
  if (a === undefined || b === undefined) return pairing;
  if (a.status === "failed" || b.status === "failed") {
    if (a.status === b.status) return pairing;
    const oneFailed = pairing.oneFailed + 1;
    return a.status === "ok"
      ? { ...pairing, oneFailed, winsA: pairing.winsA + 1 }
      : { ...pairing, oneFailed, winsB: pairing.winsB + 1 };
  }
  const apart = measure.effect === "ratio" ? Math.log(a.value) - Math.log(b.value) : a.value - b.value;
  const aWins = a.value !== b.value && (a.value < b.value) === (measure.better === "lower");
  return {
    ...pairing,
    effect: addValue(pairing.effect, apart),
    near: measure.span === undefined
      ? pairing.near
      : bet(pairing.near, apart, { epsilon: measure.epsilon, span: measure.span }),
    winsA: pairing.winsA + (aWins ? 1 : 0),
    winsB: pairing.winsB + (a.value !== b.value && !aWins ? 1 : 0),
  };
}
