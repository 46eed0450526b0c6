/** A run's recorded answers: what quality is derived from, and answers.csv for people and spreadsheets. */
import { replaceFile } from "../bench/folder.ts";
import { readAnswers, readRunInfo, readSamples } from "../bench/read_run.ts";
import type { AnswerRecord, RequestRecord, RunInfo } from "../bench/records.ts";
import { byteOrderMark, formatCsv } from "../csv.ts";
import { reasonOf, UserError } from "../errors.ts";
import { originalOf } from "../bench/padding.ts";
import type { Prompt, PromptSet } from "../prompts/prompts.ts";
import type { QualityReport } from "./quality_schema.ts";
import { visibleAnswer } from "./text.ts";

/** The part of a run that quality is derived from. */
export interface RecordedAnswers {
  readonly info: RunInfo;
  /** Timed requests, in the order of the file. */
  readonly requests: readonly RequestRecord[];
  /** By the request's id. */
  readonly answers: ReadonlyMap<string, AnswerRecord>;
  /** Candidates that left the run or never started, with the reason. */
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

/** The answers that have text, grouped where candidates or rounds gave the same one to the same prompt. */
export function answersByText(answers: readonly AnswerRecord[]): AnswerRecord[][] {
  const groups = Map.groupBy(
    answers,
    ({ prompt_id, content }) => JSON.stringify([prompt_id, visibleAnswer(content)]),
  );
  return [...groups.values()].filter(([first]) => visibleAnswer(first?.content ?? "") !== "");
}

/**
 * The prompts of a run with their checks, from a prompt set.
 *
 * @throws {UserError} when a prompt of the run is not in the set or has another text
 * there: its checks would score
 *   answers to another question
 */
export function promptsOfRun(info: RunInfo, set: PromptSet): Prompt[] {
  const byId = new Map(set.prompts.map((one) => [one.id, one]));
  return info.plan.prompt_set.prompts.map((recorded) => {
    const { id, sha256 } = recorded;
    const padded = originalOf(recorded, set);
    if (padded !== null) return padded;
    const prompt = byId.get(id);
    if (prompt?.sha256 === sha256) return prompt;
    const fault = prompt ? "has another text there" : "is not in it";
    throw new UserError(
      `prompt "${id}" of run ${info.run_id} ${fault}: give the prompt set of that run with --prompts ` +
        `(it was called ${info.plan.prompt_set.name})`,
    );
  });
}

/** One request with its answer and the scores of that. */
interface AnswerRow {
  readonly request: RequestRecord;
  readonly quality: QualityReport["answers"][number] | undefined;
  readonly answer: string;
}

const COLUMNS: readonly (readonly [string, (row: AnswerRow) => string | number | boolean | null])[] = [
  ["id", ({ request }) => request.id],
  ["candidate", ({ request }) => request.candidate],
  ["prompt_id", ({ request }) => request.prompt_id],
  ["round", ({ request }) => request.round],
  ["status", ({ request }) => request.status],
  ["reason", ({ request }) => request.reason],
  ["latency_s", ({ request }) => seconds(request.chunk_ms.at(-1))],
  ["ttft_s", ({ request }) => request.streamed ? seconds(request.chunk_ms[0]) : null],
  ["prompt_tokens", ({ request }) => request.prompt_tokens],
  ["output_tokens", ({ request }) => request.output_tokens],
  ["token_source", ({ request }) => request.token_source],
  ["finish_reason", ({ request }) => request.finish_reason],
  ["score", ({ quality }) => quality?.score ?? null],
  ["passed", ({ quality }) => quality?.passed ?? null],
  ["state", ({ quality }) => quality?.state ?? null],
  ["answer", ({ answer }) => answer],
];

/**
 * The answers of a run as CSV, failures included, one row per request.
 *
 * @param report adds score and passed; null where nothing was checked
 */
export function formatAnswers({ requests, answers }: RecordedAnswers, report: QualityReport | null): string {
  const scored = new Map(report?.answers.map((answer) => [answer.id, answer]));
  const rows = requests.map((request) => {
    const answer = visibleAnswer(answers.get(request.id)?.content ?? "");
    const row = { request, quality: scored.get(request.id), answer };
    return COLUMNS.map(([, valueIn]) => valueIn(row));
  });
  return byteOrderMark + formatCsv(COLUMNS.map(([title]) => title), rows);
}

function seconds(ms: RequestRecord["chunk_ms"][number] | undefined): number | null {
  return ms === undefined ? null : Math.round(ms) / 1000;
}

/**
 * Writes a file into a run's folder in one step.
 *
 * @throws {UserError} exit code 1 when the disk is full or the folder can't be written: the old file is kept
 */
export async function writeRunFile(path: string, text: string): Promise<void> {
  try {
    await replaceFile(path, text);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** The user's error for a file that could not be written. */
export function cannotWrite(path: string, error: unknown): UserError {
  const reason = `can't write ${path}: ${reasonOf(error)}; what was there before is kept`;
  return new UserError(`${reason}: free disk space, or copy the run to a folder that you can write to`, 1, {
    cause: error,
  });
}
