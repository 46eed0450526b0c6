/** From a run's recorded answers to quality.json: every answer scored, every rate with its interval. */
import { join } from "node:path";
import type { RequestRecord, RunInfo } from "../bench/records.ts";
import { UserError } from "../errors.ts";
import type { Prompt, PromptSet } from "../prompts/prompts.ts";
import { candidateOf, variationOf } from "./candidate_quality.ts";
import { type AnswerScore, type CheckResult, scoreAnswer } from "./check.ts";
import { testAnswers, type TestRuns } from "./code/test_runs.ts";
import { expectedText } from "../prompts/expected.ts";
import { defaultPassMark } from "./pass_rate.ts";
import {
  type AnswerQuality,
  QUALITY_SCHEMA,
  type QualityReport,
  qualityReport,
  type ScoreState,
} from "./quality_schema.ts";
import { visibleAnswer } from "./text.ts";
import { agreements, type RatingRecord, readRatings } from "./ratings.ts";
import { readVotes, type VoteRecord, voteSummary } from "./votes.ts";
import { promptsOfRun, readRecordedAnswers, type RecordedAnswers, writeRunFile } from "./recorded_answers.ts";

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
  const votes = await readVotes(folder);
  const report = deriveQuality(
    { ...recorded, testRuns, votes },
    prompts,
    await readRatings(folder),
    passMark,
  );
  await writeRunFile(join(folder, "quality.json"), `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

/**
 * Derives quality.json. A request that failed, or whose connection broke off, is an answer that scores 0; so is one
 * that a candidate owed when it left the run. Prompts without checks are left out.
 *
 * @throws {UserError} when there is neither a check nor a rating
 */
function deriveQuality(
  recorded: RecordedAnswers & { readonly testRuns: TestRuns; readonly votes: readonly VoteRecord[] },
  prompts: readonly Prompt[],
  ratings: readonly RatingRecord[],
  passMark: number,
): QualityReport {
  const { info } = recorded;
  const checked = prompts.filter(({ checks }) => checks.length > 0);
  if (checked.length === 0 && ratings.length === 0 && recorded.votes.length === 0) {
    throw new UserError(
      `none of the prompts of ${info.plan.prompt_set.name} has checks, and no answer is rated: ` +
        "give --prompts with checks, or let people rate (quality annotate)",
    );
  }
  const known = new Set(recorded.requests.map(({ id }) => id));
  const stray = ratings.find(({ answer }) => !known.has(answer))?.answer ??
    recorded.votes.flatMap(({ answers }) => answers).find((answer) => !known.has(answer));
  if (stray !== undefined) {
    throw new UserError(
      `ratings.jsonl or votes.jsonl names the answer ${stray}, which run ${info.run_id} doesn't have`,
    );
  }
  const byId = new Map(checked.map((prompt) => [prompt.id, prompt]));
  const answers = [
    ...recorded.requests.flatMap((request) => scoreRequest(request, recorded, byId, passMark)),
    ...owedAnswers(recorded, checked),
  ];
  const byCandidate = Map.groupBy(answers, ({ candidate }) => candidate);
  const lengths = promptLengths(recorded, prompts);
  const votes = voteSummary(recorded.votes, info.candidates.map(({ id }) => id));
  return qualityReport.parse({
    schema_version: QUALITY_SCHEMA,
    run_id: info.run_id,
    prompt_set: { name: info.plan.prompt_set.name, sha256: info.plan.prompt_set.sha256 },
    pass_mark: passMark,
    length_source: lengths.source,
    candidates: info.candidates.map(({ id }) => ({
      ...candidateOf(
        id,
        byCandidate.get(id) ?? [],
        ratings.filter(({ candidate }) => candidate === id),
        lengths.tokens,
        byId,
      ),
      ...(info.plan.temperature > 0 ? variationOf(byCandidate.get(id) ?? [], recorded.answers) : {}),
    })),
    answers,
    ...expectedOf(checked),
    ...(votes === null ? {} : { votes }),
    agreement: agreements(ratings.filter(({ source }) => source === "person")),
    warnings: warningsOf(recorded, prompts, answers),
  });
}

function expectedOf(prompts: readonly Prompt[]): Pick<QualityReport, "expected"> {
  const stated = prompts.flatMap(({ id, checks }) => {
    const text = expectedText(checks);
    return text === null ? [] : [[id, text] as const];
  });
  return stated.length === 0 ? {} : { expected: Object.fromEntries(stated) };
}

function scoreRequest(
  request: RequestRecord,
  { answers, testRuns }: Parameters<typeof deriveQuality>[0],
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

function recordedCheck({ name, kind, required, passed, credit, supported, outcome, detail }: CheckResult) {
  return {
    name,
    kind,
    required,
    passed,
    credit,
    supported,
    detail,
    ...(outcome === null ? {} : { outcome }),
  };
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
  const asked = new Set(requests.map(({ candidate, prompt_id }) => JSON.stringify([candidate, prompt_id])));
  return [...left].flatMap(([candidate, reason]) => {
    if (!info.candidates.some(({ id }) => id === candidate)) return [];
    return prompts.filter(({ id }) => !asked.has(JSON.stringify([candidate, id]))).map((prompt) =>
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
    const chars = messages.reduce((sum, { content }) => sum + content.length, 0);
    return [id, middle ?? Math.ceil(chars / 4)] as const;
  }));
  const source = prompts.every(({ id }) => counted.has(id)) ? "usage" as const : "chars/4" as const;
  return { tokens, source };
}

/** Warnings about a run's quality, each with its remedy. */
function warningsOf(
  { info, requests }: RecordedAnswers,
  prompts: readonly Prompt[],
  answers: readonly AnswerQuality[],
): QualityReport["warnings"] {
  const unchecked = prompts.filter(({ checks }) => checks.length === 0).map(({ id }) => id);
  const limited = requests.filter(({ finish_reason }) => finish_reason === "length");
  const isThought = (one: RequestRecord) =>
    one.content_chars === 0 && one.reasoning_chars > 0 &&
    (one.calls ?? 0) === 0;
  const [thought, cut] = [limited.filter(isThought), limited.filter((one) => !isThought(one))];
  const failures = answers.filter(({ state }) => state === "failed").length;
  const unsupported = answers.filter(({ state, failure }) => state === "unsupported" && failure !== null);
  const unjudged = answers.filter(({ failure }) => failure === null)
    .flatMap(({ checks }) => checks.filter(({ supported }) => !supported));
  const reasons = new Set(unjudged.map(({ name, detail }) => `${name} (${detail})`));
  return [
    unchecked.length === 0 ? [] : {
      code: "unchecked-prompts",
      message: `${unchecked.length} prompts have no checks and are not scored: ${
        unchecked.slice(0, 6).join(", ")
      }${unchecked.length > 6 ? " …" : ""}`,
      remedy: "add checks to the prompt set, or let people rate these answers",
    },
    unjudged.length === 0 ? [] : {
      code: "unsupported-checks",
      message: `${unjudged.length} results of checks are left out: ${[...reasons].slice(0, 4).join("; ")}`,
      remedy: "use checks that can judge this script, such as contains or aspects, or let people rate",
    },
    info.plan.prefix !== "cold" ? [] : {
      code: "nonce-in-answers",
      message: "the answers were given with a random number before each prompt, as a cold prefix needs it",
      remedy: "score answers of `quality capture`, which sends the prompts as they are",
    },
    info.plan.temperature === 0 || info.plan.rounds > 1 ? [] : {
      code: "one-answer-each",
      message: `at temperature ${info.plan.temperature} answers vary, and each prompt was sent once`,
      remedy: "capture with --rounds 3 or more, or with --temperature 0",
    },
    thought.length === 0 ? [] : {
      code: "thought-only",
      message:
        `${counted(thought, requests.length)} spent all their tokens on reasoning, so no answer came: ` +
        [...new Set(thought.map(({ candidate }) => candidate))].join(", "),
      remedy: "raise --max-tokens, or compare with reasoning off (the candidate setting thinking=off)",
    },
    cut.length === 0 ? [] : {
      code: "cut-answers",
      message: `${counted(cut, requests.length)} stopped at the limit of ${limitsOf(info, cut)} tokens`,
      remedy: "raise --max-tokens if the answers should have been longer",
    },
    unsupported.length === 0 ? [] : {
      code: "unsupported-requests",
      message: `${counted(unsupported, answers.length)} could not be asked for (${
        [...new Set(unsupported.map(({ candidate }) => candidate))].join(", ")
      }): ${mostFrequent(unsupported.flatMap(({ failure }) => failure ?? []))}`,
      remedy: "choose a model or a service that takes what the job needs, or another format",
    },
    failures === 0 ? [] : {
      code: "failed-requests",
      message: `${failures} of ${answers.length} answers are failures and score 0; most often: ${
        mostFrequent(answers.flatMap(({ state, failure }) => state === "failed" ? failure ?? [] : []))
      }`,
      remedy: "see the reasons in quality.json, and capture again with --resume if the run was interrupted",
    },
    checkedPrompts(prompts) >= 20 ? [] : {
      code: "few-prompts",
      message: `${checkedPrompts(prompts)} prompts are few: rely on the intervals, not on the rates`,
      remedy: "add prompts of your own to the set; repeats of the same prompt don't narrow the interval",
    },
  ].flat();
}

function mostFrequent(texts: readonly string[]): string {
  const [most] = [...Map.groupBy(texts, (text) => text).values()].sort((a, b) => b.length - a.length);
  return most?.[0] ?? "";
}

/** The limits that these requests reached: a case may have one of its own, which a flag precedes. */
function limitsOf({ plan }: RunInfo, requests: readonly RequestRecord[]): string {
  if (plan.stated?.includes("max_tokens")) return String(plan.max_tokens);
  const own = new Map(plan.prompt_set.prompts.map(({ id, settings }) => [id, settings?.max_tokens]));
  const limits = new Set(requests.map(({ prompt_id }) => own.get(prompt_id) ?? plan.max_tokens));
  return [...limits].sort((a, b) => a - b).join(" or ");
}

const counted = (some: readonly unknown[], all: number) => `${some.length} of ${all} answers`;

const checkedPrompts = (prompts: readonly Prompt[]) =>
  prompts.filter(({ checks }) => checks.length > 0).length;
