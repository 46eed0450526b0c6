/** The flags of `bench`, each with its environment variable, checked before anything else happens. */
import { type Command, InvalidArgumentError } from "commander";
import { PLAN_DEFAULTS } from "../../lib/bench/plan.ts";
import type { PrefixKind, StatedSetting } from "../../lib/bench/records.ts";
import { UserError } from "../../lib/errors.ts";
import { bareCommand } from "../cli.ts";
import {
  caseOptions,
  type CaseSettings,
  decimal,
  maxTokensOption,
  option,
  parseSlo,
  prefixOption,
  roundsOption,
  type Shared,
  shared,
  type Slo,
  statedSettings,
  switchValue,
  temperatureOption,
  timeoutOption,
  wholeNumber,
} from "../options.ts";

type SharedByBench = Shared<
  | "models"
  | "endpoint"
  | "prompt"
  | "maxTokens"
  | "temperature"
  | "samplingSeed"
  | "timeout"
  | "gpu"
  | "registry"
  | "store"
  | "out"
  | "open"
  | "json"
>;

export interface BenchSettings extends CaseSettings, SharedByBench {
  /** Undefined: the default, which depends on the load. */
  readonly rounds: number | undefined;
  readonly warmup: number;
  /** Each case padded to each of these lengths. */
  readonly promptTokens?: readonly number[] | undefined;
  /** Seconds that the run takes, instead of a number of rounds. */
  readonly for?: number | undefined;
  /** Settings that were given explicitly: they take precedence over the job's own. */
  readonly stated?: readonly StatedSetting[];
  readonly prefix: PrefixKind;
  readonly concurrency: number;
  readonly rate?: number | undefined;
  readonly slo?: Slo | undefined;
  readonly fixedOutput?: boolean | undefined;
  readonly stream: boolean;
  readonly resume?: string | undefined;
  /** True: plan from a pilot; a text: from that run. */
  readonly plan?: string | true | undefined;
}

/** Connections at a constant rate, where --concurrency states none. */
const CLIENTS_AT_A_RATE = 64;

export const benchCommand = () =>
  bareCommand("bench").addOptions([
    ...shared("models", "endpoint"),
    roundsOption(PLAN_DEFAULTS.rounds),
    option(
      "--for <time>",
      "measure for this long, e.g. 10m, instead of --rounds; finds a slowdown",
      parseDuration,
    ),
    option(
      "--warmup <n>",
      "maximum warm-up requests per candidate",
      wholeNumber(0, 1000),
      PLAN_DEFAULTS.warmup,
    ),
    ...shared("prompt"),
    ...caseOptions(),
    option(
      "--prompt-tokens <lengths>",
      "pad each case to these prompt lengths, e.g. 256,1k,4k (k = 1024), and show figures by length",
      parseLengths,
    ),
    maxTokensOption(PLAN_DEFAULTS.maxTokens),
    temperatureOption(PLAN_DEFAULTS.temperature),
    ...shared("seed", "samplingSeed"),
    prefixOption(),
    option("--concurrency <n>", "clients at once (default: 1; 64 with --rate)", wholeNumber(1, 4096)),
    option(
      "--rate <per second>",
      "requests per second, however long answers take",
      decimal({ above: 0, max: 100_000 }),
    ),
    timeoutOption(PLAN_DEFAULTS.timeoutS),
    option("--slo <limits>", "limits for goodput, e.g. ttft=500ms,e2e=3s", parseSlo),
    option("--fixed-output", "request answers of exactly --max-tokens, where the endpoint supports it"),
    option("--stream <1|0>", "0 requests whole answers: no time to first token", switchValue, true)
      .env("BENCH_STREAM"),
    ...shared("gpu", "registry", "store", "out"),
    option("--resume <run>", "finish a run that ended early: its folder, or its name below --out"),
    option(
      "--plan [run]",
      "say what a run can show, in how many cases and minutes, from a past run or a pilot",
    ),
    ...shared("open", "json"),
  ])
    .addHelpText(
      "after",
      `
A flag overrides its environment variable, which overrides models.json, which overrides the default.
FOUNDRY_LOCAL_ENDPOINT (or BASE_URL) names a service and API_KEY its key; with --endpoint, API_KEY is sent there.
Without --models: the models of the named or found services, else the default models of the embedded engine.
A candidate can include engine settings: smollm2:threads=1, or smollm2:q4_1+context=2048+gpu=off.
Exit codes: 0 done, 1 nothing could be measured or the disk is full, 2 wrong usage or input, 130 interrupted.`,
    );

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

/** @throws {UserError} where options contradict each other */
export function benchSettings(command: Command): BenchSettings {
  const given = command.opts<Omit<BenchSettings, "concurrency"> & { concurrency: number | undefined }>();
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
