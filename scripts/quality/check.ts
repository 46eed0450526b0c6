/** deno task quality check: scores the recorded answers of a run again, without asking any model. */
import { jsonOption, outOption, printJson } from "../cli.ts";
import { passMarkOption, promptSetOf, qualityCommand, runFolder, runPromptsOption } from "./run_folder.ts";
import { scoreRun } from "./score.ts";

export async function check(args: readonly string[]): Promise<number> {
  const command = qualityCommand(
    "check",
    "Scores the recorded answers of a run; writes quality.json and answers.csv.",
  )
    .argument("<run>", "a run: its folder, or its name below --out")
    .addOption(runPromptsOption())
    .addOption(passMarkOption())
    .addOption(outOption())
    .addOption(jsonOption().default(false));
  await command.parseAsync([...args], { from: "user" });
  const { prompts, passMark, out, json } = command.opts<
    { prompts?: string; passMark: number; out: string; json: boolean }
  >();
  const folder = await runFolder(command.args[0], out);
  const { report, show } = await scoreRun(folder, await promptSetOf(folder, prompts), passMark);
  if (json) printJson(report);
  else show();
  return 0;
}
