/** The flags of `bench`, each with its environment variable, checked before anything else happens. */
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  bareCommand,
  type CaseSettings,
  decimal,
  endpointOption,
  gpuOption,
  jsonOption,
  maxTokensOption,
  modelsOption,
  openOption,
  outOption,
  promptOption,
  registryOption,
  roundsOption,
  seedOption,
  statedSettings,
  storeOption,
  switchValue,
  temperatureOption,
  timeoutOption,
  wholeNumber,
  withCases,
} from "../cli.ts";
import { PLAN_DEFAULTS } from "../../lib/bench/plan.ts";
import type { PrefixKind, StatedSetting } from "../../lib/bench/records.ts";
import { UserError } from "../../lib/errors.ts";

export interface Slo {
  readonly ttft_s: number | null;
  readonly e2e_s: number | null;
}

export interface BenchSettings extends CaseSettings {
  readonly endpoint: readonly string[] | undefined;
  readonly models: readonly string[] | undefined;
  /** Undefined: the default, which depends on the load. */
  readonly rounds: number | undefined;
  readonly warmup: number;
  readonly prompt: string | undefined;
  /** Each case padded to each of these lengths. */
  readonly promptTokens?: readonly number[] | undefined;
  /** Seconds that the run takes, instead of a number of rounds. */
  readonly for?: number | undefined;
  readonly maxTokens: number;
  /** Settings that were given explicitly: they take precedence over the job's own. */
  readonly stated?: readonly StatedSetting[];
  readonly temperature: number;
  readonly samplingSeed: number | undefined;
  readonly prefix: PrefixKind;
  readonly concurrency: number;
  readonly rate: number | undefined;
  readonly timeout: number;
  readonly slo: Slo | undefined;
  readonly fixedOutput: boolean;
  readonly stream: boolean;
  readonly gpu: "auto" | "off" | "vulkan" | "cuda" | "metal" | undefined;
  readonly registry: string;
  readonly store: string | undefined;
  readonly out: string;
  readonly resume: string | undefined;
  /** True: plan from a pilot; a text: from that run. */
  readonly plan?: string | true | undefined;
  readonly json: boolean;
}

/** Connections at a constant rate, where --concurrency states none. */
const CLIENTS_AT_A_RATE = 64;

export function benchCommand(): Command {
  const command = bareCommand("bench")
    .addOption(modelsOption())
    .addOption(endpointOption())
    .addOption(roundsOption(PLAN_DEFAULTS.rounds))
    .addOption(
      new Option("--for <time>", "measure for this long, e.g. 10m, instead of --rounds; finds a slowdown")
        .argParser(parseDuration),
    )
    .addOption(
      new Option("--warmup <n>", "maximum warm-up requests per candidate")
        .default(PLAN_DEFAULTS.warmup).argParser(
          wholeNumber(0, 1000),
        ),
    )
    .addOption(promptOption());
  return withCases(command)
    .addOption(
      new Option(
        "--prompt-tokens <lengths>",
        "pad each case to these prompt lengths, e.g. 256,1k,4k (k = 1024), and show figures by length",
      ).argParser(parseLengths),
    )
    .addOption(maxTokensOption(PLAN_DEFAULTS.maxTokens))
    .addOption(temperatureOption(PLAN_DEFAULTS.temperature))
    .addOption(seedOption())
    .addOption(
      new Option("--sampling-seed <n>", "seed sent with every request, for a temperature above 0")
        .argParser(wholeNumber(0, 2 ** 31 - 1)),
    )
    .addOption(
      new Option(
        "--prefix <kind>",
        "cold: the prompt cache never helps; warm: the same prompt was sent right before",
      )
        .choices(["cold", "warm"]).default("cold"),
    )
    .addOption(
      new Option("--concurrency <n>", "clients at once (default: 1; 64 with --rate)").argParser(
        wholeNumber(1, 4096),
      ),
    )
    .addOption(
      new Option("--rate <per second>", "requests per second, however long answers take")
        .argParser(decimal({ above: 0, max: 100_000 })),
    )
    .addOption(timeoutOption(PLAN_DEFAULTS.timeoutS))
    .addOption(
      new Option("--slo <limits>", "limits for goodput, e.g. ttft=500ms,e2e=3s").argParser(parseSlo),
    )
    .addOption(
      new Option("--fixed-output", "request answers of exactly --max-tokens, where the endpoint supports it")
        .default(false),
    )
    .addOption(
      new Option("--stream <1|0>", "0 requests whole answers: no time to first token").env("BENCH_STREAM")
        .default(true).argParser(switchValue),
    )
    .addOption(gpuOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(outOption())
    .addOption(
      new Option("--resume <run>", "finish a run that ended early: its folder, or its name below --out"),
    )
    .addOption(
      new Option(
        "--plan [run]",
        "say what a run can show, in how many cases and minutes, from a past run or a pilot",
      ),
    )
    .addOption(openOption())
    .addOption(jsonOption().default(false))
    .addHelpText(
      "after",
      `
A flag overrides its environment variable, which overrides models.json, which overrides the default.
FOUNDRY_LOCAL_ENDPOINT (or BASE_URL) names a service and API_KEY its key; with --endpoint, API_KEY is sent there.
Without --models: the models of the named or found services, else the default models of the embedded engine.
A candidate can include engine settings: smollm2:threads=1, or smollm2:q4_1+context=2048+gpu=off.
Exit codes: 0 done, 1 nothing could be measured or the disk is full, 2 wrong usage or input, 130 interrupted.`,
    );
}

/**
 * Seconds from a time such as `90s`, `10m` or `1.5h`.
 *
 * @throws {InvalidArgumentError} naming what it takes
 */
function parseDuration(text: string): number {
  const [, number, unit = ""] = /^\s*(\d+(?:\.\d+)?)(s|m|h)\s*$/.exec(text) ?? [];
  const seconds = Number(number ?? NaN) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
  if (seconds >= 1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("Give a time from 1s to 24h, as in 90s, 10m or 1.5h.");
}

/** Without --prompts: a long prompt takes a while, and lengths are compared, not cases. */
const CASES_BY_LENGTH = 6;

/**
 * Prompt lengths such as `256,1k,8k`, ascending.
 *
 * @throws {InvalidArgumentError} naming what it takes
 */
function parseLengths(text: string): number[] {
  const lengths = text.split(",").map((part) => {
    const [, number, k] = /^\s*(\d+(?:\.\d+)?)(k?)\s*$/i.exec(part) ?? [];
    const tokens = Math.round(Number(number ?? NaN) * (k ? 1024 : 1));
    if (tokens >= 64 && tokens <= 1_000_000) return tokens;
    throw new InvalidArgumentError("Give prompt lengths of at least 64 tokens, as in 256,1k,4k.");
  });
  return [...new Set(lengths)].sort((a, b) => a - b);
}

/**
 * Limits such as `ttft=500ms,e2e=3s`.
 *
 * @throws {InvalidArgumentError} naming what it takes
 */
export function parseSlo(text: string): Slo {
  const limits = { ttft: null as number | null, e2e: null as number | null };
  for (const part of text.split(",")) {
    const [, name, number, unit] = /^\s*(ttft|e2e)\s*=\s*(\d+(?:\.\d+)?)\s*(ms|s)\s*$/.exec(part) ?? [];
    if ((name !== "ttft" && name !== "e2e") || number === undefined || Number(number) === 0) {
      throw new InvalidArgumentError("Give limits as in ttft=500ms,e2e=3s (either or both, above 0).");
    }
    limits[name] = unit === "ms" ? Number(number) / 1000 : Number(number);
  }
  return { ttft_s: limits.ttft, e2e_s: limits.e2e };
}

/** @throws {UserError} where options contradict each other */
export function benchSettings(command: Command): BenchSettings {
  const given = command.opts<Omit<BenchSettings, "concurrency"> & { concurrency: number | undefined }>();
  if (command.args.length > 0) {
    throw new UserError(
      `bench takes no arguments, only options: "${command.args.join(" ")}" (models go into --models)`,
    );
  }
  const from = (name: string) => command.getOptionValueSource(name);
  if (from("prompt") === "cli" && from("prompts") === "cli") {
    throw new UserError("--prompt and --prompts exclude each other: give one prompt, or a prompt set");
  }
  if (given.for !== undefined && (from("rounds") === "cli" || given.resume !== undefined)) {
    throw new UserError("--for sets how long the run takes: leave out --rounds and --resume");
  }
  // A flag comes before a variable: --prompts before BENCH_PROMPT.
  const prompt = from("prompt") === "env" && from("prompts") === "cli" ? undefined : given.prompt;
  const drawn = given.limit ?? given.draw ?? given.shortest;
  const few = given.promptTokens !== undefined && from("prompts") === "default" && drawn === undefined;
  return {
    ...given,
    stated: statedSettings(command),
    prompt,
    ...(few ? { limit: CASES_BY_LENGTH } : {}),
    rounds: from("rounds") === "default" ? undefined : given.rounds,
    concurrency: given.concurrency ?? (given.rate === undefined ? 1 : CLIENTS_AT_A_RATE),
  };
}
