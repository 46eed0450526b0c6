/** Feeds a race: live, by asking, or again, from what was recorded. */
import { type Random, shuffle } from "../../stats/random.ts";
import {
  addBlock,
  type CaseOutcome,
  equalPairs,
  type RaceBlock,
  type RaceCandidate,
  type RaceRules,
  type RaceState,
  startRace,
} from "./race.ts";

/** Where the blocks of a live race come from. */
export interface BlockSource {
  /** Prompt ids, at least one; all are asked in random order, then all again in a new order. */
  readonly prompts: readonly string[];
  /** So often every prompt is asked; once, where the same question gets the same answer. Default: no end. */
  readonly passes?: number;
  readonly random: Random;
  /** Asks one candidate one prompt. What goes wrong with the candidate is an outcome; what throws ends the race. */
  readonly sample: (candidate: string, prompt: string) => Promise<CaseOutcome>;
  readonly onBlock?: (state: RaceState) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Runs a race to its verdict. Prompts and, inside a block, candidates come in random order: the guarantee of
 * the race rests on that.
 *
 * @throws {RangeError} When there are no prompts, or as `startRace` and `addBlock`.
 * @throws The signal's reason when aborted; the blocks so far have been given to `onBlock`.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const race = await runRace(
 *   [{ id: "fast", sizeMb: 1 }, { id: "slow", sizeMb: 1 }],
 *   { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 },
 *   {
 *     prompts: ["p1", "p2"],
 *     random: seededRandom(1),
 *     sample: (candidate) => Promise.resolve({ status: "ok", value: candidate === "fast" ? 1 : 2 }),
 *   },
 * );
 * console.assert(race.verdict?.winner === "fast" && race.requests === 16);
 * ```
 */
export async function runRace(
  candidates: readonly RaceCandidate[],
  rules: RaceRules,
  course: BlockSource,
): Promise<RaceState> {
  let state = startRace(candidates, rules);
  if (state.verdict !== null) return state;
  const most = (course.passes ?? Infinity) * course.prompts.length;
  for (const prompt of randomPrompts(course.prompts, course.random)) {
    if (state.blocks >= most) return ranOut(state);
    const block = new Map<string, CaseOutcome>();
    for (const candidate of shuffle(state.live, course.random)) {
      course.signal?.throwIfAborted();
      block.set(candidate, await course.sample(candidate, prompt));
    }
    state = addBlock(state, block);
    await course.onBlock?.(state);
    if (state.verdict !== null) break;
  }
  return state;
}

/**
 * Runs a race over blocks that exist already, recorded or simulated. The blocks must be in the random order in
 * which they were measured. They may hold candidates that the race has dropped by then.
 *
 * @param next Gives the next block, knowing who is live; null when there are no more: undecided.
 *
 * @example
 * ```ts
 * const recorded = Array.from({ length: 20 }, (_, i) =>
 *   new Map([
 *     ["a", { status: "ok" as const, value: 2 + i % 3 }],
 *     ["b", { status: "ok" as const, value: 1 + i % 3 }],
 *   ])).values();
 * const race = replayRace(
 *   [{ id: "a", sizeMb: 1 }, { id: "b", sizeMb: 1 }],
 *   { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 },
 *   () => recorded.next().value ?? null,
 * );
 * console.assert(race.verdict?.winner === "b" && race.blocks === 8);
 * ```
 */
export function replayRace(
  candidates: readonly RaceCandidate[],
  rules: RaceRules,
  next: (state: RaceState) => RaceBlock | null,
): RaceState {
  let state = startRace(candidates, rules);
  while (state.verdict === null) {
    const block = next(state);
    if (block === null) return ranOut(state);
    state = addBlock(state, block);
  }
  return state;
}

/** A race that ended before its budget, without a decision. */
function ranOut(state: RaceState): RaceState {
  const reason = `${state.blocks} blocks did not decide it, and there are no more${equalPairs(state)}`;
  return { ...state, verdict: { verdict: "undecided", winner: null, choice: null, reason } };
}

/**
 * All prompts in random order, then all again in a new random order, without end.
 *
 * @throws {RangeError} When there are none.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const [first, second] = randomPrompts(["p1", "p2"], seededRandom(1));
 * console.assert(first !== second);
 * ```
 */
export function* randomPrompts(prompts: readonly string[], random: Random): Generator<string, never> {
  if (prompts.length === 0) throw new RangeError("Cannot race without prompts: give at least one");
  while (true) yield* shuffle(prompts, random);
}
