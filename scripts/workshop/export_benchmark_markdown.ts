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
import { reasonOf, UserError } from "../../lib/errors.ts";
import { workshopMarkdown } from "../../lib/report/workshop_fields.ts";
import { runTask } from "../cli.ts";
import { modelsOption, option, promptOption, roundsOption } from "../options.ts";
import { benchmark, type BenchmarkOptions, mirrorCommand, smallInstead, streamOption } from "./measuring.ts";

interface Options extends BenchmarkOptions {
  readonly output: string;
  readonly json: string;
}

const command = mirrorCommand("export_benchmark_markdown")
  .addOptions([
    modelsOption().default(["phi-4-mini", "qwen2.5-0.5b"]),
    promptOption().default("Explain retrieval augmented generation briefly."),
    roundsOption(3),
    streamOption(),
    option("--output <file>", "the Markdown file").default("benchmark_report.md"),
    option("--json <file>", "the JSON file").default("benchmark_report.json"),
    option("--fail-on-empty", "accepted for compatibility: exit code 1 if nothing was measured"),
  ]);

await runTask(command, async (options: Options) => {
  const rows = await benchmark(options, smallInstead(command, "models", "BENCH_MODELS"));
  await writeText(options.json, `${JSON.stringify(rows, null, 2)}\n`);
  await writeText(options.output, workshopMarkdown(rows));
  console.log(`Wrote ${options.output} and ${options.json}`);
  return rows.some((row) => row.rounds_ok > 0) ? 0 : 1;
});

async function writeText(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text);
  } catch (error) {
    throw new UserError(`can't write ${path}: ${reasonOf(error)}: give another file`, 1, { cause: error });
  }
}
