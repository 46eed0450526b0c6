/** A model as the judge of a run's answers: opened, tested on anchored answers, and only then allowed to rate. */
import { join } from "node:path";
import type { CandidateInfo } from "../../lib/bench/records.ts";
import { UserError } from "../../lib/errors.ts";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import { type CallJudge, Judge } from "../../lib/quality/judge.ts";
import { agreementWithPeople, judgeAnswers } from "../../lib/quality/judge_run.ts";
import { type Trial, tryJudge } from "../../lib/quality/judge_trial.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import { promptsOfRun, readRecordedAnswers, writeRunFile } from "../../lib/quality/recorded_answers.ts";
import { addRatings, type DimensionAgreement, readRatings } from "../../lib/quality/ratings.ts";
import { rubricFor, type RubricName } from "../../lib/quality/rubric.ts";
import { interruptSignal, printJson, realClock } from "../cli.ts";
import { type Shared } from "../options.ts";
import { openModel } from "../../lib/bench/session.ts";
import { sessionResources } from "../session_resources.ts";
import { rewriteReport } from "./run_folder.ts";
import { terminalLine } from "../../lib/terminal_text.ts";

/** The options of `quality judge`. */
export interface JudgeOptions extends Shared<"endpoint" | "registry" | "store" | "out" | "timeout" | "json"> {
  readonly judge: string;
  readonly rubric?: RubricName;
  readonly threshold: number;
  readonly prompts?: string;
  readonly replace?: boolean;
}

/** Longest reply: a few scores. */
const REPLY_TOKENS = 64;

/** Opens the judge, tests it, and rates the run's answers with it. Returns the exit code. */
export async function judgeRun(folder: string, set: PromptSet, options: JudgeOptions): Promise<number> {
  const rubric = rubricFor(options.rubric, set);
  const run = await readJudged(folder, set);
  const model = await openJudge(options.judge, set, { ...options, replyTokens: REPLY_TOKENS });
  try {
    warnOfOwnAnswers(model, run.info.candidates);
    return await tryAndRate(new Judge(model.ask, rubric), model.id, {
      folder,
      set,
      run,
      options,
    });
  } finally {
    await model.close();
  }
}

/** A run's good answers, with what is known of them. */
async function readJudged(folder: string, set: PromptSet) {
  const { info, requests, answers } = await readRecordedAnswers(folder);
  return {
    info,
    prompts: promptsOfRun(info, set),
    answers: requests.filter(({ status }) => status === "ok").flatMap(({ id }) => answers.get(id) ?? []),
    ratings: await readRatings(folder),
  };
}

interface Judging {
  readonly folder: string;
  readonly set: PromptSet;
  readonly run: Awaited<ReturnType<typeof readJudged>>;
  readonly options: JudgeOptions;
}

/** The same model may be a candidate at another endpoint. */
function warnOfOwnAnswers({ id, modelId }: OpenJudge, candidates: readonly CandidateInfo[]): void {
  const own = candidates.find(({ model_id }) => model_id === modelId);
  if (own === undefined) return;
  console.error(
    `! ${id} has the model of the candidate ${own.id} and would judge its own answers: choose another judge`,
  );
}

/** The trial, agreement with people where there are any, and only then the rest of the answers. */
async function tryAndRate(asked: Judge, id: string, { folder, set, run, options }: Judging): Promise<number> {
  const { prompts, answers } = run;
  const trial = await tryJudge(asked, set.prompts, {
    threshold: options.threshold,
    onPair: progress("pairs of anchored answers"),
  });
  const people = run.ratings.filter(({ source, rubric }) =>
    source === "person" && rubric === asked.rubric.name
  );
  const ratedByPeople = new Set(people.map(({ answer }) => answer));
  const rate = (some: typeof answers) =>
    judgeAnswers(asked, some, prompts, { rater: id, onAnswer: progress("answers") });
  const common = await rate(asked.hopeless ? [] : answers.filter((answer) => ratedByPeople.has(answer.id)));
  const agreement = agreementWithPeople([...people, ...common.ratings], id);
  const evidence = join(folder, `judge-${id.replaceAll(/[^\w.@-]+/g, "_")}-${asked.rubric.name}.json`);
  await writeRunFile(evidence, `${JSON.stringify({ judge: id, ...trial, agreement }, null, 2)}\n`);
  if (!options.json) showTrial(id, trial, agreement);
  if (!trial.accepted) {
    if (options.json) printJson({ judge: id, trial, agreement, rated: 0 });
    throw new UserError(`the judge ${id} is refused: ${trial.reason}. Nothing was rated; see ${evidence}`, 1);
  }
  const rest = await rate(answers.filter((answer) => !ratedByPeople.has(answer.id)));
  const ratings = [...common.ratings, ...rest.ratings];
  await addRatings(folder, ratings, { replace: options.replace === true });
  await writeQuality(folder, set);
  await rewriteReport(folder);
  console.error(`${ratings.length} answers rated, ${common.unrated + rest.unrated} without readable scores.`);
  if (options.json) printJson({ judge: id, trial, agreement, rated: ratings.length });
  return 0;
}

/** Prints an occasional line: a judge is slow on a small machine. */
function progress(what: string): (done: number, all: number) => void {
  let last = realClock();
  return (done, all) => {
    if (realClock() - last < 10_000) return;
    last = realClock();
    console.error(`${done} of ${all} ${what}`);
    interruptSignal().throwIfAborted();
  };
}

const percent = (share: number | null) => share === null ? "—" : `${Math.round(100 * share)} %`;
const rate = ({ rate, ci95, n }: Trial["accuracy"]) =>
  ci95 === null ? "—" : `${percent(rate)} (${percent(ci95[0])} to ${percent(ci95[1])}, ${n} prompts)`;

function showTrial(id: string, trial: Trial, agreement: readonly DimensionAgreement[]): void {
  const { firstChosen, meanGood, meanBad } = trial;
  console.log(`${id} on ${trial.pairs} pairs of a good and a bad answer:`);
  console.log(
    `  ranked correctly     ${rate(trial.accuracy)}, required ${
      percent(trial.threshold)
    }; ${trial.ties} ties`,
  );
  console.log(
    `  mean score           good ${meanGood?.toFixed(2) ?? "—"}, bad ${meanBad?.toFixed(2) ?? "—"}`,
  );
  console.log(`  bad one is longer    ${rate(trial.longerBad)}`);
  console.log(`  bad one is shorter   ${rate(trial.shorterBad)}`);
  console.log(
    `  first of two chosen  ${percent(firstChosen.share)} of ${firstChosen.n} (50 % means no bias)`,
  );
  console.log(`  invalid replies      ${trial.invalid} of ${trial.replies}`);
  if (agreement.length === 0) {
    console.log("  with people          not known: no person has rated this run's answers");
  }
  for (const { dimension, alpha, units, reason } of agreement) {
    console.log(
      `  with people          ${dimension}: alpha ${alpha?.toFixed(2) ?? `— (${reason})`}, ${units} answers`,
    );
  }
  console.log(`  ${trial.accepted ? "accepted" : `refused: ${trial.reason}`}`);
}

export interface OpenJudge {
  /** The candidate's id: it names the endpoint too, where two may list the same model. */
  readonly id: string;
  readonly modelId: string;
  readonly ask: CallJudge;
  close(): Promise<void>;
}

/** Tokens that the rubric, the aspects and two answers take at the most. */
const RUBRIC_TOKENS = 1500;

/** @throws {UserError} when there is no such model, or it can't be loaded or reached */
export async function openJudge(
  name: string,
  set: PromptSet,
  options: Shared<"endpoint" | "registry" | "store" | "timeout"> & { readonly replyTokens: number },
): Promise<OpenJudge> {
  const signal = interruptSignal();
  const { info, open, close } = await openModel({
    names: [name],
    endpoints: options.endpoint,
    plan: {
      prompts: set,
      maxTokens: options.replyTokens + RUBRIC_TOKENS,
      timeoutS: options.timeout,
      responseFormat: { name: "reply", schema: { type: "object" } },
    },
  }, await sessionResources(options));
  const { thinking, format, wording } = info.request ?? {};
  if (format !== undefined || wording !== undefined) {
    await close();
    throw new UserError(
      `${info.id}: the messages and the JSON schema of a judge are fixed: leave out format and wording`,
    );
  }
  for (const note of open.notes ?? []) {
    console.error(terminalLine(`judge ${info.id}: ${note}`));
  }
  return {
    id: info.id,
    modelId: info.model_id,
    async ask(messages, responseFormat) {
      const trace = await open.request({
        model: info.model_id,
        messages,
        maxTokens: options.replyTokens,
        temperature: 0,
        ...(thinking === undefined ? {} : { thinking }),
        responseFormat,
      }, { timeoutMs: options.timeout * 1000, signal });
      signal.throwIfAborted();
      if (trace.status === "failed") {
        throw new UserError(`the judge ${info.id} did not answer: ${trace.reason}`, 1);
      }
      return trace.content;
    },
    close,
  };
}
