/** deno task quality judge: a second model rates a run's answers, after it has shown that it can. */
import { join } from "node:path";
import { Option } from "commander";
import type { Trial } from "../../lib/quality/judge_trial.ts";
import { UserError } from "../../lib/errors.ts";
import {
  decimal,
  endpointOption,
  interruptSignal,
  jsonOption,
  outOption,
  pathValue,
  printJson,
  realClock,
  registryOption,
  storeOption,
  timeoutOption,
} from "../cli.ts";
import { promptSetOf, qualityCommand, runFolder, runPromptsOption } from "./run_folder.ts";

interface JudgeOptions {
  readonly judge: string;
  readonly endpoint?: readonly string[];
  readonly rubric: "fluency" | "accuracy";
  readonly threshold: number;
  readonly prompts?: string;
  readonly registry: string;
  readonly store?: string;
  readonly out: string;
  readonly timeout: number;
  readonly replace: boolean;
  readonly json: boolean;
}

/** Longest reply: a few scores. */
const REPLY_TOKENS = 64;

function command() {
  return qualityCommand(
    "judge",
    "Tries a model on anchored answers; if it passes, lets it rate a run's answers.",
  )
    .argument("<run>", "a run: its folder, or its name below --out")
    .addOption(
      new Option("--judge <model>", "the judge: ALIAS[:VARIANT][@ENDPOINT]").argParser(pathValue)
        .makeOptionMandatory(),
    )
    .addOption(endpointOption())
    .addOption(
      new Option("--rubric <name>", "what to rate").choices(["fluency", "accuracy"]).default("fluency"),
    )
    .addOption(
      new Option("--threshold <share>", "anchored pairs that it has to tell apart").default(0.8)
        .argParser(decimal({ above: 0.5, max: 1 })),
    )
    .addOption(new Option("--replace", "put its scores in the place of earlier ones").default(false))
    .addOption(runPromptsOption())
    .addOption(timeoutOption(300))
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(outOption())
    .addOption(jsonOption().default(false));
}

export async function judge(args: readonly string[]): Promise<number> {
  const parsed = command();
  await parsed.parseAsync([...args], { from: "user" });
  const options = parsed.opts<JudgeOptions>();
  const folder = await runFolder(parsed.args[0], options.out);
  const set = await promptSetOf(folder, options.prompts);
  const { Judge } = await import("../../lib/quality/judge.ts");
  const { tryJudge } = await import("../../lib/quality/judge_trial.ts");
  const { rubrics } = await import("../../lib/quality/rubric.ts");
  const { replaceFile } = await import("../../lib/bench/folder.ts");
  const { openJudge } = await import("./open_judge.ts");
  const model = await openJudge(options.judge, set, { ...options, replyTokens: REPLY_TOKENS });
  try {
    const asked = new Judge(model.ask, rubrics[options.rubric]);
    const onPair = progress("pairs of anchored answers");
    const trial = await tryJudge(asked, set.prompts, { threshold: options.threshold, onPair });
    const evidence = join(folder, `judge-${model.id.replaceAll(/[^\w.-]+/g, "_")}-${options.rubric}.json`);
    await replaceFile(evidence, `${JSON.stringify({ judge: model.id, ...trial }, null, 2)}\n`);
    if (options.json && !trial.accepted) printJson({ judge: model.id, trial, rated: 0, agreement: [] });
    if (!options.json) showTrial(model.id, trial);
    if (!trial.accepted) {
      throw new UserError(
        `the judge ${model.id} is refused: ${trial.reason}. Nothing was rated; see ${evidence}`,
        1,
      );
    }
    const { rated, agreement } = await rateRun(asked, model.id, folder, set, options.replace);
    if (options.json) printJson({ judge: model.id, trial, rated, agreement });
    return 0;
  } finally {
    await model.close();
  }
}

async function rateRun(
  asked: import("../../lib/quality/judge.ts").Judge,
  id: string,
  folder: string,
  set: Awaited<ReturnType<typeof promptSetOf>>,
  replace: boolean,
) {
  const { addRatings, readRatings } = await import("../../lib/quality/ratings.ts");
  const { agreementWithPeople, judgeAnswers } = await import("../../lib/quality/judge_run.ts");
  const { promptsOfRun, readRecordedAnswers, writeQuality } = await import("../../lib/quality/quality.ts");
  const recorded = await readRecordedAnswers(folder);
  if (recorded.info.candidates.some(({ model_id }) => model_id === id)) {
    console.error(`! ${id} is a candidate of this run and judges its own answers: prefer another judge`);
  }
  const prompts = promptsOfRun(recorded.info, set);
  const { ratings, unrated } = await judgeAnswers(asked, [...recorded.answers.values()], prompts, {
    rater: id,
    onAnswer: progress("answers"),
  });
  await addRatings(folder, ratings, { replace });
  await writeQuality(folder, set);
  const agreement = agreementWithPeople(await readRatings(folder), id);
  console.error(`${ratings.length} answers rated, ${unrated} without readable scores.`);
  if (agreement.length === 0) {
    console.error("No person has rated these answers: its agreement with people is not known.");
  }
  for (const { dimension, alpha, units, reason } of agreement) {
    console.error(`agreement with people on ${dimension}: ${alpha?.toFixed(2) ?? reason} (${units} answers)`);
  }
  return { rated: ratings.length, agreement };
}

/** Now and then a line: a judge on a small machine takes its time. */
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

function showTrial(id: string, trial: Trial): void {
  const { firstChosen, meanGood, meanBad } = trial;
  console.log(`${id} on ${trial.pairs} pairs of a good and a bad answer:`);
  console.log(
    `  told apart           ${rate(trial.accuracy)}, it takes ${
      percent(trial.threshold)
    }; ${trial.ties} ties`,
  );
  console.log(
    `  mean score           good ${meanGood?.toFixed(2) ?? "—"}, bad ${meanBad?.toFixed(2) ?? "—"}`,
  );
  console.log(`  bad one is longer    ${rate(trial.longerBad)}`);
  console.log(`  bad one is shorter   ${rate(trial.shorterBad)}`);
  console.log(`  first of two chosen  ${percent(firstChosen.share)} of ${firstChosen.n} (50 % is no bias)`);
  console.log(`  not the asked JSON   ${trial.invalid} of ${trial.replies} replies`);
  console.log(`  ${trial.accepted ? "accepted" : `refused: ${trial.reason}`}`);
}
