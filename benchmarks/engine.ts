/**
 * The embedded engine must not waste what llama.cpp gives. This measures how fast it decodes through its
 * own HTTP interface. llama-bench, llama.cpp's own tool, runs on the same file in turns, so that a busy
 * machine slows both; with --constrained, answers that a JSON schema constrains run in turns with free ones.
 *
 *   deno task bench:engine                                     the engine alone
 *   deno task bench:engine --constrained --model gemma-3-270m  what a JSON schema costs per token
 *   deno task bench:engine --llama-bench ~/llama.cpp/build/bin/llama-bench
 *   deno task bench:engine --llama-bench … --threads 2 --rounds 10     both with two threads
 *
 * The figure is decode tokens per second: (tokens − 1) / (last − first token), as the client sees them
 * arrive; llama-bench's is its `tg` test, which samples nothing. Run it on a machine that does nothing else.
 */
import type { EngineBenchSettings } from "./engine_measure.ts";
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { option, pathValue, shared, wholeNumber } from "../scripts/options.ts";

const command = bareCommand("bench:engine")
  .addOptions([
    option("--model <name>", "NAME or NAME:VARIANT of the registry").default("smollm2"),
    option(
      "--llama-bench <file>",
      "path of llama.cpp's llama-bench (default: the engine alone)",
      pathValue,
    ),
    option("--constrained", "also measure answers that a JSON schema constrains"),
    option("--rounds <n>", "rounds; each runs everything once, in turns", wholeNumber(1, 1000), 5),
    option("--tokens <n>", "tokens per answer", wholeNumber(2, 4000), 128),
    option(
      "--threads <n>",
      "compute threads of the engine (default: its own choice)",
      wholeNumber(1, 1024),
    ),
    option(
      "--bench-threads <n>",
      "compute threads of llama-bench (default: as many as the engine's)",
      wholeNumber(1, 1024),
    ),
    ...shared("gpu", "registry", "store", "json"),
  ]);

await runTask(command, async (settings: EngineBenchSettings) => {
  const { measureEngine, engineBenchText } = await import("./engine_measure.ts");
  const result = await measureEngine(settings);
  if (settings.json) printJson(result);
  else console.log(engineBenchText(result));
  return 0;
});
