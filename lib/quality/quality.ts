/** From a run's recorded answers to quality.json: every answer scored, every rate with its interval. */
import { join } from "node:path";
import type { RequestRecord } from "../bench/records.ts";
import { UserError } from "../errors.ts";
import { expectedText } from "../prompts/expected.ts";
import type { Prompt, PromptSet } from "../prompts/prompts.ts";
import { sumOf } from "../stats/mean.ts";
import { candidateOf, variationOf } from "./candidate_quality.ts";
import { type AnswerScore, type CheckResult, scoreAnswer } from "./check.ts";
import { testAnswers, type TestRuns } from "./code/test_runs.ts";
import { defaultPassMark } from "./pass_rate.ts";
import {
  type AnswerQuality,
  QUALITY_SCHEMA,
  type QualityReport,
  qualityReport,
  type ScoreState,
} from "./quality_schema.ts";
import { qualityWarnings } from "./quality_warnings.ts";
import { agreements, type RatingRecord, readRatings } from "./ratings.ts";
import { promptsOfRun, readRecordedAnswers, type RecordedAnswers, writeRunFile } from "./recorded_answers.ts";
import { visibleAnswer } from "./text.ts";
import { readVotes, type VoteRecord, voteSummary } from "./votes.ts";

/**
 * Scores the answers of a run and writes quality.json into its folder.
 *
 * @param set the prompt set of the run, with its checks
 * @param options `recorded`: what the run recorded, where the caller has read it already
 * @throws {UserError} when the set is not the run's, or none of its prompts has checks and no answer is rated
 */
export async function writeQuality(
  folder: string,
  set: PromptSet,
  { passMark = defaultPassMark, recorded }: { passMark?: number; recorded?: RecordedAnswers } = {},
): Promise<QualityReport> {
  recorded ??= await readRecordedAnswers(folder);
  const prompts = promptsOfRun(recorded.info, set);
  const testRuns = await testAnswers(folder, [...recorded.answers.values()], prompts);
  const [votes, ratings] = [await readVotes(folder), await readRatings(folder)];
  const report = deriveQuality({ ...recorded, testRuns, votes, ratings }, prompts, passMark);
  await writeRunFile(join(folder, "quality.json"), `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

/** What a run recorded about its answers, with the results of their tests, votes and ratings. */
interface JudgedAnswers extends RecordedAnswers {
  readonly testRuns: TestRuns;
  readonly votes: readonly VoteRecord[];
  readonly ratings: readonly RatingRecord[];
}

/**
 * Derives quality.json. A request that failed, or whose connection broke off, is an answer that scores 0; so
 * is one that a candidate owed when it left the run. Prompts without checks are left out.
 *
 * @throws {UserError} when there is neither a check nor a rating
 */
function deriveQuality(run: JudgedAnswers, prompts: readonly Prompt[], passMark: number): QualityReport {
  const { info, ratings } = run;
  const checked = prompts.filter(({ checks }) => checks.length > 0);
  assertJudged(run, checked);
  const byId = new Map(checked.map((prompt) => [prompt.id, prompt]));
  const answers = [
    ...run.requests.flatMap((request) => scoreRequest(request, run, byId, passMark)),
    ...owedAnswers(run, checked),
  ];
  const byCandidate = Map.groupBy(answers, ({ candidate }) => candidate);
  const lengths = promptLengths(run, prompts);
  const votes = voteSummary(run.votes, info.candidates.map(({ id }) => id));
  const candidates = info.candidates.map(({ id }) => {
    const own = byCandidate.get(id) ?? [];
    const rated = ratings.filter(({ candidate }) => candidate === id);
    return {
      ...candidateOf(id, own, rated, lengths.tokens, byId),
      ...(info.plan.temperature > 0 ? variationOf(own, run.answers) : {}),
    };
  });
  return qualityReport.parse({
    schema_version: QUALITY_SCHEMA,
    run_id: info.run_id,
    prompt_set: { name: info.plan.prompt_set.name, sha256: info.plan.prompt_set.sha256 },
    pass_mark: passMark,
    length_source: lengths.source,
    candidates,
    answers,
    ...expectedAnswers(checked),
    ...(votes === null ? {} : { votes }),
    agreement: agreements(ratings.filter(({ source }) => source === "person")),
    warnings: qualityWarnings(run, prompts, answers),
  });
}

function assertJudged({ info, requests, ratings, votes }: JudgedAnswers, checked: readonly Prompt[]): void {
  if (checked.length === 0 && ratings.length === 0 && votes.length === 0) {
    throw new UserError(
      `none of the prompts of ${info.plan.prompt_set.name} has checks, and no answer is rated: ` +
        "give --prompts with checks, or let people rate (quality annotate)",
    );
  }
  const known = new Set(requests.map(({ id }) => id));
  const rated = [...ratings.map(({ answer }) => answer), ...votes.flatMap(({ answers }) => answers)];
  const stray = rated.find((answer) => !known.has(answer));
  if (stray !== undefined) {
    throw new UserError(
      `ratings.jsonl or votes.jsonl names the answer ${stray}, which run ${info.run_id} doesn't have`,
    );
  }
}

function expectedAnswers(prompts: readonly Prompt[]): Pick<QualityReport, "expected"> {
  const stated = prompts.flatMap(({ id, checks }) => {
    const text = expectedText(checks);
    return text === null ? [] : [[id, text] as const];
  });
  return stated.length === 0 ? {} : { expected: Object.fromEntries(stated) };
}

function scoreRequest(
  request: RequestRecord,
  { answers, testRuns }: JudgedAnswers,
  prompts: ReadonlyMap<string, Prompt>,
  passMark: number,
): AnswerQuality[] {
  const prompt = prompts.get(request.prompt_id);
  if (!prompt) return [];
  const answer = answers.get(request.id);
  if (request.status !== "ok" || !answer) {
    return [failed(request, prompt, request.reason ?? "no answer was recorded")];
  }
  const { content, tool_calls: calls = [] } = answer;
  const scored = scoreAnswer(content, prompt.checks, { ...prompt, testRuns }, passMark, calls);
  const { id, candidate, prompt_id, round } = request;
  return [{
    id,
    candidate,
    prompt_id,
    round,
    state: stateOf(scored, visibleAnswer(content) === "" && calls.length === 0, request.finish_reason),
    score: scored.score,
    passed: scored.passed,
    failure: null,
    checks: scored.checks.map(recordedCheck),
  }];
}

function recordedCheck({ weight: _, offFormat: _1, final: _2, outcome, ...recorded }: CheckResult) {
  return outcome === null ? recorded : { ...recorded, outcome };
}

/** An answer that the token limit cut is wrong only where more of it could not have made it right. */
function stateOf(
  { passed, supported, checks }: AnswerScore,
  isEmpty: boolean,
  finishReason: string | null,
): ScoreState {
  if (isEmpty) return finishReason === "length" ? "cut" : "no_answer";
  if (!supported) return "unsupported";
  if (passed) return "right";
  if (finishReason === "length" && !checks.some(({ required, final }) => required && final)) return "cut";
  return checks.some(({ passed, offFormat }) => !passed && offFormat) ? "off_format" : "wrong";
}

/** How services say that a model, or its chat template, takes no tools. */
const noTools =
  /tools? (?:is|are|calls? (?:is|are)) not supported|(?:does|do) not (?:support|take) (?:tool|function)|no tool support|requires? --jinja|unsupported[^.]{0,40}\btools?\b/i;

function failed(
  { id, candidate, prompt_id, round }: Pick<RequestRecord, "id" | "candidate" | "prompt_id" | "round">,
  prompt: Prompt,
  failure: string,
): AnswerQuality {
  // "unsupported: …" is the reason of a candidate whose endpoint refuses what the job needs.
  const unsupported = failure.startsWith("unsupported: ") ||
    (prompt.tools.length > 0 && noTools.test(failure));
  const checks = scoreAnswer("", prompt.checks, prompt).checks.map(recordedCheck)
    .map((check) => ({ ...check, supported: !unsupported, detail: unsupported ? failure : "no answer" }));
  const state = unsupported ? "unsupported" : "failed";
  return { id, candidate, prompt_id, round, state, score: 0, passed: false, failure, checks };
}

/** The answers that a candidate owed when it left the run: leaving early must not raise its rank. */
function owedAnswers({ info, requests, left }: RecordedAnswers, prompts: readonly Prompt[]): AnswerQuality[] {
  const sent = new Set(requests.map(({ candidate, prompt_id }) => JSON.stringify([candidate, prompt_id])));
  return [...left].flatMap(([candidate, reason]) => {
    if (!info.candidates.some(({ id }) => id === candidate)) return [];
    return prompts.filter(({ id }) => !sent.has(JSON.stringify([candidate, id]))).map((prompt) =>
      failed(
        { id: `owed/${prompt.id}/${candidate}`, candidate, prompt_id: prompt.id, round: 1 },
        prompt,
        reason,
      )
    );
  });
}

function promptLengths({ requests }: RecordedAnswers, prompts: readonly Prompt[]) {
  const counted = Map.groupBy(
    requests.filter(({ prompt_tokens }) => prompt_tokens !== null),
    ({ prompt_id }) => prompt_id,
  );
  const tokens = new Map(prompts.map(({ id, messages }) => {
    const all = (counted.get(id) ?? []).map(({ prompt_tokens }) => prompt_tokens ?? 0).sort((a, b) => a - b);
    const middle = all[Math.floor(all.length / 2)];
    const chars = sumOf(messages.map(({ content }) => content.length));
    return [id, middle ?? Math.ceil(chars / 4)] as const;
  }));
  const source = prompts.every(({ id }) => counted.has(id)) ? "usage" as const : "chars/4" as const;
  return { tokens, source };
}
