/**
 * Speed alone is no basis for choosing a model. This captures answers, scores them by checks, lets people
 * rate them blind, and lets a model judge only after it has shown that it can.
 *
 * deno task quality new tickets.csv                    a job file of a table of cases
 * deno task quality capture                            the meeting-notes scenario, every candidate, temperature 0
 * deno task quality check RUN                          score recorded answers again
 * deno task quality errors RUN                         what is not right, grouped, beside what was expected
 * deno task quality annotate RUN --annotator ana       a blinded sheet; with --page, a page with keyboard scoring
 * deno task quality import RUN reports/…/ana-fluency.csv
 * deno task quality judge RUN --judge MODEL            tried on anchored answers first
 */
import { bareCommand, printJson, runSubcommand, subcommand } from "./cli.ts";
import { decimal, option, pathValue, RUN_ARGUMENT, type Shared, shared, timeoutOption } from "./options.ts";
import type { JudgeOptions } from "./quality/run_judge.ts";
import { passMarkOption, promptSetOf, runFolder, runPromptsOption } from "./quality/run_folder.ts";

const help = `Usage: deno task quality <new|capture|check|errors|annotate|import|judge> [options]

  new FILE             make a job file from a table of cases
  capture              send every prompt to every candidate, keep and score the answers
  check [RUN]          score a run's answers again
  errors [RUN]         show the answers that are not right, grouped by state and check
  annotate [RUN]       write a blinded, shuffled sheet for people, or serve it as a page (--page)
  import RUN SHEET     read a filled-in sheet, and show how far people agree
  judge [RUN]          let a model rate the answers, if it passes a test on anchored answers

deno task quality <command> --help lists all options.`;

interface CheckOptions extends Shared<"out" | "json"> {
  readonly prompts?: string;
  readonly passMark: number;
}

/** Scores the answers of a run again without running a model. */
const check = subcommand(
  bareCommand("quality check", "Score the recorded answers of a run; write quality.json and answers.csv")
    .argument("[run]", RUN_ARGUMENT)
    .addOptions([runPromptsOption(), passMarkOption(), ...shared("out", "json")]),
  async (run: string | undefined, { prompts, passMark, out, json }: CheckOptions) => {
    const folder = await runFolder(run, out);
    const { scoreRun } = await import("./quality/score.ts");
    const { report, show } = await scoreRun(folder, await promptSetOf(folder, prompts), passMark);
    if (json) printJson(report);
    else await show();
    return 0;
  },
);

/** Lets a second model rate a run's answers, after it has shown that it can. */
const judge = subcommand(
  bareCommand(
    "quality judge",
    "Test a model on anchored answers; if it passes, let it rate the answers of a run",
  )
    .argument("[run]", RUN_ARGUMENT)
    .addOptions([
      option("--judge <model>", "the judge: ALIAS[:VARIANT][@ENDPOINT]", pathValue).makeOptionMandatory(),
      ...shared("endpoint"),
      option("--rubric <name>", "what to rate (default: by the job's own rubric, else fluency)", [
        "fluency",
        "accuracy",
        "job",
      ]),
      option(
        "--threshold <share>",
        "share of anchored pairs that the judge must rank correctly",
        decimal({ above: 0.5, max: 1 }),
        0.8,
      ),
      option("--replace", "replace the judge's earlier scores"),
      runPromptsOption(),
      timeoutOption(300),
      ...shared("registry", "store", "out", "json"),
    ]),
  async (run: string | undefined, options: JudgeOptions) => {
    const folder = await runFolder(run, options.out);
    const { judgeRun } = await import("./quality/run_judge.ts");
    return await judgeRun(folder, await promptSetOf(folder, options.prompts), options);
  },
);

await runSubcommand("quality", help, {
  new: async (args) => await (await import("./quality/new.ts")).newJob(args),
  capture: async (args) => await (await import("./quality/capture.ts")).capture(args),
  check,
  errors: async (args) => await (await import("./quality/errors.ts")).errors(args),
  annotate: async (args) => await (await import("./quality/annotate.ts")).annotate(args),
  import: async (args) => await (await import("./quality/import.ts")).importSheet(args),
  judge,
});
