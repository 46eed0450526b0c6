/** The options of tasks: how each is read, and those that mean the same in every task. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { splitCandidateNames } from "../lib/bench/candidate_name.ts";
import type { StatedSetting } from "../lib/bench/records.ts";
import type { PromptSet } from "../lib/prompts/prompts.ts";
import { shippedFile } from "./cli.ts";

/** Makes a value of an option's text; for an option that can be repeated, `before` holds the values so far. */
type ReadText<T> = (text: string, before: T) => T;

/** An option, how its text is read (or the words that it accepts), and its default. */
export function option<T>(
  flags: string,
  description: string,
  read?: ReadText<T> | readonly string[],
  value?: T,
): Option {
  const made = new Option(flags, description);
  if (typeof read === "function") made.argParser(read);
  else if (read !== undefined) made.choices(read);
  if (value !== undefined) made.default(value);
  return made;
}

/** Reads a whole number; the error says what is accepted. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const accepted = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number ${accepted}.`);
  };
}

/** Reads a number; `above` excludes the bound itself. */
export function decimal(bounds: { min?: number; above?: number; max?: number }): (text: string) => number {
  const { min = -Infinity, above = -Infinity, max = Infinity } = bounds;
  const accepted = [
    Number.isFinite(above) ? `above ${above}` : "",
    Number.isFinite(min) ? `at least ${min}` : "",
    Number.isFinite(max) ? `at most ${max}` : "",
  ].filter((part) => part !== "").join(" and ");
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (Number.isFinite(value) && value >= min && value > above && value <= max) return value;
    throw new InvalidArgumentError(`Give a number that is ${accepted}.`);
  };
}

/** Reads 1/0, true/false, yes/no, on/off. */
export function switchValue(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return true;
  if (["0", "false", "no", "off", ""].includes(word)) return false;
  throw new InvalidArgumentError("Give 1 or 0 (true or false).");
}

/** Reads a comma-separated list; empty parts are dropped. */
export function commaList(text: string): string[] {
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  if (names.length === 0) throw new InvalidArgumentError("Give one or more names, separated by commas.");
  return names;
}

/** Reads a comma-separated list of candidates; a comma between double quotes belongs to a name. */
function candidateList(text: string): string[] {
  const names = splitCandidateNames(text);
  if (names.length === 0) throw new InvalidArgumentError("Give one or more candidates, separated by commas.");
  return names;
}

/** Reads the path of a file or folder: any text that is not empty. */
export function pathValue(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give a path.");
  return text;
}

/** Reads the path of a file that may be one that Podium ships. */
export const shippedPath = (text: string): string => shippedFile(pathValue(text));

/** Collects the values of an option that can be repeated. */
export function collect<T>(read: (text: string) => T): ReadText<T[] | undefined> {
  return (text, before) => [...(before ?? []), read(text)];
}

export interface Slo {
  readonly ttft_s: number | null;
  readonly e2e_s: number | null;
}

/** Reads limits such as `ttft=500ms,e2e=3s`. */
export function parseSlo(text: string): Slo {
  const limits = { ttft: null as number | null, e2e: null as number | null };
  for (const part of text.split(",")) {
    const [, name, number, unit] = /^\s*(ttft|e2e)\s*=\s*(\d+(?:\.\d+)?)\s*(ms|s)\s*$/.exec(part) ?? [];
    if ((name !== "ttft" && name !== "e2e") || Number(number) === 0) {
      throw new InvalidArgumentError("Give limits as in ttft=500ms,e2e=3s (either or both, above 0).");
    }
    limits[name] = Number(number) / (unit === "ms" ? 1000 : 1);
  }
  return { ttft_s: limits.ttft, e2e_s: limits.e2e };
}

/** Which run an argument names; without it, the latest. */
export const RUN_ARGUMENT =
  "folder of a run, its name below --out, or the start of that (default: the latest run)";

/** What the options hold that several tasks share. */
interface SharedSettings {
  readonly models?: readonly string[] | undefined;
  readonly endpoint?: readonly string[] | undefined;
  readonly prompt?: string | undefined;
  readonly gpu?: "auto" | "off" | "vulkan" | "cuda" | "metal" | undefined;
  readonly registry: string;
  readonly store?: string | undefined;
  readonly out: string;
  readonly open?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly seed: number;
  readonly samplingSeed?: number | undefined;
  readonly rounds: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly timeout: number;
  readonly epsilon: number;
  readonly maxDrop: number;
}

/** The named settings of those that several tasks share. */
export type Shared<Name extends keyof SharedSettings> = Pick<SharedSettings, Name>;

export const modelsOption = () =>
  option(
    "--models <names>",
    "comma-separated candidates: ALIAS[:PARTS][@ENDPOINT], a service's model id, a .gguf file or hf:OWNER/REPO:QUANT",
    candidateList,
  ).env("BENCH_MODELS");
export const promptOption = () =>
  option("--prompt <text>", "a single prompt instead of a prompt set").env("BENCH_PROMPT");

const SHARED = {
  models: modelsOption,
  prompt: promptOption,
  endpoint: () =>
    option("--endpoint <[name=]url>", "OpenAI-compatible base URL; can be repeated", collect(pathValue)),
  gpu: () =>
    option("--gpu <device>", "device for the embedded engine (default: models.json, else auto)", [
      "auto",
      "off",
      "vulkan",
      "cuda",
      "metal",
    ]).env("PODIUM_GPU"),
  registry: () =>
    option("--registry <file>", "model registry", pathValue).env("PODIUM_REGISTRY")
      .default(shippedFile("models.json"), '"models.json"'),
  store: () =>
    option(
      "--store <folder>",
      "folder of downloaded models (default: podium/models in your cache folder)",
      pathValue,
    ).env("PODIUM_STORE"),
  out: () => option("--out <folder>", "folder of runs", pathValue, "reports"),
  open: () => option("--open", "open the page in the browser"),
  json: () => option("--json", "print one JSON document on stdout, everything else on stderr"),
  seed: () => option("--seed <n>", "random seed", wholeNumber(0), 1),
  samplingSeed: () =>
    option(
      "--sampling-seed <n>",
      "seed sent with every request, for a temperature above 0",
      wholeNumber(0, 2 ** 31 - 1),
    ),
  /** How much quality may be lost: against the best candidate (select, race), or against the baseline run (gate). */
  maxDrop: () =>
    option(
      "--max-drop <points>",
      "largest accepted loss of quality, in points of the score (0 to 1)",
      decimal({ above: 0, max: 1 }),
      0.1,
    ),
} satisfies { readonly [Name in keyof SharedSettings]?: () => Option };

/** Options that are the same in every task that has them. */
export const shared = (...names: readonly (keyof typeof SHARED)[]): Option[] =>
  names.map((name) => SHARED[name]());

export const roundsOption = (rounds: number) =>
  option("--rounds <n>", "passes over the prompt set", wholeNumber(1, 100_000), rounds).env("BENCH_ROUNDS");
export const maxTokensOption = (tokens: number) =>
  option("--max-tokens <n>", "maximum length of an answer, in tokens", wholeNumber(1, 1_000_000), tokens)
    .env("BENCH_MAX_TOKENS");
export const temperatureOption = (temperature: number) =>
  option("--temperature <t>", "sampling temperature", decimal({ min: 0, max: 2 }), temperature)
    .env("BENCH_TEMPERATURE");
export const timeoutOption = (seconds: number) =>
  option("--timeout <seconds>", "time limit per request", decimal({ above: 0, max: 86_400 }), seconds);
export const prefixOption = () =>
  option(
    "--prefix <kind>",
    "cold: the prompt cache never helps; warm: the same prompt was sent right before",
    ["cold", "warm"],
    "cold",
  );

/** The one grammar of weights; `parseWeights` reads it. */
export const weightsOption = (shown?: string) =>
  option(
    "--weights <list>",
    `relative weights, e.g. checks=1,latency=0.1${shown === undefined ? "" : ` (default: ${shown})`}`,
  );

/** The largest difference that does not matter. */
export const epsilonOption = (value: number) =>
  option(
    "--epsilon <size>",
    "differences up to this size count as none: a share of a time or rate, points of a score or utility",
    decimal({ above: 0, max: 0.99 }),
    value,
  );

/** Which cases are sent. `--seed`, which every task with a draw has, seeds it. */
export interface CaseSettings extends Shared<"seed"> {
  readonly prompts: string;
  readonly template?: string | undefined;
  readonly limit?: number | undefined;
  readonly draw?: number | undefined;
  readonly shortest?: number | undefined;
  readonly skipFaulty?: boolean | undefined;
}

/** The options that say which cases are sent: the same in every task that sends them. */
export const caseOptions = (file = "prompts/default.json"): Option[] => [
  option(
    "--prompts <path>",
    "prompt set, job or table of cases (.json, .yaml, .csv, .tsv, .jsonl), or a folder of text files",
    shippedPath,
  ).env("BENCH_PROMPTS").default(shippedFile(file), `"${file}"`),
  option("--template <text>", "what to send for each row of a table, as in 'Classify: {{text}}'"),
  option("--limit <n>", "only the first n cases", wholeNumber(1)),
  option("--draw <n>", "only n cases, drawn by --seed, each label in its share", wholeNumber(1)),
  option("--shortest <n>", "only the n shortest cases", wholeNumber(1)),
  option("--skip-faulty", "leave out rows that miss a value or repeat another, instead of stopping"),
];

/** Whether a flag or an environment variable set the option. */
export const isStated = (command: Command, name: string): boolean =>
  ["cli", "env"].includes(command.getOptionValueSource(name) ?? "");

/** The settings that a flag or a variable states; they take precedence over those of the job. */
export function statedSettings(command: Command): StatedSetting[] {
  const names = { maxTokens: "max_tokens", temperature: "temperature" } as const;
  return Object.entries(names).flatMap(([name, setting]) => isStated(command, name) ? [setting] : []);
}

/** The cases that the options name. Heavy modules are imported here. */
export async function casesOf(
  { prompts, template, limit, draw, shortest, skipFaulty, seed }: CaseSettings,
): Promise<PromptSet> {
  const { loadPromptSet } = await import("../lib/prompts/prompts.ts");
  const note = (line: string) => console.error(line);
  return await loadPromptSet(prompts, { template, limit, draw, shortest, skipFaulty, seed, note });
}
