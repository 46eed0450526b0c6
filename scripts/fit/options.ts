/** The flags that `fit` and `models fit` share. */
import { type Command, Option } from "commander";
import { decimal, jsonOption, outOption, registryOption, storeOption, wholeNumber } from "../cli.ts";

/** The flags as parsed by commander. */
export interface FitSettings {
  readonly registry: string;
  readonly store?: string;
  readonly out: string;
  readonly json?: boolean;
  readonly task?: string;
  readonly capability?: string;
  readonly context?: number;
  readonly kv?: "f16" | "q8_0" | "q4_0";
  readonly promptTokens: number;
  readonly threads?: number;
  readonly users: number;
  readonly ram?: number;
  readonly vram?: number;
  readonly bandwidth?: number;
  readonly minSpeed: number;
  /** Seconds; true where the flag has no value. */
  readonly probe?: number | true;
}

const option = (flags: string, description: string) => new Option(flags, description);

/** Adds the flags of `fit` to a command. */
export function fitOptions(command: Command): Command {
  return command
    .addOption(option("--task <task>", "only models for this task"))
    .addOption(option("--capability <tag>", "only models with this tag"))
    .addOption(
      option("--context <tokens>", "tokens of prompt and answer per user (default: 4096)")
        .argParser(wholeNumber(256, 10_000_000)),
    )
    .addOption(
      option("--kv <format>", "number format of keys and values (default: f16)").choices([
        "f16",
        "q8_0",
        "q4_0",
      ]),
    )
    .addOption(
      option("--prompt-tokens <n>", "length of the prompt whose time to the first token is predicted")
        .default(512).argParser(wholeNumber(1, 1_000_000)),
    )
    .addOption(
      option("--threads <n>", "compute threads (default: all cores but one, as in the engine)")
        .argParser(wholeNumber(1, 1024)),
    )
    .addOption(option("--users <n>", "users at once").default(1).argParser(wholeNumber(1, 1000)))
    .addOption(
      option("--ram <gb>", "predict for this much free memory").argParser(
        decimal({ above: 0, max: 100_000 }),
      ),
    )
    .addOption(
      option("--vram <gb>", "predict for a graphics card with this much memory").argParser(
        decimal({ above: 0, max: 100_000 }),
      ),
    )
    .addOption(
      option("--bandwidth <gb/s>", "predict for memory that delivers this many GB (10^9 bytes) per second")
        .argParser(
          decimal({ above: 0, max: 1_000_000 }),
        ),
    )
    .addOption(
      option("--min-speed <tokens/s>", "the recommended model decodes at least this fast").default(8)
        .argParser(
          decimal({ above: 0, max: 100_000 }),
        ),
    )
    .addOption(
      option("--probe [seconds]", "first measure the models that are here (default: for 20 seconds)")
        .argParser(
          decimal({ min: 5, max: 3600 }),
        ),
    )
    .addOption(registryOption()).addOption(storeOption()).addOption(outOption()).addOption(jsonOption());
}
