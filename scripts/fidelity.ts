/**
 * "Is Q4 as good as Q8?" has no answer in general, and one for your text and your job. Two variants or
 * settings of a model read the same text, and their predictions are compared token by token, over the whole
 * vocabulary; with --prompts both also do a job, and a test says whether the answers are as good.
 *
 * deno task fidelity smollm2-135m smollm2-135m:kv=q4_0
 * deno task fidelity model-Q8_0.gguf model-Q4_K_M.gguf --text letters.txt
 * deno task fidelity smollm2-135m smollm2-135m:flash=off --prompts prompts/four_kinds.json
 */
import { join } from "node:path";
import type { Fidelity } from "../lib/results/fidelity.ts";
import { bareCommand, printJson, runNamed, runTask, sayNext, shippedFile, showPage } from "./cli.ts";
import {
  epsilonOption,
  maxTokensOption,
  option,
  pathValue,
  type Shared,
  shared,
  shippedPath,
  timeoutOption,
  wholeNumber,
} from "./options.ts";

interface Settings
  extends Shared<"epsilon" | "maxTokens" | "timeout" | "registry" | "store" | "out" | "open" | "json"> {
  readonly text: string;
  readonly block: number;
  readonly tokens: number;
  readonly prompts?: string;
}

async function fidelity(first: string, second: string, settings: Settings): Promise<number> {
  const names = [first, second] as const;
  const { compareOnJob, compareTexts } = await import("../lib/quality/fidelity_session.ts");
  const { loadPromptSet } = await import("../lib/prompts/prompts.ts");
  const { readTextFile } = await import("../lib/text_file.ts");
  const { sessionResources } = await import("./session_resources.ts");
  const { shownProgress } = await import("./progress.ts");
  const results = await import("../lib/results/fidelity.ts");
  const text = await readTextFile(settings.text, "the text");
  const set = settings.prompts === undefined ? null : await loadPromptSet(settings.prompts);
  const resources = await sessionResources(settings);
  const { ids, fidelity } = await compareTexts(names, {
    text,
    blockTokens: settings.block,
    mostTokens: settings.tokens,
    onBlock: (done, all) => {
      if (all > 0 && (done === 0 || done === all || done % 4 === 0)) {
        console.error(`Read ${done} of ${all} blocks of ${settings.block} tokens with both.`);
      }
    },
  }, resources);
  const progress = shownProgress();
  const job = set === null ? null : await compareOnJob(names, {
    set,
    epsilon: settings.epsilon,
    maxTokens: settings.maxTokens,
    timeoutS: settings.timeout,
    out: settings.out,
    now: new Date(),
    random: Math.random,
    onEvent: progress.event,
  }, resources).finally(() => progress.stop());
  const file = settings.text.replace(/^.*[\\/]/, "");
  const result = new results.Fidelity({
    schema_version: 1,
    candidates: ids,
    text: { file, ...fidelity },
    job: job?.fidelity ?? null,
  });
  if (settings.json) printJson(result.report);
  else await showResult(result, job?.folder ?? null, settings.open);
  return job !== null && job.fidelity === null ? 1 : 0;
}

/** @param folder of the run of the job; null without a job */
async function showResult(result: Fidelity, folder: string | null, open: boolean | undefined): Promise<void> {
  const { say } = await import("./terminal.ts");
  say(String(result.table()), "  ");
  if (result.report.text.furthest.length > 0) say(`\n${result.furthest()}`, "  ");
  if (folder !== null) {
    say(`\n${result.verdict()}`, "  ");
    await showPage("Report", join(folder, "report.html"), open);
  }
  console.log();
  sayNext(
    folder === null
      ? "the same command with --prompts prompts/meeting_notes.json compares their answers on a job"
      : `deno task quality errors${await runNamed(folder)} shows the answers that are not right`,
  );
}

const command = bareCommand("fidelity")
  .usage("A B [options]")
  .argument("<a>", "the candidate that sets the standard: ALIAS[:PARTS] or a .gguf file")
  .argument(
    "<b>",
    "the candidate that is compared with it: another variant, file or setting of the same model",
  )
  .addOptions([
    option("--text <file>", "text that both models read", pathValue)
      .default(shippedFile("prompts/fidelity.txt"), '"prompts/fidelity.txt"'),
    option(
      "--block <tokens>",
      "tokens per block; the second half of each is compared",
      wholeNumber(32, 8192),
      512,
    ),
    option("--tokens <n>", "largest number of tokens to read", wholeNumber(64, 10_000_000), 16_384),
    option("--prompts <file>", "also a job with checks: are the answers as good?", shippedPath),
    epsilonOption(0.1),
    maxTokensOption(384),
    timeoutOption(300),
    ...shared("registry", "store", "out", "open", "json"),
  ]);

await runTask(command, fidelity);
