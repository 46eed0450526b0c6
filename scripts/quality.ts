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
import { printJson, runSubcommand, subcommand } from "./cli.ts";
import { RUN_ARGUMENT, type Shared, shared } from "./options.ts";
import {
  passMarkOption,
  promptSetOf,
  qualityCommand,
  runFolder,
  runPromptsOption,
} from "./quality/run_folder.ts";

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
  qualityCommand("check", "Score the recorded answers of a run; write quality.json and answers.csv")
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

await runSubcommand("quality", help, {
  new: async (args) => await (await import("./quality/new.ts")).newJob(args),
  capture: async (args) => await (await import("./quality/capture.ts")).capture(args),
  check,
  errors: async (args) => await (await import("./quality/errors.ts")).errors(args),
  annotate: async (args) => await (await import("./quality/annotate.ts")).annotate(args),
  import: async (args) => await (await import("./quality/import.ts")).importSheet(args),
  judge: async (args) => await (await import("./quality/judge.ts")).judge(args),
});
