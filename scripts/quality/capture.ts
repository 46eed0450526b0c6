/** deno task quality capture: answers kept, scored and written as JSONL and CSV. The run itself is bench's. */
import { join } from "node:path";
import { Option } from "commander";
import { UserError } from "../../lib/errors.ts";
import type { BenchSettings } from "../bench/options.ts";
import {
  casesOf,
  endpointOption,
  gpuOption,
  jsonOption,
  maxTokensOption,
  modelsOption,
  openOption,
  outOption,
  printJson,
  registryOption,
  roundsOption,
  seedOption,
  statedSettings,
  storeOption,
  temperatureOption,
  timeoutOption,
  wholeNumber,
  withCases,
} from "../cli.ts";
import { passMarkOption, promptsFile, qualityCommand, runFolder } from "./run_folder.ts";

function command() {
  const named = qualityCommand(
    "capture",
    "Send every prompt to every candidate, and keep the answers with their samples",
  )
    .addOption(modelsOption())
    .addOption(endpointOption());
  return withCases(named, "prompts/meeting_notes.json")
    .addOption(roundsOption(1))
    .addOption(maxTokensOption(384))
    .addOption(temperatureOption(0))
    .addOption(
      new Option("--sampling-seed <n>", "seed sent with every request, for a temperature above 0")
        .argParser(wholeNumber(0, 2 ** 31 - 1)),
    )
    .addOption(seedOption())
    .addOption(timeoutOption(300))
    .addOption(passMarkOption())
    .addOption(gpuOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(outOption())
    .addOption(new Option("--resume <run>", "finish a capture that ended early"))
    .addOption(openOption())
    .addOption(jsonOption().default(false));
}

/**
 * The settings of a bench run that capture fixes: answers are scored, so nothing is added to a prompt or sent before
 * it.
 */
const fixed = {
  warmup: 0,
  prompt: undefined,
  prefix: "as is",
  concurrency: 1,
  rate: undefined,
  slo: undefined,
  fixedOutput: false,
  stream: true,
} as const;

export async function capture(args: readonly string[]): Promise<number> {
  const parsed = command();
  await parsed.parseAsync([...args], { from: "user" });
  if (parsed.args.length > 0) {
    throw new UserError(`capture takes no arguments, only options: "${parsed.args.join(" ")}"`);
  }
  const given = parsed.opts<Omit<BenchSettings, keyof typeof fixed> & { passMark: number }>();
  const settings: BenchSettings = { ...given, ...fixed, stated: statedSettings(parsed) };
  // A resumed run has its cases in its folder.
  const { loadPromptSet } = await import("../../lib/prompts/prompts.ts");
  const set = given.resume === undefined
    ? await casesOf(settings)
    : await loadPromptSet(join(await runFolder(given.resume, given.out), promptsFile));
  const { scoreRun } = await import("./score.ts");
  const { execute } = await import("../bench/execute.ts");
  const { folder, summary, interrupted } = await execute(settings, set);
  const { report, show } = await scoreRun(folder, set, given.passMark);
  if (given.json) printJson(report ?? { run_id: summary.run_id, folder, answers: "not scored: no checks" });
  else await show(parsed.opts<{ open?: boolean }>().open);
  if (interrupted) return 130;
  return summary.candidates.some(({ requests }) => requests.ok > 0) ? 0 : 1;
}
