/**
 * Mirror of Workshop/scripts/export_benchmark_markdown.py: the benchmark as a Markdown table (Model, Avg Latency (s),
 * p95 (s), Tokens/sec, Rounds, First Token (s)) and as JSON. Same flags: --models --prompt --rounds --output --json
 * --fail-on-empty; same variables: BENCH_STREAM, FOUNDRY_LOCAL_ENDPOINT.
 *
 * What the original got wrong, and what changed in the numbers:
 * - It never ran: a comma is missing in its table, so Python refuses the file.
 * - Its figures are those of benchmark_oss_models.py, with the same faults: see that mirror.
 * - A model that fails is missing from both files, and with no model left the exit code is still 0. Here the row
 *   stays, with its reason, and nothing measured ends with 1; --fail-on-empty is accepted and changes nothing.
 * - A first token of 0.00 s or a rate of 0 is printed as "-", as if it were not known. Here "-" is "not known".
 *
 *   deno task workshop:export_benchmark_markdown --models smollm2-135m,gemma-3-270m --prompt "Explain RAG briefly."
 */
import { commaList, modelsOption, promptOption, roundsOption, runCli, switchValue } from "../cli.ts";
import { Option } from "commander";
import { benchmarkRows, markdownTable } from "../../lib/report/workshop_fields.ts";
import { atHand, measureModels, type MeasuringOptions, mirrorCommand } from "./measuring.ts";

interface Options extends MeasuringOptions {
  readonly models: string[];
  readonly prompt: string;
  readonly rounds: number;
  readonly output: string;
  readonly json: string;
  readonly stream: boolean;
}

await runCli(async () => {
  const options = mirrorCommand(
    "export_benchmark_markdown",
    "Benchmarks models and writes a Markdown table and JSON.",
  )
    .addOption(modelsOption().argParser(commaList).makeOptionMandatory())
    .addOption(promptOption().makeOptionMandatory())
    .addOption(roundsOption(3))
    .option("--output <file>", "the Markdown file", "benchmark_report.md")
    .option("--json <file>", "the JSON file", "benchmark_report.json")
    .option("--fail-on-empty", "accepted for the original's sake: nothing measured always ends with 1")
    .addOption(
      new Option("--stream <0|1>", "add the first token's column").env("BENCH_STREAM").default(false)
        .argParser(switchValue),
    )
    .parse(Deno.args, { from: "user" })
    .opts<Options>();

  const { singlePrompt } = await import("../../lib/prompts/prompts.ts");
  const { summary, run, disturbed } = await measureModels(
    options.models,
    {
      prompts: singlePrompt(options.prompt),
      rounds: options.rounds,
      warmup: 1,
      maxTokens: 120,
      temperature: 0.2,
      prefix: options.prefix,
      seed: 1,
      timeoutS: 300,
    },
    options,
    atHand("--models"),
  );
  const names = options.models;
  const rows = benchmarkRows(summary, run.candidates, { names, disturbed, stream: options.stream });
  await writeText(options.json, `${JSON.stringify(rows, null, 2)}\n`);
  await writeText(options.output, markdownTable(rows));
  console.log(`Wrote ${options.output} and ${options.json}`);
  return rows.some((row) => row.rounds_ok > 0) ? 0 : 1;
});

async function writeText(path: string, text: string): Promise<void> {
  const { reasonOf, UserError } = await import("../../lib/errors.ts");
  try {
    await Deno.writeTextFile(path, text);
  } catch (error) {
    throw new UserError(`can't write ${path}: ${reasonOf(error)}: give another file`, 1, { cause: error });
  }
}
