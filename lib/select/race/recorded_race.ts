/** A race over a run's records: the same verdict as live, and a verdict over a run that was no race. */
import { join } from "node:path";
import { readAnswers, readRunInfo, readSamples } from "../../bench/folder.ts";
import type { RaceTerms, RequestRecord, RunInfo } from "../../bench/records.ts";
import { UserError } from "../../errors.ts";
import { loadPromptSet, type Prompt, type PromptSet } from "../../prompts/prompts.ts";
import { scoreAnswer } from "../../quality/check.ts";
import { promptsOfRun } from "../../quality/recorded_answers.ts";
import type { CaseOutcome, RaceBlock, RaceCandidate, RaceState } from "./race.ts";
import { needsScores, outcomeOf, rulesOf } from "./criterion.ts";
import { replayRace } from "./run_race.ts";

/** The terms of a race over a run that was measured for another purpose. */
export const DEFAULT_TERMS: RaceTerms = {
  by: "latency",
  weights: null,
  delta: 0.05,
  epsilon: 0.1,
  budget: 200,
  excluded: [],
  quality_run: null,
};

/** What a run recorded, block by block. */
export interface RecordedBlocks {
  readonly info: RunInfo;
  /** In the order in which they ran: request by candidate. */
  readonly blocks: readonly ReadonlyMap<string, RequestRecord>[];
  /** Candidates that left, with the reason, by the number of blocks that had begun. */
  readonly left: ReadonlyMap<string, string>;
  /** The answers' texts, by request. */
  readonly answers: ReadonlyMap<string, string>;
}

/** Reads the blocks of a run. Warm-ups don't count; disturbed blocks do: they hit all candidates alike. */
export async function readBlocks(folder: string): Promise<RecordedBlocks> {
  const info = await readRunInfo(folder);
  const byBlock = new Map<number, Map<string, RequestRecord>>();
  const left = new Map<string, string>();
  for await (const record of readSamples(folder)) {
    if (record.kind === "candidate") left.set(record.candidate, record.reason);
    if (record.kind !== "request" || record.phase !== "timed") continue;
    const block = byBlock.get(record.block) ?? new Map<string, RequestRecord>();
    block.set(record.candidate, record);
    byBlock.set(record.block, block);
  }
  const answers = new Map<string, string>();
  for await (const { id, content } of readAnswers(folder)) answers.set(id, content);
  const blocks = [...byBlock].sort(([a], [b]) => a - b).map(([, block]) => block);
  return { info, blocks, left, answers };
}

/** Scores an answer, 0 to 1; null where its prompt has no checks. */
export type Score = (promptId: string, answer: string) => number | null;

/** @throws {RangeError} for a prompt that is not among them */
export function scorer(prompts: readonly Prompt[]): Score {
  const byId = new Map(prompts.map((prompt) => [prompt.id, prompt]));
  return (id, answer) => {
    const prompt = byId.get(id);
    if (prompt === undefined) {
      throw new RangeError(`Cannot score an answer to ${id}: there is no such prompt`);
    }
    return prompt.checks.length === 0 ? null : scoreAnswer(answer, prompt.checks, prompt).score;
  };
}

/** A finished race, and what it was about. */
export interface RecordedRace {
  readonly info: RunInfo;
  readonly terms: RaceTerms;
  readonly state: RaceState;
  /** The states before each block: how the evidence grew. */
  readonly history: readonly RaceState[];
}

/**
 * Runs a race over recorded blocks, by its own terms or by others. A race that was run live gives the same
 * state again, to the last digit.
 *
 * @param change terms that differ from the run's own
 * @param set the prompts with their checks, where the race is by checks; default: prompts.json of the run
 * @throws {UserError} when the folder holds no run, or scores are needed and there are no checks
 *
 * @example
 * ```ts ignore
 * const { state } = await replayRecorded("reports/2026-11-21T04-55-07-ab12", { by: "ttft" });
 * ```
 */
export async function replayRecorded(
  folder: string,
  change: Partial<RaceTerms> = {},
  set: PromptSet | null = null,
): Promise<RecordedRace> {
  const recorded = await readBlocks(folder);
  const { info } = recorded;
  const terms = { ...DEFAULT_TERMS, ...info.plan.race, ...change };
  const score = needsScores(terms)
    ? scorer(promptsOfRun(info, set ?? await loadPromptSet(join(folder, "prompts.json"))))
    : () => null;
  const candidates = racingCandidates(info, terms);
  const limit = passLimit(info, terms);
  const history: RaceState[] = [];
  const state = replayRace(candidates, rulesOf(terms), (now) => {
    history.push(now);
    const { blocks, live } = now;
    if (blocks >= limit) return null;
    // Where everybody left, the race went on without a request.
    const silent = live.every((id) => recorded.left.has(id)) ? new Map<string, RequestRecord>() : undefined;
    const block = recorded.blocks[blocks] ?? silent;
    return block === undefined ? null : outcomes(block, live, recorded, terms, score);
  });
  return { info, terms, state, history };
}

/** Who races: everybody whom no constraint excluded, in the run's order. */
export function racingCandidates(info: RunInfo, { excluded }: Pick<RaceTerms, "excluded">): RaceCandidate[] {
  const out = new Set(excluded.map(({ id }) => id));
  return info.candidates.filter(({ id }) => !out.has(id)).map(({ id, size_mb }) => ({ id, sizeMb: size_mb }));
}

/** At temperature 0 the same question gets the same answer: asking it again says nothing new of a score. */
export function passesOf({ plan }: RunInfo, terms: Pick<RaceTerms, "by" | "weights">): number {
  return needsScores(terms) && plan.temperature === 0 ? 1 : Infinity;
}

const passLimit = (info: RunInfo, terms: RaceTerms) =>
  passesOf(info, terms) * info.plan.prompt_set.prompts.length;

/** The block as the race sees it; null where the run ended in the middle of it. */
function outcomes(
  block: ReadonlyMap<string, RequestRecord>,
  live: readonly string[],
  { left, answers }: RecordedBlocks,
  terms: RaceTerms,
  score: Score,
): RaceBlock | null {
  const found = new Map<string, CaseOutcome>();
  for (const id of live) {
    const record = block.get(id);
    const gone = left.get(id);
    if (record !== undefined) {
      const answer = answers.get(record.id);
      found.set(id, outcomeOf(record, answer === undefined ? null : score(record.prompt_id, answer), terms));
    } else if (gone !== undefined) found.set(id, { status: "failed", reason: gone });
    else return null;
  }
  return found;
}

/** @throws {UserError} where a race by checks has none */
export function assertChecks(set: PromptSet, terms: Pick<RaceTerms, "by" | "weights">): void {
  const without = set.prompts.filter(({ checks }) => checks.length === 0).map(({ id }) => id);
  if (!needsScores(terms) || without.length === 0) return;
  throw new UserError(
    `a race by ${terms.by} needs checks, and ${without.length} of the ${set.prompts.length} prompts of ${set.name} ` +
      `have none (${
        without.slice(0, 3).join(", ")
      }): give --prompts prompts/meeting_notes.json, or race by latency`,
  );
}
