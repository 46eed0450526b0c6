/**
 * WHY: every task answers in the same way: the same words for the same settings, one line for a mistake of
 * the user's, one JSON document with --json, the same exit codes.
 * Exit codes: 0 done, 1 nothing could be measured or written, 2 wrong usage or input, 130 interrupted.
 *
 * Heavy imports belong after the parsing of flags (`await import(…)`), so that --help answers at once.
 */
import { setImmediate } from "node:timers";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Clock, Sleep } from "../lib/clock.ts";
import { noProxyForLoopback } from "../lib/endpoint/loopback.ts";
import { UserError } from "../lib/errors.ts";

export const realClock: Clock = () => performance.now();

/** Timers wake up one to two milliseconds late. */
const TIMER_LATE_MS = 3;

/** Sleeps short of the time, then takes turns of the event loop until it has come: late by microseconds. */
export const realSleep: Sleep = async (ms, signal) => {
  const untilMs = realClock() + ms;
  signal?.throwIfAborted();
  if (ms > TIMER_LATE_MS) await timer(ms - TIMER_LATE_MS, signal);
  while (realClock() < untilMs) {
    signal?.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
};

function timer(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timeout);
      reject(signal?.reason);
    };
    const timeout = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

let interrupt: AbortController | undefined;
let interruptedAtMs = -Infinity;

/**
 * One Ctrl-C may arrive twice: from the terminal, and passed on by `deno task` or npx. Only what comes later
 * than this is another one.
 */
const SAME_INTERRUPT_MS = 1000;

/**
 * Aborted by the first Ctrl-C, so that a task can stop in good order; a second Ctrl-C ends it at once.
 * A task that never asks for this signal is ended by the first one. Either way the exit code is 130.
 */
export function interruptSignal(): AbortSignal {
  interrupt ??= new AbortController();
  return interrupt.signal;
}

function onInterrupt() {
  if (interrupt === undefined) Deno.exit(130);
  if (interrupt.signal.aborted) {
    if (realClock() - interruptedAtMs > SAME_INTERRUPT_MS) Deno.exit(130);
    return;
  }
  interruptedAtMs = realClock();
  interrupt.abort(new DOMException("interrupted by Ctrl-C", "AbortError"));
}

/**
 * Runs a task and ends the process with its exit code. `UserError` is shown as one line; anything else is a
 * fault of ours and keeps its stack.
 */
export async function runCli(main: () => Promise<number>): Promise<void> {
  Deno.addSignalListener("SIGINT", onInterrupt);
  const noProxy = noProxyForLoopback(Deno.env);
  if (noProxy !== null) Deno.env.set("NO_PROXY", noProxy);
  let code = 1;
  try {
    code = await main();
  } catch (error) {
    code = exitCodeOf(error);
  }
  Deno.exit(interrupt?.signal.aborted ? 130 : code);
}

/** A subcommand, with the arguments behind its name. Brings its module in itself: `--help` needs none. */
export type Subcommand = (args: string[]) => Promise<number>;

/** Runs the subcommand of `task` that the first argument names, or shows the help. */
export async function runSubcommand(
  task: string,
  help: string,
  commands: Readonly<Record<string, Subcommand>>,
): Promise<void> {
  await runCli(async () => {
    const [name, ...args] = Deno.args;
    if (name !== undefined && ["--help", "-h", "help"].includes(name)) {
      console.log(help);
      return 0;
    }
    const command = new Map(Object.entries(commands)).get(name ?? "");
    if (command !== undefined) return await command(args);
    const known = new Intl.ListFormat("en-GB", { type: "disjunction" }).format(Object.keys(commands));
    throw new UserError(
      `${name === undefined ? "a command is missing" : `"${name}" is no command`}: ` +
        `give ${known} (deno task ${task} --help)`,
    );
  });
}

function exitCodeOf(error: unknown): number {
  if (interrupt?.signal.aborted && error === interrupt.signal.reason) {
    console.error("Interrupted.");
    return 130;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    console.error(`error: ${error.message}`);
    return error.exitCode;
  }
  console.error(error);
  return 1;
}

/** A commander `Command` that throws instead of exiting; wrong usage ends with exit code 2 in `runCli`. */
export function bareCommand(name: string, description: string): Command {
  return new Command(name)
    .usage("[options]")
    .description(description)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) =>
        write(`${text.trim().replaceAll(/\s+/g, " ")} (deno task ${name} --help shows every option)\n`),
    })
    .configureHelp({ helpWidth: 110 });
}

/** Exactly one JSON document on stdout; everything else a task says goes to stderr. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}

/** Parser of a whole number for `Option.argParser`; names what it takes. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const accepted = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number ${accepted}.`);
  };
}

/** Parser of a number for `Option.argParser`; `above` excludes the bound itself. */
export function decimal(bounds: { min?: number; above?: number; max?: number }): (text: string) => number {
  const { min = -Infinity, above = -Infinity, max = Infinity } = bounds;
  const accepted = [
    Number.isFinite(above) ? `above ${above}` : "",
    Number.isFinite(min) ? `of at least ${min}` : "",
    Number.isFinite(max) ? `of at most ${max}` : "",
  ].filter((part) => part !== "").join(" and ");
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (Number.isFinite(value) && value >= min && value > above && value <= max) return value;
    throw new InvalidArgumentError(`Give a number ${accepted}.`);
  };
}

/** Parser of 1/0, true/false, yes/no, on/off. */
export function switchValue(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return true;
  if (["0", "false", "no", "off", ""].includes(word)) return false;
  throw new InvalidArgumentError("Give 1 or 0 (true or false).");
}

/** Splits a comma-separated list; empty parts are dropped. */
export function commaList(text: string): string[] {
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  if (names.length === 0) throw new InvalidArgumentError("Give one or more names, separated by commas.");
  return names;
}

/** Parser of a folder or file name: anything but nothing. */
export function pathValue(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give a path.");
  return text;
}

/** Collects a repeatable option. */
export function collect<T>(parse: (text: string) => T): (text: string, sofar: T[] | undefined) => T[] {
  return (text, sofar) => [...(sofar ?? []), parse(text)];
}

const option = (flags: string, description: string) => new Option(flags, description);

export const jsonOption = () => option("--json", "print one JSON document on stdout, all else on stderr");
export const registryOption = () =>
  option("--registry <file>", "the registry of models").env("PODIUM_REGISTRY").default("models.json")
    .argParser(pathValue);
export const storeOption = () =>
  option("--store <folder>", "where models are kept (default: the user's cache folder, podium/models)")
    .env("PODIUM_STORE").argParser(pathValue);
export const outOption = () =>
  option("--out <folder>", "where runs are written").default("reports").argParser(pathValue);
export const modelsOption = () =>
  option(
    "--models <names>",
    "models, separated by commas: ALIAS[:VARIANT][@ENDPOINT] or an endpoint's own id",
  )
    .env("BENCH_MODELS").argParser(commaList);
export const endpointOption = () =>
  option("--endpoint <[name=]url>", "an OpenAI-compatible base URL; may be given several times")
    .argParser(collect(pathValue));
export const promptOption = () =>
  option("--prompt <text>", "one prompt instead of a prompt set").env("BENCH_PROMPT");
export const promptsOption = () =>
  option("--prompts <file>", "the prompt set, or a JSON array of strings").env("BENCH_PROMPTS")
    .default("prompts/default.json").argParser(pathValue);
export const roundsOption = (rounds: number) =>
  option("--rounds <n>", "passes over the prompt set").env("BENCH_ROUNDS").default(rounds)
    .argParser(wholeNumber(1, 100_000));
export const maxTokensOption = (tokens: number) =>
  option("--max-tokens <n>", "longest answer").env("BENCH_MAX_TOKENS").default(tokens)
    .argParser(wholeNumber(1, 1_000_000));
export const temperatureOption = (temperature: number) =>
  option("--temperature <t>", "sampling temperature").env("BENCH_TEMPERATURE").default(temperature)
    .argParser(decimal({ min: 0, max: 2 }));
export const seedOption = () =>
  option("--seed <n>", "seed of every random order").default(1).argParser(wholeNumber(0));
export const timeoutOption = (seconds: number) =>
  option("--timeout <seconds>", "longest wait for one request").default(seconds)
    .argParser(decimal({ above: 0, max: 86_400 }));
export const gpuOption = () =>
  option("--gpu <device>", "device of the embedded engine").env("PODIUM_GPU").default("auto")
    .choices(["auto", "off", "vulkan", "cuda", "metal"]);

/** The one grammar of weights; `parseWeights` reads it. */
export const weightsOption = (shown?: string) =>
  new Option(
    "--weights <list>",
    `relative weights, e.g. checks=1,latency=0.1${shown === undefined ? "" : ` (default: ${shown})`}`,
  );

/** The largest difference that does not matter. */
export const epsilonOption = (value: number) =>
  new Option(
    "--epsilon <size>",
    "differences up to this count as none: a share of a time or rate, points of a score or utility",
  ).default(value).argParser(decimal({ above: 0, max: 0.99 }));
