/**
 * Mirror of Workshop/samples/session03/benchmark_oss_models.py: a warm-up, then rounds of one prompt per model,
 * and a JSON list of {alias, latency_avg, latency_p95, tokens_per_sec_avg, rounds, first_token_latency_avg?}.
 * Same variables, same defaults: BENCH_MODELS, BENCH_ROUNDS, BENCH_PROMPT, BENCH_STREAM, FOUNDRY_LOCAL_ENDPOINT.
 *
 * What the original got wrong, and what changed in the numbers (docs/workshop.md has both side by side):
 * - It divides prompt and answer tokens together by the time: a prompt of 400 words makes a model that writes
 *   76 tokens/s look like 583. Here only generated tokens count, so the figure is lower.
 * - From the second round on, the engine has the prompt in its cache. Here every prompt is new by default
 *   (`prefix: cold`), so latency and first token are higher; `--prefix warm` measures the other case.
 * - With BENCH_STREAM=1 the first token comes from another request than the latency. Here it is the same one.
 * - Three rounds carry no p95. The same value (numpy's) is printed, with a `p95_note`.
 * - A model that fails vanishes. Here it keeps its row, with `status` and `reason`.
 * - Failed requests are retried inside the timing, up to five more times and with a pause. Here never.
 * - Models run one after the other, on the wall clock. Here they take turns, on a monotonic clock, and a busy
 *   machine is noticed.
 * - BENCH_ROUNDS=three is a stack trace. Here it is one line.
 *
 *   deno task workshop:benchmark_oss_models
 *   BENCH_MODELS=smollm2-135m,gemma-3-270m BENCH_ROUNDS=20 deno task workshop:benchmark_oss_models
 */
import { printJson, runTask } from "../cli.ts";
import { modelsOption, promptOption, roundsOption } from "../options.ts";
import { benchmark, type BenchmarkOptions, mirrorCommand, smallInstead, streamOption } from "./measuring.ts";

const command = mirrorCommand("benchmark_oss_models")
  .addOptions([
    modelsOption().default(["phi-4-mini", "qwen2.5-0.5b"]),
    roundsOption(3),
    promptOption().default("Explain retrieval augmented generation briefly."),
    streamOption(),
  ]);

await runTask(command, async (options: BenchmarkOptions) => {
  console.error(`[INFO] Benchmarking ${options.models.length} models with ${options.rounds} rounds each`);
  const rows = await benchmark(options, smallInstead(command, "models", "BENCH_MODELS"));
  console.error("[BENCHMARK RESULTS]");
  printJson(rows);
  return rows.some((row) => row.rounds_ok > 0) ? 0 : 1;
});
