/** A race over a run's records: the same verdict as live, and a verdict over a run that was no race. */
import { join } from "node:path";
import { readAnswers, readRunInfo, readSamples } from "../../bench/read_run.ts";
import { collectRecords } from "../../bench/collect.ts";
import { machineWasBusy, noiseEffect } from "../../bench/noise_effect.ts";
import { underLoad } from "../../bench/plan.ts";
import type {
  AnswerRecord,
  Exclusion,
  RaceTerms,
  RequestRecord,
  RunInfo,
  SampleRecord,
} from "../../bench/records.ts";
import { UserError } from "../../errors.ts";
import { loadPromptSet, type Prompt, type PromptSet } from "../../prompts/prompts.ts";
import { scoreAnswer } from "../../quality/check.ts";
import { defaultPassMark } from "../../quality/pass_rate.ts";
import { promptsOfRun } from "../../quality/recorded_answers.ts";
import { meanOf } from "../../stats/mean.ts";
import { needsScores, needsTimes, outcomeOf, rulesOf } from "./criterion.ts";
import type { CaseOutcome } from "./pairing.ts";
import { undecided } from "./race.ts";
import type { RaceCandidate, RaceScope, RaceState } from "./race_state.ts";
import { replayRace } from "./run_race.ts";

/** The terms of a race over a run that was measured for another purpose. */
export const DEFAULT_TERMS: RaceTerms & { readonly scope: RaceScope } = {
  by: "latency",
  scope: "cases like these",
  weights: null,
  delta: 0.05,
  epsilon: 0.1,
  budget: 200,
  excluded: [],
  quality_run: null,
};

/** What a run recorded, as a race reads it. */
export interface RunRecords {
  readonly info: RunInfo;
  /** In the order in which they were written. */
  readonly samples: readonly SampleRecord[];
  readonly answers: readonly AnswerRecord[];
}

/** Scores an answer, 0 to 1; null where its prompt has no checks, or none that can judge it. */
export type Score = (
  promptId: string,
  answer: Pick<AnswerRecord, "content" | "tool_calls">,
) => number | null;

/** @throws {RangeError} for a prompt that is not among them */
export function scorer(prompts: readonly Prompt[]): Score {
  const byId = new Map(prompts.map((prompt) => [prompt.id, prompt]));
  return (id, answer) => {
    const prompt = byId.get(id);
    if (prompt === undefined) {
      throw new RangeError(`Cannot score an answer to ${id}: there is no such prompt`);
    }
    if (prompt.checks.length === 0) return null;
    const { content, tool_calls } = answer;
    const { score, supported } = scoreAnswer(content, prompt.checks, prompt, defaultPassMark, tool_calls);
    return supported ? score : null;
  };
}

/** A finished race, and what it was about. */
export interface RecordedRace {
  readonly info: RunInfo;
  readonly terms: RaceTerms;
  readonly state: RaceState;
  /** The states before each block: how the evidence grew. */
  readonly history: readonly RaceState[];
  /** The same blocks raced by output tokens/s, where latency was raced and answers differ in length. */
  readonly perToken: RaceState | null;
  /** That the machine was busy in most of the blocks, and with which program; null where it was not. */
  readonly busy: string | null;
  /** Cases of the set. */
  readonly cases: number;
}

/**
 * Runs a race over recorded blocks, by its own terms or by others. A race that was run live gives the same
 * state again, to the last digit.
 *
 * @param change terms that differ from the run's own
 * @param set the prompts with their checks, where the race is by checks; default: prompts.json of the run
 * @throws {UserError} when the folder holds no run, or scores are needed and there are no checks
 *
 * ```ts ignore
 * const { state } = await replayRecorded("reports/2026-11-21T04-55-07-ab12", { by: "ttft" });
 * ```
 */
export async function replayRecorded(
  folder: string,
  change: Partial<RaceTerms> = {},
  set: PromptSet | null = null,
): Promise<RecordedRace> {
  const [info, samples, answers] = await Promise.all([
    readRunInfo(folder),
    Array.fromAsync(readSamples(folder)),
    Array.fromAsync(readAnswers(folder)),
  ]);
  const score = needsScores({ ...DEFAULT_TERMS, ...info.plan.race, ...change })
    ? scorer(promptsOfRun(info, set ?? await loadPromptSet(join(folder, "prompts.json"))))
    : () => null;
  return await raceOver({ info, samples, answers }, change, score);
}

/** From this ratio between mean lengths on, answers differ in length, and time per token is raced as well. */
const LENGTHS_DIFFER = 1.25;

/**
 * The race over records that are in memory already. For a claim about cases like these only the first block
 * of each case counts. Warm-ups don't count; disturbed blocks do, since they hit all candidates alike. Where
 * most blocks were disturbed and the race stayed undecided, the reason says so.
 *
 * @throws {UserError} for a claim about these cases over a run that did not draw them with replacement
 *
 * ```ts ignore
 * const { state } = await raceOver({ info, samples: sink.samples, answers: sink.answers });
 * ```
 */
export async function raceOver(
  records: RunRecords,
  change: Partial<RaceTerms> = {},
  score: Score = () => null,
): Promise<RecordedRace> {
  const { info } = records;
  const wanted = termsOver(info, change);
  const recorded = recordedBlocks(records, wanted.scope);
  const { blocks } = recorded;
  const terms = { ...wanted, excluded: [...wanted.excluded, ...neverSent(recorded, wanted)] };
  const candidates = racingCandidates(info, terms);
  const raceBy = (by: RaceTerms["by"], onState: (state: RaceState) => void) => {
    const judge = outcomesBy({ ...terms, by }, records, recorded, score);
    const state = replayRace(candidates, rulesOf({ ...terms, by }), (now) => {
      onState(now);
      const block = blocks[now.blocks];
      // The run may have ended in the middle of a block.
      if (block === undefined || now.live.some((id) => !block.has(id))) return null;
      return new Map(now.live.flatMap((id) => {
        const record = block.get(id);
        return record === undefined ? [] : [[id, judge(record)]];
      }));
    });
    return withoutControl(state, info);
  };
  const history: RaceState[] = [];
  const ended = raceBy(terms.by, (now) => history.push(now));
  const raced = blocks.slice(0, ended.blocks);
  const busy = needsTimes(terms) ? await busyDuring(raced, records) : null;
  const lengthsDiffer = terms.by === "latency" && lengthRatio(raced) > LENGTHS_DIFFER;
  return {
    info,
    terms,
    state: busy === null ? ended : withBusyMachine(ended, busy),
    history,
    perToken: lengthsDiffer ? raceBy("throughput", () => {}) : null,
    busy,
    cases: info.plan.prompt_set.prompts.length,
  };
}

function termsOver({ run_id, plan: { race: own } }: RunInfo, change: Partial<RaceTerms>) {
  const given = { ...DEFAULT_TERMS, ...own, ...change };
  const terms = { ...given, scope: given.scope ?? DEFAULT_TERMS.scope };
  if (terms.scope === "these cases" && own?.scope !== "these cases") {
    throw new UserError(
      `${run_id} sent its cases round by round, and a claim about these cases alone needs a race that drew ` +
        "them with replacement: race them with --scope these",
    );
  }
  return terms;
}

/** Requests by candidate. */
type RecordedBlock = ReadonlyMap<string, RequestRecord>;

interface RecordedBlocks {
  /** In the order in which they ran. */
  readonly blocks: readonly RecordedBlock[];
  /** The last request of each candidate. */
  readonly last: RecordedBlock;
  /** Why a candidate left. */
  readonly left: ReadonlyMap<string, string>;
}

function recordedBlocks({ samples }: RunRecords, scope: RaceScope): RecordedBlocks {
  const byBlock = new Map<number, Map<string, RequestRecord>>();
  const last = new Map<string, RequestRecord>();
  const left = new Map<string, string>();
  for (const record of samples) {
    if (record.kind === "candidate") left.set(record.candidate, record.reason);
    if (record.kind !== "request" || record.phase !== "timed") continue;
    const block = byBlock.get(record.block) ?? new Map<string, RequestRecord>();
    byBlock.set(record.block, block.set(record.candidate, record));
    last.set(record.candidate, record);
  }
  const blocks = [...byBlock].sort(([a], [b]) => a - b).map(([, block]) => block);
  if (scope === "these cases") return { blocks, last, left };
  const seen = new Set<string>();
  const first = blocks.filter((block) => {
    const [prompt = ""] = [...block.values()].map(({ prompt_id }) => prompt_id);
    const isFirst = !seen.has(prompt);
    seen.add(prompt);
    return isFirst;
  });
  return { blocks: first, last, left };
}

/** Candidates that left before their first request. */
function neverSent({ last, left }: RecordedBlocks, { excluded }: Pick<RaceTerms, "excluded">): Exclusion[] {
  return [...left].filter(([id]) => !last.has(id) && !excluded.some((one) => one.id === id)).map((
    [id, reason],
  ) => ({ id, constraint: "failed", reason, admit: "fix what the reason says, and race again" }));
}

/** What each recorded request is worth by the terms. Where a candidate left, its last request, if it failed, says so. */
function outcomesBy(
  terms: RaceTerms,
  { answers }: RunRecords,
  { last, left }: RecordedBlocks,
  score: Score,
): (record: RequestRecord) => CaseOutcome {
  const byId = new Map(answers.map((answer) => [answer.id, answer]));
  return (record) => {
    const answer = byId.get(record.id);
    const outcome = outcomeOf(record, answer === undefined ? null : score(record.prompt_id, answer), terms);
    const reason = left.get(record.candidate);
    const leaves = outcome.status === "failed" && reason !== undefined &&
      last.get(record.candidate) === record;
    return leaves ? { ...outcome, reason, leaves } : outcome;
  };
}

/** Drift hits blocks that overlap, and candidates that run one after the other, unequally: then no verdict. */
function withoutControl(state: RaceState, { plan }: RunInfo): RaceState {
  const why = plan.order === "by model"
    ? "the candidates ran one after the other, so that drift of the machine was not controlled"
    : underLoad(plan)
    ? "requests overlapped, so that blocks are not independent: compare the stretches (summary.json)"
    : null;
  const decided = state.verdict?.verdict === "winner" || state.verdict?.verdict === "tie";
  return why === null || !decided ? state : { ...state, verdict: undecided(state, why) };
}

/** Judges the blocks that were raced as a bench judges its own: that the machine was busy in most of them, or null. */
async function busyDuring(
  raced: readonly RecordedBlock[],
  { info, samples }: RunRecords,
): Promise<string | null> {
  const numbers = new Set(raced.flatMap((block) => [...block.values()].map((record) => record.block)));
  const own = samples.filter((record) =>
    (record.kind === "machine" || record.kind === "request") && numbers.has(record.block)
  );
  if (!own.some((record) => record.kind === "machine" && record.disturbed !== null)) return null;
  const promptIds = info.plan.prompt_set.prompts.map(({ id }) => id);
  const { candidates } = info;
  const { treatment, busiest } = noiseEffect(await collectRecords(own, { candidates, promptIds, slo: null }));
  return treatment === "too many" ? machineWasBusy(busiest) : null;
}

/** An undecided race says first that the machine was busy: its candidates may differ on a quiet one. */
function withBusyMachine(state: RaceState, busy: string): RaceState {
  const { verdict } = state;
  if (verdict?.verdict !== "undecided") return state;
  return { ...state, verdict: { ...verdict, reason: `${busy}; ${verdict.reason}` } };
}

/** The longest mean answer of a candidate over the shortest, in output tokens; 1 where nothing was answered. */
function lengthRatio(blocks: readonly RecordedBlock[]): number {
  const good = blocks.flatMap((block) => [...block.values()]).filter(({ status }) => status === "ok");
  const means = [...Map.groupBy(good, ({ candidate }) => candidate).values()]
    .map((same) => meanOf(same.map(({ output_tokens }) => output_tokens)));
  return means.length < 2 || Math.min(...means) === 0 ? 1 : Math.max(...means) / Math.min(...means);
}

/** The candidates that no constraint excluded, in the run's order. */
export function racingCandidates(
  info: RunInfo,
  { excluded }: Pick<RaceTerms, "excluded">,
): RaceCandidate[] {
  const out = new Set(excluded.map(({ id }) => id));
  return info.candidates.filter(({ id }) => !out.has(id)).map(({ id, size_mb }) => ({ id, sizeMb: size_mb }));
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
