/** deno task quality judge: a second model rates a run's answers, after it has shown that it can. */
import { Option } from "commander";
import {
  decimal,
  endpointOption,
  jsonOption,
  outOption,
  pathValue,
  registryOption,
  storeOption,
  timeoutOption,
} from "../cli.ts";
import type { JudgeOptions } from "./run_judge.ts";
import { promptSetOf, qualityCommand, RUN_ARGUMENT, runFolder, runPromptsOption } from "./run_folder.ts";

function command() {
  return qualityCommand(
    "judge",
    "Test a model on anchored answers; if it passes, let it rate the answers of a run",
  )
    .argument("[run]", RUN_ARGUMENT)
    .addOption(
      new Option("--judge <model>", "the judge: ALIAS[:VARIANT][@ENDPOINT]").argParser(pathValue)
        .makeOptionMandatory(),
    )
    .addOption(endpointOption())
    .addOption(
      new Option("--rubric <name>", "what to rate (default: by the job's own rubric, else fluency)")
        .choices(["fluency", "accuracy", "job"]),
    )
    .addOption(
      new Option("--threshold <share>", "share of anchored pairs that the judge must rank correctly")
        .default(0.8)
        .argParser(decimal({ above: 0.5, max: 1 })),
    )
    .addOption(new Option("--replace", "replace the judge's earlier scores").default(false))
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
  const { judgeRun } = await import("./run_judge.ts");
  return await judgeRun(folder, await promptSetOf(folder, options.prompts), options);
}
