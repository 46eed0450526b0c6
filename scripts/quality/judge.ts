/** deno task quality judge: a second model rates a run's answers, after it has shown that it can. */
import { subcommand } from "../cli.ts";
import { decimal, option, pathValue, RUN_ARGUMENT, shared, timeoutOption } from "../options.ts";
import type { JudgeOptions } from "./run_judge.ts";
import { promptSetOf, qualityCommand, runFolder, runPromptsOption } from "./run_folder.ts";

const RUBRICS = ["fluency", "accuracy", "job"];

const command = qualityCommand(
  "judge",
  "Test a model on anchored answers; if it passes, let it rate the answers of a run",
)
  .argument("[run]", RUN_ARGUMENT)
  .addOptions([
    option("--judge <model>", "the judge: ALIAS[:VARIANT][@ENDPOINT]", pathValue).makeOptionMandatory(),
    ...shared("endpoint"),
    option("--rubric <name>", "what to rate (default: by the job's own rubric, else fluency)", RUBRICS),
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
  ]);

export const judge = subcommand(command, async (run: string | undefined, options: JudgeOptions) => {
  const folder = await runFolder(run, options.out);
  const { judgeRun } = await import("./run_judge.ts");
  return await judgeRun(folder, await promptSetOf(folder, options.prompts), options);
});
