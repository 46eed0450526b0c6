/** A race as it stands: who is in, who went and why, and the evidence of each pair. */
import { anytimeTInterval } from "../../stats/anytime_t.ts";
import { logEValue } from "../../stats/evalue.ts";
import { sumOf } from "../../stats/mean.ts";
import type { Interval } from "../../stats/quantile.ts";
import { type Criterion, failsMore, type Pairing } from "./pairing.ts";

/** Which cases a verdict speaks about: others of the same kind, or only those that were asked. */
export const raceScopes = ["cases like these", "these cases"] as const;
export type RaceScope = typeof raceScopes[number];

/** A candidate of a race. */
export interface RaceCandidate {
  readonly id: string;
  /** Of candidates that tie, the lightest is chosen; null where unknown. */
  readonly sizeMb: number | null;
}

export interface RaceRules extends Criterion {
  /** Accepted probability of dropping a best candidate, or of a winner among identical ones. */
  readonly delta: number;
  /** The most requests that may be sent. */
  readonly budget: number;
}

export interface Elimination {
  readonly id: string;
  /** The rival with most evidence against it, and how they fared. */
  readonly by: string;
  readonly wins: number;
  readonly untied: number;
  readonly block: number;
  readonly evidence: number;
  readonly threshold: number;
}

/** A candidate that is out of the race because it failed. */
export interface Departure {
  readonly id: string;
  /** The last block that counted for it. */
  readonly block: number;
  readonly reason: string;
}

/** All are honest answers; `choice` is what to use, where the race can say. */
export type Verdict =
  | {
    readonly verdict: "winner";
    readonly winner: string;
    readonly choice: string;
    readonly runnerUp: string;
  }
  | {
    readonly verdict: "tie";
    readonly winner: null;
    readonly choice: string;
    readonly tied: readonly string[];
  }
  | { readonly verdict: "only"; readonly winner: string; readonly choice: string }
  | {
    /**
     * `left`: one stayed, and no other went by evidence, since all others failed. `none`: no
     * candidate stayed or answered.
     */
    readonly verdict: "undecided" | "left" | "none";
    readonly winner: null;
    readonly choice: null;
    readonly reason: string;
  };

export interface RaceState {
  readonly candidates: readonly RaceCandidate[];
  readonly rules: RaceRules;
  /** Ids of those still in, in the order of `candidates`. */
  readonly live: readonly string[];
  readonly eliminated: readonly Elimination[];
  readonly left: readonly Departure[];
  readonly pairings: readonly Pairing[];
  readonly blocks: number;
  readonly requests: number;
  /** Blocks in a row that no candidate answered. */
  readonly silent: number;
  /** Null while the race is running. */
  readonly verdict: Verdict | null;
}

/*
 * # Why a best candidate stays
 *
 * j is better than i in a block when its value is better, or when it answered and i failed; equal values, and
 * failures of both, count for neither. For each ordered pair `logEValue` turns the blocks won into an e-value. Let
 * K candidates start. j goes when
 *
 *     Σ over all others i of e(i better than j)  ≥  K/δ
 *
 * the e-values of a rival that has gone staying as they were. If j is a best one (no rival wins an untied
 * block against it more often than every second time), each of the K − 1 terms is a test supermartingale that
 * started at 1, so by Ville's inequality j goes with probability at most δ(K − 1)/K, however long the race.
 * With identical candidates at most (K − 1)δ are expected to go, and a winner needs K − 1 of them: it is
 * announced with probability at most δ. (The sum does what a union bound over the largest term would do with
 * the same threshold, and drops those sooner that several rivals beat.)
 *
 * The argument needs that, given all blocks before, a best candidate wins the next one with probability at least
 * 1/2. So each case bets once where the claim is about cases like these, and cases are drawn with replacement
 * where it is about these cases alone: shuffled without replacement and asked again, the next win could be
 * predicted. It does not need normality, equal variances, or a number of blocks fixed before.
 *
 * Leaving is not evidence. A candidate that leaves after failures stops betting: blocks after that count for
 * nothing, what its pairings showed against others is set aside (a verdict that needs it is none), and it stands
 * in the verdict by name. The same holds for a candidate that would go by losing blocks but fails more often than
 * the rival that beat it; and a rival that fails more often than a candidate can't drop it, however fast it is:
 * where failure rates differ, speed alone gives no verdict.
 */

/**
 * The evidence against a candidate, and the threshold at which it goes.
 *
 * @throws {RangeError} When no candidate has this id.
 *
 * ```ts
 * import { startRace } from "./race.ts";
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 } as const;
 * const race = startRace([{ id: "a", sizeMb: null }, { id: "b", sizeMb: null }], rules);
 * console.assert(evidenceAgainst(race, "a").threshold === 40);
 * ```
 */
export function evidenceAgainst(state: RaceState, id: string): { evidence: number; threshold: number } {
  if (!state.candidates.some((candidate) => candidate.id === id)) {
    throw new RangeError(`Cannot give the evidence against ${id}: it is not in this race`);
  }
  const evidence = sumOf(rivalsOf(state, id).map((rival) => rival.counts ? rival.evidence : 0));
  return { evidence, threshold: state.candidates.length / state.rules.delta };
}

/** A rival of a candidate, with the evidence that the rival is better. */
export interface Rival {
  readonly id: string;
  readonly wins: number;
  readonly untied: number;
  readonly evidence: number;
  /** Who of the two fails more often; null where that may be chance. */
  readonly failing: string | null;
  /** False for a rival that left, or that fails more often. */
  readonly counts: boolean;
}

/** All rivals of a candidate, those that have gone too. */
export function rivalsOf({ pairings, left }: RaceState, id: string): Rival[] {
  return pairings.filter(({ a, b }) => a === id || b === id).map((pairing) => {
    const { a, b, winsA, winsB } = pairing;
    const [rival, wins] = a === id ? [b, winsB] : [a, winsA];
    const untied = winsA + winsB;
    const failing = failsMore(pairing);
    const counts = failing !== rival && !left.some((one) => one.id === rival);
    return { id: rival, wins, untied, evidence: Math.exp(logEValue(wins, untied)), failing, counts };
  });
}

/**
 * How much better or worse a is than b: the ratio a / b (or the difference a − b) over the blocks that both
 * answered, with an interval that holds at any time. All intervals of a race hold together with probability
 * 1 − δ: each takes δ over the number of pairs. They assume that log ratios (differences) are normal, which
 * the verdict "winner" does not.
 *
 * @returns `size` and `interval` null where there is too little to go by; no interval
 * where one of the two left, or
 *   fails more often than the other.
 *
 * ```ts
 * import { startRace } from "./race.ts";
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 } as const;
 * const race = startRace([{ id: "a", sizeMb: null }, { id: "b", sizeMb: null }], rules);
 * console.assert(effectBetween(race, "a", "b").size === null);
 * ```
 */
export function effectBetween(
  state: RaceState,
  a: string,
  b: string,
): { size: number | null; interval: Interval | null; blocks: number } {
  const pairing = pairingOf(state, a, b);
  if (pairing === undefined || pairing.effect.n === 0) return { size: null, interval: null, blocks: 0 };
  const { n, mean } = pairing.effect;
  // What the failed requests would have taken is not known: they are censored, and the rest is a selection.
  const censored = failsMore(pairing) !== null || state.left.some(({ id }) => id === a || id === b);
  const limits = censored ? null : intervalOf(pairing, state);
  const scale = state.rules.effect === "ratio" ? Math.exp : (x: number) => x;
  const sign = pairing.a === a ? 1 : -1;
  const [low, high] = limits === null ? [0, 0] : sign > 0 ? limits : [-limits[1], -limits[0]];
  return {
    size: scale(sign * mean),
    interval: limits === null ? null : [scale(low), scale(high)],
    blocks: n,
  };
}

/** The pairing of two candidates, whichever of them comes first in it. */
export function pairingOf({ pairings }: RaceState, a: string, b: string): Pairing | undefined {
  return pairings.find((one) => one.a === a && one.b === b || one.a === b && one.b === a);
}

/** Of `log(a / b)`, or a − b: holds at any time, for all pairs together with probability 1 − δ. */
export function intervalOf({ effect }: Pairing, state: RaceState): Interval | null {
  return anytimeTInterval(effect, errorPerPair(state));
}

/** δ over the number of pairs. */
export function errorPerPair({ candidates, rules }: RaceState): number {
  return rules.delta / (candidates.length * (candidates.length - 1) / 2);
}
