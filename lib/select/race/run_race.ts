/** Feeds a race: live, by asking, or again, from what was recorded. */
import { type Random, shuffle } from "../../stats/random.ts";
import type { CaseOutcome, RaceBlock } from "./pairing.ts";
import { addBlock, startRace, undecided } from "./race.ts";
import type { RaceCandidate, RaceRules, RaceScope, RaceState } from "./race_state.ts";

/** Where the blocks of a live race come from. */
export interface BlockSource {
  /** Ids of the cases, at least one. */
  readonly prompts: readonly string[];
  readonly scope: RaceScope;
  readonly random: Random;
  /** Sends one case to one candidate. What goes wrong with the candidate is an outcome; what throws ends the race. */
  readonly sample: (candidate: string, prompt: string) => Promise<CaseOutcome>;
  readonly onBlock?: (state: RaceState) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Runs a race to its verdict. Cases come in random order (see `caseOrder`), and so do the candidates inside a
 * block: the guarantee of the race rests on that.
 *
 * @throws {RangeError} When there are no cases, or as `startRace` and `addBlock`.
 * @throws The signal's reason when aborted; the blocks so far have been given to `onBlock`.
 *
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const race = await runRace(
 *   [{ id: "fast", sizeMb: 1 }, { id: "slow", sizeMb: 1 }],
 *   { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 },
 *   {
 *     prompts: Array.from({ length: 20 }, (_, at) => `case ${at}`),
 *     scope: "cases like these",
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
  source: BlockSource,
): Promise<RaceState> {
  let state = startRace(candidates, rules);
  if (state.verdict !== null) return state;
  for (const prompt of caseOrder(source.prompts, source.scope, source.random)) {
    const block = new Map<string, CaseOutcome>();
    for (const candidate of shuffle(state.live, source.random)) {
      source.signal?.throwIfAborted();
      block.set(candidate, await source.sample(candidate, prompt));
    }
    state = addBlock(state, block);
    await source.onBlock?.(state);
    if (state.verdict !== null) return state;
  }
  return ranOut(state);
}

/**
 * Runs a race over blocks that exist already, recorded or simulated. The blocks must be in the random order
 * in which they were measured. They may hold candidates that the race has dropped by then.
 *
 * @param next Gives the next block, given those that are live; null when there are no more: undecided.
 *
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
  const why = `${state.blocks} cases did not decide it, and there are no more (a case counts once)`;
  return { ...state, verdict: undecided(state, why) };
}

/**
 * The order in which a race asks its cases. For a claim about cases like these each case comes once, in
 * random order; for a claim about these cases alone they are drawn with replacement, without end.
 *
 * @throws {RangeError} When there are none.
 *
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const once = [...caseOrder(["p1", "p2"], "cases like these", seededRandom(1))];
 * console.assert(once.toSorted().join() === "p1,p2");
 * ```
 */
export function* caseOrder(
  prompts: readonly string[],
  scope: RaceScope,
  random: Random,
): Generator<string, void> {
  if (prompts.length === 0) throw new RangeError("Cannot race without cases: give at least one");
  if (scope === "cases like these") yield* shuffle(prompts, random);
  else while (true) yield prompts[Math.floor(random() * prompts.length)] ?? "";
}
