/** From a run's recorded answers to quality.json: every answer scored, every rate with its interval. */
import { join } from "node:path";
import { readAnswers, readRunInfo, readSamples, replaceFile } from "../bench/folder.ts";
import type { AnswerRecord, RequestRecord, RunInfo } from "../bench/records.ts";
import { UserError } from "../errors.ts";
import type { Prompt, PromptSet } from "../prompts/prompts.ts";
import { candidateOf } from "./candidate_quality.ts";
import { defaultPassMark, scoreAnswer } from "./check.ts";
import { type AnswerQuality, type QualityReport, qualityReport } from "./quality_schema.ts";
import { warningsOf } from "./quality_warnings.ts";
import { agreements, type RatingRecord, readRatings } from "./ratings.ts";

/** What a run holds that quality is derived from. */
export interface RecordedAnswers {
  readonly info: RunInfo;
  /** Timed requests, in the order of the file. */
  readonly requests: readonly RequestRecord[];
  /** By the request's id. */
  readonly answers: ReadonlyMap<string, AnswerRecord>;
  /** Candidates that left the run or never entered it, with the reason. */
  readonly left: ReadonlyMap<string, string>;
}

/**
 * Reads what a run recorded.
 *
 * @throws {UserError} when the folder holds no run or a record is damaged
 */
export async function readRecordedAnswers(folder: string): Promise<RecordedAnswers> {
  const info = await readRunInfo(folder);
  const requests: RequestRecord[] = [];
  const left = new Map<string, string>();
  for await (const record of readSamples(folder)) {
    if (record.kind === "request" && record.phase === "timed") requests.push(record);
    if (record.kind === "candidate") left.set(record.candidate, record.reason);
  }
  const answers = new Map<string, AnswerRecord>();
  for await (const answer of readAnswers(folder)) answers.set(answer.id, answer);
  return { info, requests, answers, left };
}

/**
 * The prompts of a run with their checks, out of a prompt set.
 *
 * @throws {UserError} when a prompt of the run is not in the set or has another text there: its checks would
 *   judge answers to another question
 */
export function promptsOfRun(info: RunInfo, set: PromptSet): Prompt[] {
  return info.plan.prompt_set.prompts.map(({ id, sha256 }) => {
    const prompt = set.prompts.find((one) => one.id === id);
    if (prompt?.sha256 === sha256) return prompt;
    const fault = prompt ? "has another text there" : "is not in it";
    throw new UserError(
      `prompt "${id}" of run ${info.run_id} ${fault}: give the prompt set of that run with --prompts ` +
        `(it was called ${info.plan.prompt_set.name})`,
    );
  });
}

/**
 * Scores the answers of a run and writes quality.json into its folder.
 *
 * @param set the prompt set of the run, with its checks
 * @throws {UserError} when the set is not the run's, or none of its prompts has checks and nobody rated
 */
export async function writeQuality(
  folder: string,
  set: PromptSet,
  { passMark = defaultPassMark }: { passMark?: number } = {},
): Promise<QualityReport> {
  const recorded = await readRecordedAnswers(folder);
  const report = deriveQuality(
    recorded,
    promptsOfRun(recorded.info, set),
    await readRatings(folder),
    passMark,
  );
  await replaceFile(join(folder, "quality.json"), `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

/**
 * Derives quality.json. A request that failed or was cut off is an answer that scores 0; so is one that a
 * candidate owed when it left the run. Prompts without checks are left out.
 *
 * @throws {UserError} when there is neither a check nor a rating
 */
export function deriveQuality(
  recorded: RecordedAnswers,
  prompts: readonly Prompt[],
  ratings: readonly RatingRecord[],
  passMark: number,
): QualityReport {
  const { info } = recorded;
  const checked = prompts.filter(({ checks }) => checks.length > 0);
  if (checked.length === 0 && ratings.length === 0) {
    throw new UserError(
      `none of the prompts of ${info.plan.prompt_set.name} has checks, and nobody has rated an answer: ` +
        "give --prompts with checks, or let people rate (quality annotate)",
    );
  }
  const known = new Set(recorded.requests.map(({ id }) => id));
  const stray = ratings.find(({ answer }) => !known.has(answer));
  if (stray) {
    throw new UserError(
      `ratings.jsonl rates the answer ${stray.answer}, which run ${info.run_id} doesn't have`,
    );
  }
  const answers = [
    ...recorded.requests.flatMap((request) => scoreRequest(request, recorded, checked, passMark)),
    ...owedAnswers(recorded, checked),
  ];
  const lengths = promptLengths(recorded, prompts);
  return qualityReport.parse({
    schema_version: 1,
    run_id: info.run_id,
    prompt_set: { name: info.plan.prompt_set.name, sha256: info.plan.prompt_set.sha256 },
    pass_mark: passMark,
    length_source: lengths.source,
    candidates: info.candidates.map(({ id }) =>
      candidateOf(
        id,
        answers.filter(({ candidate }) => candidate === id),
        ratings.filter(({ candidate }) => candidate === id),
        lengths.tokens,
      )
    ),
    answers,
    agreement: agreements(ratings.filter(({ source }) => source === "person")),
    warnings: warningsOf(recorded, prompts, answers),
  });
}

function scoreRequest(
  request: RequestRecord,
  { answers }: RecordedAnswers,
  prompts: readonly Prompt[],
  passMark: number,
): AnswerQuality[] {
  const prompt = prompts.find(({ id }) => id === request.prompt_id);
  if (!prompt) return [];
  const answer = answers.get(request.id);
  if (request.status !== "ok" || !answer) {
    return [failed(request, prompt, request.reason ?? "no answer was recorded")];
  }
  const { score, passed, checks } = scoreAnswer(answer.content, prompt.checks, prompt, passMark);
  const { id, candidate, prompt_id, round } = request;
  return [{
    id,
    candidate,
    prompt_id,
    round,
    score,
    passed,
    failure: null,
    checks: checks.map(({ weight: _, ...check }) => check),
  }];
}

function failed(
  { id, candidate, prompt_id, round }: Pick<RequestRecord, "id" | "candidate" | "prompt_id" | "round">,
  { checks }: Prompt,
  failure: string,
): AnswerQuality {
  const none = checks.map(({ name, kind, required }) => ({
    name,
    kind,
    required,
    passed: false,
    credit: 0,
    detail: "no answer",
  }));
  return { id, candidate, prompt_id, round, score: 0, passed: false, failure, checks: none };
}

/** What a candidate that left the run would have had to answer: its silence is no reason to rank it higher. */
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
