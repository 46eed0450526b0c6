/**
 * The race: every live candidate answers one case after the other, and a candidate goes as soon as the
 * evidence that another one is better is strong enough. A pure state machine fed with blocks, so that the
 * same race runs live, over recorded samples and in simulation. Why a best candidate stays is proved in
 * race_state.ts, above `evidenceAgainst`.
 */
import { isNearZero } from "../../stats/bounded_mean.ts";
import {
  type CaseOutcome,
  extendPairing,
  failsMore,
  newPairing,
  type Pairing,
  type RaceBlock,
} from "./pairing.ts";
import {
  type Departure,
  type Elimination,
  errorPerPair,
  evidenceAgainst,
  intervalOf,
  pairingOf,
  type RaceCandidate,
  type RaceRules,
  type RaceState,
  rivalsOf,
  type Verdict,
} from "./race_state.ts";

/** Blocks in a row without any answer after which the race gives up. */
export const SILENT_BLOCKS = 5;

/**
 * A race before its first block. With one candidate, or none, the verdict is there already.
 *
 * @throws {RangeError} When a rule is out of range, or two candidates share an id.
 *
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
  const counts = { blocks: 0, requests: 0, silent: 0 };
  return {
    candidates,
    rules,
    live,
    eliminated: [],
    left: [],
    pairings,
    ...counts,
    verdict: atTheStart(live),
  };
}

/**
 * The race after one more block. Outcomes of candidates that have gone are ignored.
 *
 * @throws {RangeError} When the race is over, a live candidate has no outcome, or a value cannot be compared.
 *
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
  const outcomes = new Map(state.live.map((id) => [id, judgedOutcome(id, block, state.rules)]));
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

function atTheStart([only, other]: readonly string[]): Verdict | null {
  if (only === undefined) return without("none", "no candidate passed the constraints");
  return other === undefined ? { verdict: "only", winner: only, choice: only } : null;
}

const without = (verdict: "undecided" | "left" | "none", reason: string): Verdict => ({
  verdict,
  winner: null,
  choice: null,
  reason,
});

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

function judgedOutcome(id: string, block: RaceBlock, { effect }: RaceRules): CaseOutcome {
  const outcome = block.get(id);
  if (outcome === undefined) throw new RangeError(`Cannot judge the block: ${id} is live and has no outcome`);
  if (outcome.status === "failed") return outcome;
  const { value } = outcome;
  if (Number.isFinite(value) && (effect === "difference" || value > 0)) return outcome;
  const accepted = effect === "ratio" ? "a positive number" : "a finite number";
  throw new RangeError(`Cannot judge the block: ${id} has the value ${value}, expected ${accepted}`);
}

/**
 * Takes out who left and who must go, then sees whether the race is over. Of those that no
 * failure took out one always stays: no rival beat the best of this block in it, so the evidence
 * against that one has not grown.
 */
function settle(state: RaceState): RaceState {
  const gone: Elimination[] = [];
  const left: Departure[] = [...state.left];
  const block = state.blocks;
  for (const id of state.live) {
    if (left.some((one) => one.id === id)) continue;
    const { evidence, threshold } = evidenceAgainst(state, id);
    if (evidence < threshold) continue;
    const [by] = rivalsOf(state, id).filter(({ counts }) => counts).sort((x, y) => y.evidence - x.evidence);
    if (by === undefined) continue;
    if (by.failing === id) left.push({ id, block, reason: failingMore(state, id, by.id) });
    else gone.push({ id, by: by.id, wins: by.wins, untied: by.untied, block, evidence, threshold });
  }
  const out = new Set([...gone, ...left].map(({ id }) => id));
  const next = {
    ...state,
    live: state.live.filter((id) => !out.has(id)),
    eliminated: [...state.eliminated, ...gone.sort((x, y) => y.evidence - x.evidence)],
    left,
  };
  return { ...next, verdict: raceVerdict(next) };
}

function failingMore(state: RaceState, id: string, rival: string): string {
  const pairing = pairingOf(state, id, rival);
  const [own, other] = pairing?.a === id
    ? [pairing.failedA, pairing.failedB]
    : [pairing?.failedB, pairing?.failedA];
  return `it failed in ${own} blocks that ${rival} answered, ${rival} in ${other} that it answered`;
}

function raceVerdict(state: RaceState): Verdict | null {
  const { live: [first, second], eliminated, silent, requests, rules: { budget } } = state;
  if (first === undefined) return without("none", `all candidates left: ${leftText(state)}`);
  const unproved = droppedByLeft(state);
  if (second === undefined) {
    const runnerUp = eliminated.at(-1)?.id;
    if (runnerUp !== undefined && unproved.length === 0) {
      return { verdict: "winner", winner: first, choice: first, runnerUp };
    }
    const but = unproved.length === 0 ? "" : `, but ${unproved.join(" and ")} went by evidence of ` +
      "candidates that left, which does not count any more";
    return without("left", `${leftText(state)}; ${first} stayed${but}`);
  }
  const choice = unproved.length > 0 ? null : lightestOfTied(state);
  if (choice !== null) return { verdict: "tie", winner: null, choice, tied: state.live };
  if (silent >= SILENT_BLOCKS) return without("none", `no candidate answered in the last ${silent} blocks`);
  if (requests + state.live.length <= budget) return null;
  return undecided(state, `the budget of ${budget} requests is spent`);
}

/**
 * Those that would still be here without the evidence of candidates that left since: no
 * candidate that stayed beat them.
 */
function droppedByLeft(state: RaceState): string[] {
  return state.eliminated.filter(({ id, threshold }) => evidenceAgainst(state, id).evidence < threshold)
    .map(({ id }) => id);
}

/** `b left: failures (it timed out)`, for all that left. */
export const leftText = ({ left }: Pick<RaceState, "left">) =>
  left.map(({ id, reason }) => `${id} left: failures (${reason})`).join("; ");

/** "Undecided", with what else the blocks show: equal pairs, and failure rates that differ. */
export function undecided(state: RaceState, why: string): Verdict {
  const among = livePairings(state);
  const same = among.filter(({ winsA, winsB, effect }) => winsA + winsB === 0 && effect.n > 0)
    .map(({ a, b, effect }) => `; ${a} and ${b} were equal in all ${effect.n} blocks`);
  const failing = among.filter((pairing) => failsMore(pairing) !== null).map(({ a, b, failedA, failedB }) =>
    `; failure rates differ (only ${a} failed in ${failedA} blocks, only ${b} in ${failedB}), so speed alone ` +
    "gives no verdict between the two"
  );
  return without("undecided", [why, ...same, ...failing].join(""));
}

const livePairings = ({ live, pairings }: RaceState): Pairing[] =>
  pairings.filter(({ a, b }) => live.includes(a) && live.includes(b));

/**
 * This many blocks without one in which the two lie far apart show that fewer than 5 % are like that, at an
 * error of 5 %: 0.95^59 < 0.05. Looking on after that adds no error, since the first far block ends it.
 */
export const TAIL_BLOCKS = 59;

/** The lightest live candidate when all live ones are as good as equal, tails included; null when they are not. */
function lightestOfTied(state: RaceState): string | null {
  if (!livePairings(state).every((pairing) => isTied(pairing, state))) return null;
  const weight = (id: string) => state.candidates.find((one) => one.id === id)?.sizeMb ?? Infinity;
  const [choice] = state.live.toSorted((x, y) =>
    weight(x) === weight(y)
      ? evidenceAgainst(state, x).evidence - evidenceAgainst(state, y).evidence
      : weight(x) - weight(y)
  );
  return choice ?? null;
}

function isTied(pairing: Pairing, state: RaceState): boolean {
  const { effect, failedA, failedB, near, farApart } = pairing;
  const { effect: kind, epsilon, span } = state.rules;
  // The effect knows nothing of failures, so a pair of which only one failed is never called equal.
  if (failedA + failedB > 0) return false;
  if (span !== undefined) return isNearZero(near, errorPerPair(state));
  if (effect.n < TAIL_BLOCKS || farApart > 0) return false;
  const within = kind === "ratio" ? Math.log1p(epsilon) : epsilon;
  // Values without any spread give no interval; over this many blocks their mean is what they all are.
  const [low, high] = intervalOf(pairing, state) ?? [effect.mean, effect.mean];
  return low > -within && high < within;
}
