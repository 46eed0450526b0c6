/**
 * Compares runs of different days, and says what that comparison can't tell: two runs share no clock.
 *
 *   deno task compare RUN_A RUN_B                          run ids below reports/, or folders
 *   deno task compare A B C D                              any number, each against the first
 *   deno task compare main:reports/ID reports/ID           a run that is committed, against a new one
 *   deno task compare v1 HEAD                              revisions that hold one run each
 *   deno task compare A B --control smollm2-135m           an unchanged candidate takes the machine out
 *   deno task compare A B --fail-on-regression             exit code 1 when anything got slower or fails
 */
import type { RunsComparison } from "../lib/bench/compare.ts";
import type { ComparableRun } from "../lib/bench/compare_runs.ts";
import { bareCommand, printJson, runTask } from "./cli.ts";
import { epsilonOption, option, pathValue, type Shared, shared } from "./options.ts";
import { latestAgainst, withRun } from "./open_run.ts";

interface Options extends Shared<"out" | "epsilon" | "json"> {
  readonly control?: string;
  readonly failOnRegression?: boolean;
  readonly failOnChangedAnswers?: boolean;
}

async function compare(named: readonly string[], options: Options): Promise<number> {
  const [{ readComparableRun }, { compareAllRuns }, { seededRandom }, { comparisonText }] = await Promise.all(
    [
      import("../lib/bench/compare_runs.ts"),
      import("../lib/bench/compare.ts"),
      import("../lib/stats/random.ts"),
      import("../lib/report/comparison_text.ts"),
    ],
  );
  const runs: ComparableRun[] = [];
  const latest = named.length > 1 ? [] : [await latestAgainst(named[0] ?? "", options.out)];
  const names = [...named, ...latest];
  for (const name of names) runs.push(await withRun(name, options.out, readComparableRun));
  const comparison = compareAllRuns(runs, {
    epsilon: options.epsilon,
    random: () => seededRandom(1),
    ...(options.control === undefined ? {} : { control: options.control }),
  });
  if (options.json) printJson(comparison);
  else {
    const { stdoutStyle } = await import("./terminal.ts");
    console.log(comparisonText(comparison, stdoutStyle(80)));
  }
  const code = options.failOnRegression ? await regression(runs, names[0] ?? "", options) : 0;
  return options.failOnChangedAnswers && code === 0 ? changedAnswers(comparison) : code;
}

/** The gate over each later run, on speed and failures, with the accepted difference ε. */
async function regression(
  [baseline, ...later]: readonly ComparableRun[],
  name: string,
  options: Options,
): Promise<number> {
  const [{ gateRuns, gateExitCode }, { readRunToRun }, { gateText }, { seededRandom }] = await Promise.all([
    import("../lib/bench/gate.ts"),
    import("../lib/bench/run_to_run.ts"),
    import("../lib/report/gate_text.ts"),
    import("../lib/stats/random.ts"),
  ]);
  if (baseline === undefined) return 3;
  const repeats = await withRun(name, options.out, readRunToRun);
  const codes = later.map((run) => {
    const report = gateRuns(baseline, run, null, {
      maxSlowdown: options.epsilon,
      maxDrop: 1,
      maxFailures: 0.05,
      repeats,
      random: () => seededRandom(1),
      ...(options.control === undefined ? {} : { control: options.control }),
    });
    console.error(gateText(report));
    return gateExitCode(report.verdict);
  });
  return codes.includes(1) ? 1 : Math.max(0, ...codes);
}

/** 1 where an answer changed, 3 where texts could not be compared. */
function changedAnswers(comparison: RunsComparison): number {
  const measured = comparison.runs.flatMap(({ run, candidates }) =>
    candidates.filter(({ status }) => status === "measured").map((one) => ({ run, ...one }))
  );
  for (const { run, candidate, answers } of measured) {
    const why = answers.skipped ??
      (answers.compared === 0 ? "no answer of the same prompt and round in both" : null);
    if (why === null) continue;
    console.error(`can't tell whether the answers of ${candidate} in ${run} changed: ${why}`);
    return 3;
  }
  if (comparison.changed_answers > 0) console.error(`${comparison.changed_answers} answers changed`);
  return comparison.changed_answers > 0 ? 1 : 0;
}

const command = bareCommand("compare")
  .usage("BASELINE [RUN…] [options]")
  .argument(
    "<runs...>",
    "folders, run ids, or git revisions (REVISION:FOLDER, or REVISION with one run); one alone: against the latest run",
  )
  .addOptions([
    ...shared("out"),
    option(
      "--control <candidate>",
      "candidate that did not change between the runs (id or alias)",
      pathValue,
    ),
    epsilonOption(0.1),
    option(
      "--fail-on-regression",
      "exit code 1 when a candidate got slower or fails more, 3 when that can't be told",
    ),
    option(
      "--fail-on-changed-answers",
      "exit code 1 if an answer at temperature 0 changed, 3 when that can't be told",
    ),
    ...shared("json"),
  ]);

await runTask(command, compare);
