/** deno task quality capture: answers kept, scored and written as JSONL and CSV. The run itself is bench's. */
import { join } from "node:path";
import type { BenchSettings } from "../bench/options.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import {
  caseOptions,
  casesOf,
  maxTokensOption,
  option,
  roundsOption,
  shared,
  statedSettings,
  temperatureOption,
  timeoutOption,
} from "../options.ts";
import { passMarkOption, promptsFile, runFolder } from "./run_folder.ts";

/**
 * The settings of a bench run that capture fixes: answers are scored, so nothing is added to a prompt or sent before
 * it.
 */
const fixed = {
  warmup: 0,
  prefix: "as is",
  concurrency: 1,
  stream: true,
} as const;

type CaptureSettings = Omit<BenchSettings, keyof typeof fixed> & { readonly passMark: number };

const command = bareCommand(
  "quality capture",
  "Send every prompt to every candidate, and keep the answers with their samples",
).addOptions([
  ...shared("models", "endpoint"),
  ...caseOptions("prompts/meeting_notes.json"),
  roundsOption(1),
  maxTokensOption(384),
  temperatureOption(0),
  ...shared("samplingSeed", "seed"),
  timeoutOption(300),
  passMarkOption(),
  ...shared("gpu", "registry", "store", "out"),
  option("--resume <run>", "finish a capture that ended early"),
  ...shared("open", "json"),
]);

export const capture = subcommand(command, async (given: CaptureSettings) => {
  const settings: BenchSettings = { ...given, ...fixed, stated: statedSettings(command) };
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
  else await show(given.open);
  if (interrupted) return 130;
  return summary.candidates.some(({ requests }) => requests.ok > 0) ? 0 : 1;
});
