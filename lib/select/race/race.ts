/**
 * The race: every live candidate answers one case after the other, and a candidate goes as soon as the evidence
 * that another one is better is strong enough. A pure state machine fed with blocks, so that the same race runs
 * live, over recorded samples and in simulation.
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
 * in the verdict by name. The same
 * holds for a candidate that would go by losing blocks but fails more often than the rival that beat it; and a
 * rival that fails more often than a candidate can't drop it, however fast it is: where failure rates differ,
 * speed alone gives no verdict.
 */
import { anytimeTInterval } from "../../stats/anytime_t.ts";
import { isNearZero } from "../../stats/bounded_mean.ts";
import { logEValue } from "../../stats/evalue.ts";
import type { Interval } from "../../stats/quantile.ts";
import {
  type CaseOutcome,
  type Criterion,
  extendPairing,
  failsMore,
  newPairing,
  type Pairing,
  type RaceBlock,
} from "./pairing.ts";

export type { CaseOutcome, Criterion, Pairing, RaceBlock } from "./pairing.ts";

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
  | { readonly verdict: "undecided"; readonly winner: null; readonly choice: null; readonly reason: string }
  /** One stayed, and no other went by evidence: all others failed. */
  | { readonly verdict: "left"; readonly winner: null; readonly choice: null; readonly reason: string }
  | { readonly verdict: "only"; readonly winner: string; readonly choice: string }
  | { readonly verdict: "none"; readonly winner: null; readonly choice: null; readonly reason: string };

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

/** Blocks in a row without any answer after which the race gives up. */
export const SILENT_BLOCKS = 5;

/**
 * A race before its first block. With one candidate, or none, the verdict is there already.
 *
 * @throws {RangeError} When a rule is out of range, or two candidates share an id.
 *
 * @example
 * ```ts
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 } as const;
 * let race = startRace([{ id: "small", sizeMb: 98 }, { id: "large", sizeMb: 238 }], rules);
 * while (race.verdict === null) {
 *   race = addBlock(race, new Map([
 *     ["small", { status: "ok", value: 1.0 }],
 *     ["large", { status: "ok", value: 1.5 }],
 *   ]));
 * }
 * console.assert(race.verdict.winner === "small" && race.blocks === 8);
 * ```
 */
export function startRace(candidates: readonly RaceCandidate[], rules: RaceRules): RaceState {
  checkRules(rules);
  const live = candidates.map(({ id }) => id);
  const twice = live.find((id, i) => live.indexOf(id) !== i);
  if (twice !== undefined) throw new RangeError(`Cannot race ${twice} against itself: ids must be unique`);
  const pairings = live.flatMap((a, i) => live.slice(i + 1).map((b) => newPairing(a, b)));
  const state = {
    candidates,
    rules,
    live,
    eliminated: [],
    left: [],
    pairings,
    blocks: 0,
    requests: 0,
    silent: 0,
  };
  return { ...state, verdict: atTheStart(live) };
}

/**
 * The race after one more block. Outcomes of candidates that have gone are ignored.
 *
 * @throws {RangeError} When the race is over, a live candidate has no outcome, or a value cannot be compared.
 *
 * @example
 * ```ts
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 } as const;
 * const race = addBlock(
 *   startRace([{ id: "a", sizeMb: null }, { id: "b", sizeMb: null }], rules),
 *   new Map([["a", { status: "ok", value: 1 }], ["b", { status: "failed", reason: "time-out" }]]),
 * );
 * console.assert(race.pairings.every(({ winsA, failedB }) => winsA === 1 && failedB === 1));
 * ```
 */
export function addBlock(state: RaceState, block: RaceBlock): RaceState {
  if (state.verdict !== null) {
    throw new RangeError(`Cannot add a block: the race ended (${state.verdict.verdict})`);
  }
  const outcomes = new Map(state.live.map((id) => [id, outcomeOf(id, block, state.rules)]));
  const answered = [...outcomes.values()].some(({ status }) => status === "ok");
  const left = [...outcomes].flatMap(([id, one]) =>
    one.status === "failed" && one.leaves ? [{ id, block: state.blocks + 1, reason: one.reason }] : []
  );
  const next: RaceState = {
    ...state,
    left: [...state.left, ...left],
    pairings: state.pairings.map((pairing) => extendPairing(pairing, outcomes, state.rules)),
    blocks: state.blocks + 1,
    requests: state.requests + state.live.length,
    silent: answered ? 0 : state.silent + 1,
  };
  return settle(next);
}

/**
 * The evidence against a candidate, and the threshold at which it goes.
 *
 * @throws {RangeError} When no candidate has this id.
 *
 * @example
 * ```ts
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 } as const;
 * const race = startRace([{ id: "a", sizeMb: null }, { id: "b", sizeMb: null }], rules);
 * console.assert(evidenceAgainst(race, "a").threshold === 40);
 * ```
 */
export function evidenceAgainst(state: RaceState, id: string): { evidence: number; threshold: number } {
  if (!state.candidates.some((candidate) => candidate.id === id)) {
    throw new RangeError(`Cannot give the evidence against ${id}: it is not in this race`);
  }
  const evidence = rivalsOf(state, id).reduce((sum, rival) => sum + (rival.counts ? rival.evidence : 0), 0);
  return { evidence, threshold: state.candidates.length / state.rules.delta };
}

/**
 * How much better or worse a is than b: the ratio a / b (or the difference a − b) over the blocks that both
 * answered, with an interval that holds at any time. All intervals of a race hold together with probability
 * 1 − δ: each takes δ over the number of pairs. They assume that log ratios (differences) are normal, which
 * the verdict "winner" does not.
 *
 * @returns `size` and `interval` null where there is too little to go by; no interval where one of the two left, or
 *   fails more often than the other.
 *
 * @example
 * ```ts
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
  const pairing = state.pairings.find((pairing) =>
    (pairing.a === a && pairing.b === b) || (pairing.a === b && pairing.b === a)
  );
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

function checkRules({ delta, epsilon, budget, span, effect }: RaceRules): void {
  if (!(delta > 0 && delta < 1)) throw new RangeError(`Cannot race with delta ${delta}: 0 < delta < 1`);
  if (!(epsilon > 0 && epsilon < Infinity)) {
    throw new RangeError(`Cannot race with epsilon ${epsilon}: give > 0`);
  }
  if (span !== undefined && !(effect === "difference" && span > epsilon)) {
    throw new RangeError(
      `Cannot race with a span of ${span}: it is for differences, and larger than epsilon`,
    );
  }
  if (!(budget > 0)) throw new RangeError(`Cannot race on a budget of ${budget} requests: give at least one`);
}

function atTheStart(live: readonly string[]): Verdict | null {
  const [only, other] = live;
  if (only === undefined) {
    return { verdict: "none", winner: null, choice: null, reason: "no candidate passed the constraints" };
  }
  return other === undefined ? { verdict: "only", winner: only, choice: only } : null;
}

function outcomeOf(id: string, block: RaceBlock, rules: RaceRules): CaseOutcome {
  const outcome = block.get(id);
  if (outcome === undefined) throw new RangeError(`Cannot judge the block: ${id} is live and has no outcome`);
  if (outcome.status === "failed") return outcome;
  const positive = rules.effect === "difference" || outcome.value > 0;
  if (!Number.isFinite(outcome.value) || !positive) {
    const accepted = rules.effect === "ratio" ? "a positive number" : "a finite number";
    throw new RangeError(
      `Cannot judge the block: ${id} has the value ${outcome.value}, expected ${accepted}`,
    );
  }
  return outcome;
}

/** Each rival of a candidate with the evidence that the rival is better, and whether that counts. */
function rivalsOf(state: RaceState, id: string) {
  return state.pairings.flatMap((pairing) => {
    const { a, b, winsA, winsB } = pairing;
    if (a !== id && b !== id) return [];
    const rival = a === id ? b : a;
    const wins = a === id ? winsB : winsA;
    const untied = winsA + winsB;
    const failing = failsMore(pairing);
    return [{
      id: rival,
      wins,
      untied,
      evidence: Math.exp(logEValue(wins, untied)),
      failing,
      counts: failing !== rival && !state.left.some((one) => one.id === rival),
    }];
  });
}

/**
 * Takes out who left and who must go, then sees whether the race is over. Of those that no failure took out one
 * always stays: no rival beat the best of this block in it, so the evidence against that one has not grown.
 */
function settle(state: RaceState): RaceState {
  const gone: Elimination[] = [];
  const left: Departure[] = [...state.left];
  for (const id of state.live) {
    if (left.some((one) => one.id === id)) continue;
    const { evidence, threshold } = evidenceAgainst(state, id);
    if (evidence < threshold) continue;
    const [by] = rivalsOf(state, id).filter(({ counts }) => counts).sort((x, y) => y.evidence - x.evidence);
    if (by === undefined) continue;
    if (by.failing === id) left.push({ id, block: state.blocks, reason: failingMore(state, id, by.id) });
    else {
      const { wins, untied } = by;
      gone.push({ id, by: by.id, wins, untied, block: state.blocks, evidence, threshold });
    }
  }
  const out = new Set([...gone, ...left].map(({ id }) => id));
  const next = {
    ...state,
    live: state.live.filter((id) => !out.has(id)),
    eliminated: [...state.eliminated, ...gone.sort((x, y) => y.evidence - x.evidence)],
    left,
  };
  return { ...next, verdict: verdictOf(next) };
}

function failingMore({ pairings }: RaceState, id: string, rival: string): string {
  const pairing = pairings.find(({ a, b }) => (a === id && b === rival) || (a === rival && b === id));
  const [own, other] = pairing?.a === id
    ? [pairing.failedA, pairing.failedB]
    : [pairing?.failedB, pairing?.failedA];
  return `it failed in ${own} blocks that ${rival} answered, ${rival} in ${other} that it answered`;
}

function verdictOf(state: RaceState): Verdict | null {
  const [first, second] = state.live;
  if (first === undefined) return none(`all candidates left: ${leftText(state)}`);
  const runnerUp = state.eliminated.at(-1)?.id;
  const open = droppedByLeft(state);
  if (second === undefined && open.length > 0) {
    const reason = `${leftText(state)}; ${first} stayed, but ${open.join(" and ")} went by evidence of ` +
      "candidates that left, which does not count any more";
    return { verdict: "left", winner: null, choice: null, reason };
  }
  if (second === undefined) {
    return runnerUp === undefined
      ? { verdict: "left", winner: null, choice: null, reason: `${leftText(state)}; ${first} stayed` }
      : { verdict: "winner", winner: first, choice: first, runnerUp };
  }
  const choice = open.length > 0 ? null : lightestOfTied(state);
  if (choice !== null) return { verdict: "tie", winner: null, choice, tied: state.live };
  if (state.silent >= SILENT_BLOCKS) return none(`no candidate answered in the last ${state.silent} blocks`);
  if (state.requests + state.live.length <= state.rules.budget) return null;
  return undecided(state, `the budget of ${state.rules.budget} requests is spent`);
}

/** Those that would still be here without the evidence of candidates that left since: no candidate that stayed beat them. */
function droppedByLeft(state: RaceState): string[] {
  return state.eliminated.filter(({ id, threshold }) => evidenceAgainst(state, id).evidence < threshold)
    .map(({ id }) => id);
}

function none(reason: string): Verdict {
  return { verdict: "none", winner: null, choice: null, reason };
}

/** `b left: failures (it timed out)`, for all that left. */
function leftText({ left }: Pick<RaceState, "left">): string {
  return left.map(({ id, reason }) => `${id} left: failures (${reason})`).join("; ");
}

/** "Undecided", with what else the blocks show: equal pairs, and failure rates that differ. */
export function undecided({ live, pairings }: RaceState, why: string): Verdict {
  const among = pairings.filter(({ a, b }) => live.includes(a) && live.includes(b));
  const same = among.filter(({ winsA, winsB, effect }) => winsA + winsB === 0 && effect.n > 0)
    .map(({ a, b, effect }) => `; ${a} and ${b} were equal in all ${effect.n} blocks`);
  const failing = among.filter((pairing) => failsMore(pairing) !== null).map(({ a, b, failedA, failedB }) =>
    `; failure rates differ (only ${a} failed in ${failedA} blocks, only ${b} in ${failedB}), so speed alone ` +
    "gives no verdict between the two"
  );
  const reason = [why, ...same, ...failing].join("");
  return { verdict: "undecided", winner: null, choice: null, reason };
}

/**
 * This many blocks without one in which the two lie far apart show that fewer than 5 % are like that, at an error of
 * 5 %: 0.95^59 < 0.05. Looking on after that adds no error, since the first far block ends it.
 */
export const TAIL_BLOCKS = 59;

/** The lightest live candidate when all live ones are as good as equal, tails included; null when they are not. */
function lightestOfTied(state: RaceState): string | null {
  const within = state.rules.effect === "ratio" ? Math.log1p(state.rules.epsilon) : state.rules.epsilon;
  const between = state.pairings.filter(({ a, b }) => state.live.includes(a) && state.live.includes(b));
  const tied = between.every((pairing) => {
    // The effect knows nothing of failures, so a pair of which only one failed is never called equal.
    if (pairing.failedA + pairing.failedB > 0) return false;
    if (state.rules.span !== undefined) return isNearZero(pairing.near, errorPerPair(state));
    if (pairing.effect.n < TAIL_BLOCKS || pairing.farApart > 0) return false;
    // Values without any spread give no interval; over this many blocks their mean is what they all are.
    const [low, high] = intervalOf(pairing, state) ?? [pairing.effect.mean, pairing.effect.mean];
    return low > -within && high < within;
  });
  if (!tied) return null;
  const weight = (id: string) =>
    state.candidates.find((candidate) => candidate.id === id)?.sizeMb ?? Infinity;
  const [choice] = state.live.toSorted((x, y) =>
    weight(x) === weight(y)
      ? evidenceAgainst(state, x).evidence - evidenceAgainst(state, y).evidence
      : weight(x) - weight(y)
  );
  return choice ?? null;
}

function intervalOf(pairing: Pairing, state: RaceState): Interval | null {
  return anytimeTInterval(pairing.effect, errorPerPair(state));
}

function errorPerPair({ candidates, rules }: RaceState): number {
  return rules.delta / (candidates.length * (candidates.length - 1) / 2);
}
