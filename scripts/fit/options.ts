/** The flags that `fit` and `models fit` share. */
import type { Option } from "commander";
import { decimal, option, type Shared, shared, wholeNumber } from "../options.ts";

/** The flags as parsed by commander. */
export interface FitSettings extends Shared<"registry" | "store" | "out" | "json"> {
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

export const fitOptions = (): Option[] => [
  option("--task <task>", "only models for this task"),
  option("--capability <tag>", "only models with this tag"),
  option(
    "--context <tokens>",
    "tokens of prompt and answer per user (default: 4096)",
    wholeNumber(256, 10_000_000),
  ),
  option("--kv <format>", "number format of keys and values (default: f16)", ["f16", "q8_0", "q4_0"]),
  option(
    "--prompt-tokens <n>",
    "length of the prompt whose time to the first token is predicted",
    wholeNumber(1, 1_000_000),
    512,
  ),
  option(
    "--threads <n>",
    "compute threads (default: all cores but one, as in the engine)",
    wholeNumber(1, 1024),
  ),
  option("--users <n>", "users at once", wholeNumber(1, 1000), 1),
  option("--ram <gb>", "predict for this much free memory", decimal({ above: 0, max: 100_000 })),
  option(
    "--vram <gb>",
    "predict for a graphics card with this much memory",
    decimal({ above: 0, max: 100_000 }),
  ),
  option(
    "--bandwidth <gb/s>",
    "predict for memory that delivers this many GB (10^9 bytes) per second",
    decimal({ above: 0, max: 1_000_000 }),
  ),
  option(
    "--min-speed <tokens/s>",
    "the recommended model decodes at least this fast",
    decimal({ above: 0, max: 100_000 }),
    8,
  ),
  option(
    "--probe [seconds]",
    "first measure the models that are here (default: for 20 seconds)",
    decimal({ min: 5, max: 3600 }),
  ),
  ...shared("registry", "store", "out", "json"),
];
