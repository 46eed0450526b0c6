/**
 * WHY: the embedded engine must not cost what llama.cpp gives. This measures how fast it decodes through its
 * own HTTP face, beside llama.cpp's own bench tool on the same file, in turns, so that a busy machine hits both.
 *
 *   deno task bench:engine                                     our engine alone
 *   deno task bench:engine --llama-bench ~/llama.cpp/build/bin/llama-bench
 *   deno task bench:engine --llama-bench … --threads 2 --rounds 10     both with two threads
 *
 * The figure is decode tokens a second: (tokens − 1) / (last − first token), as the client sees them arrive;
 * the tool's is its `tg` test, which samples nothing. Run it on a machine that does nothing else.
 */
import { Option } from "commander";
import {
  bareCommand,
  gpuOption,
  jsonOption,
  pathValue,
  printJson,
  registryOption,
  runCli,
  storeOption,
  wholeNumber,
} from "../scripts/cli.ts";

export interface EngineBenchSettings {
  readonly model: string;
  readonly llamaBench?: string;
  readonly rounds: number;
  readonly tokens: number;
  readonly threads?: number;
  readonly benchThreads?: number;
  readonly gpu: "auto" | "off" | "vulkan" | "cuda" | "metal";
  readonly registry: string;
  readonly store?: string;
  readonly json?: boolean;
}

const benchEngine = () =>
  bareCommand(
    "bench:engine",
    "Measures the embedded engine's decode speed beside llama.cpp's own bench tool.",
  )
    .addOption(new Option("--model <name>", "NAME or NAME:VARIANT of the registry").default("smollm2"))
    .addOption(
      new Option("--llama-bench <file>", "llama.cpp's llama-bench; left out: only our engine").argParser(
        pathValue,
      ),
    )
    .addOption(new Option("--rounds <n>", "times each, in turns").default(5).argParser(wholeNumber(1, 1000)))
    .addOption(new Option("--tokens <n>", "tokens of an answer").default(128).argParser(wholeNumber(2, 4000)))
    .addOption(
      new Option("--threads <n>", "compute threads of ours (default: the engine's own choice)")
        .argParser(wholeNumber(1, 1024)),
    )
    .addOption(
      new Option("--bench-threads <n>", "compute threads of the tool (default: as many as ours)")
        .argParser(wholeNumber(1, 1024)),
    )
    .addOption(gpuOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(jsonOption());

await runCli(async () => {
  const command = benchEngine();
  await command.parseAsync(Deno.args, { from: "user" });
  const settings = command.opts<EngineBenchSettings>();
  const { measureEngine, table } = await import("./engine_measure.ts");
  const result = await measureEngine(settings);
  if (settings.json) printJson(result);
  else console.log(table(result));
  return 0;
});
