/**
 * All tasks behave alike. The same flag means the same in every task, a user's
 * mistake is reported in one line,
 * --json prints one document, and exit codes agree.
 * Exit codes: 0 done, 1 nothing could be measured or written, 2 wrong usage or input, 130 interrupted.
 *
 * Import heavy modules after the flags are parsed (`await import(…)`), so that --help answers at once.
 */
import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { splitCandidateNames } from "../lib/bench/candidate_name.ts";
import type { StatedSetting } from "../lib/bench/records.ts";
import project from "../deno.json" with { type: "json" };
import { type Clock, type Sleep, sleepOn } from "../lib/clock.ts";
import { noProxyForLoopback } from "../lib/endpoint/loopback.ts";
import { UserError } from "../lib/errors.ts";
import type { PromptSet } from "../lib/prompts/prompts.ts";
import { terminalJson, terminalText } from "../lib/terminal_text.ts";

export const realClock: Clock = () => performance.now();
export const realSleep: Sleep = sleepOn(realClock);

/** Ctrl-C, and what service managers send to end a program: Ctrl-Break on Windows, SIGTERM elsewhere. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

let interrupt: AbortController | undefined;
let interruptedAtMs = -Infinity;

/**
 * One Ctrl-C may arrive twice: from the terminal, and passed on by `deno task` or npx. A signal counts as a second
 * Ctrl-C only when it comes later than this.
 */
const SAME_INTERRUPT_MS = 1000;

/**
 * Aborted by the first Ctrl-C or SIGTERM, so that a task can stop cleanly; a second Ctrl-C ends the process at once.
 * In a task that never calls this function the first Ctrl-C ends the process. The exit code is 130 either way.
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
  interrupt.abort(new DOMException("interrupted", "AbortError"));
}

/**
 * Runs a task and ends the process with its exit code. A `UserError` is printed as one line; any other error is a bug
 * in Podium and is printed with its stack.
 */
export async function runCli(main: () => Promise<number>): Promise<void> {
  protectTerminal();
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onInterrupt);
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

/** Where Podium is installed, people type `podium bench` for `deno task bench`; the launcher says so. */
const launcher = Deno.env.get("PODIUM_COMMAND");

const asTyped = (text: string) =>
  launcher === undefined ? text : text.replaceAll("deno task ", `${launcher} `);

/**
 * A file that Podium ships: the one in the current folder (a clone, or a folder that `podium init` made), otherwise
 * the one of the installed program.
 */
export function shippedFile(path: string): string {
  if (existsSync(path)) return path;
  const installed = fileURLToPath(new URL(`../${path}`, import.meta.url));
  return existsSync(installed) ? installed : path;
}

/** Podium's own colours, with their ends: the only escape sequences that reach a terminal. */
// deno-lint-ignore no-control-regex -- a colour begins with ESC
const OWN_COLOUR = /(\u001b\[(?:0|1|2|22|31|33|39)m)/;

/**
 * Makes everything that a task prints safe for a terminal, since it may hold text of models, services and files.
 * Output that doesn't use `console` (bars, chunks of an answer) passes through `terminalText` where it is written.
 */
function protectTerminal(): void {
  const colour = Deno.stdout.isTerminal() && !Deno.noColor;
  const safe = (text: string) =>
    colour
      ? asTyped(text).split(OWN_COLOUR).map((part, i) => i % 2 === 1 ? part : terminalText(part)).join("")
      : terminalText(asTyped(text));
  for (const name of ["log", "error", "warn", "info"] as const) {
    const print = console[name].bind(console);
    console[name] = (...parts: unknown[]) =>
      print(...parts.map((part) => safe(typeof part === "string" ? part : Deno.inspect(part))));
  }
}

/** Runs a subcommand with the arguments after its name. It imports its own module, since `--help` needs none. */
export type Subcommand = (args: string[]) => Promise<number>;

/** Runs the subcommand of `task` named by the first argument, or prints the help. */
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
      `${name === undefined ? "missing command" : `unknown command "${name}"`}: ` +
        `use ${known} (deno task ${task} --help)`,
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

/** A task is described in deno.json alone, so that `deno task` and --help agree. */
const descriptions = new Map(
  Object.entries(project.tasks).map(([name, { description }]) => [name, description]),
);

/**
 * A commander `Command` that throws instead of exiting; `runCli` turns wrong usage into exit code 2.
 *
 * @param description left out for a task, which deno.json describes
 */
export function bareCommand(name: string, description = descriptions.get(name) ?? ""): Command {
  return new Command(`deno task ${name}`)
    .description(description)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => console.log(text.trimEnd()),
      outputError: (text, write) =>
        write(
          asTyped(`${text.trim().replaceAll(/\s+/g, " ")} (deno task ${name} --help lists all options)\n`),
        ),
    })
    .configureHelp({ helpWidth: 110, commandDescription: (command) => capitalised(command.description()) });
}

/** A subcommand's description begins in lower case in its task's list, and is a sentence in its own help. */
const capitalised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** Prints exactly one JSON document on stdout; a task prints everything else on stderr. */
export function printJson(value: unknown): void {
  console.log(terminalJson(value));
}

/** A parser of whole numbers for `Option.argParser`; its error says what is accepted. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const accepted = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number ${accepted}.`);
  };
}

/** A parser of numbers for `Option.argParser`; `above` excludes the bound itself. */
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

/** Parses 1/0, true/false, yes/no, on/off. */
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

/** Parses a comma-separated list of candidates; a comma between double quotes belongs to a name. */
function candidateList(text: string): string[] {
  const names = splitCandidateNames(text);
  if (names.length === 0) throw new InvalidArgumentError("Give one or more candidates, separated by commas.");
  return names;
}

/** Parses the path of a file or folder: any text that is not empty. */
export function pathValue(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give a path.");
  return text;
}

/** Collects the values of an option that can be repeated. */
export function collect<T>(parse: (text: string) => T): (text: string, sofar: T[] | undefined) => T[] {
  return (text, sofar) => [...(sofar ?? []), parse(text)];
}

const option = (flags: string, description: string) => new Option(flags, description);

export const jsonOption = () =>
  option("--json", "print one JSON document on stdout, everything else on stderr");
export const openOption = () => option("--open", "open the page in the browser");

/** Says what to type next; in a terminal one step per line, so that a command can be copied. */
export function sayNext(...steps: readonly string[]): void {
  console.log(`Next: ${steps.join(Deno.stdout.isTerminal() ? ",\n      " : ", ")}.`);
}

/** The run's name for the next command; empty for the latest of reports/, which is every task's default. */
export async function runNamed(folder: string): Promise<string> {
  const { requireRun } = await import("../lib/bench/find_run.ts");
  const latest = await requireRun(undefined, "reports").catch(() => null);
  return latest === folder ? "" : ` ${folder}`;
}

/** Says where a page is, as a path and as a link that terminals can follow, and opens it on request. */
export async function showPage(name: string, path: string, open: boolean | undefined): Promise<void> {
  const link = pathToFileURL(path).href;
  console.log(`${name}: ${path}`);
  if (Deno.stdout.isTerminal()) console.log(`${" ".repeat(name.length)}  ${link}`);
  if (open !== true) return;
  const program = Deno.build.os === "windows" ? "explorer" : Deno.build.os === "darwin" ? "open" : "xdg-open";
  const { runProgram } = await import("../lib/program.ts");
  const opened = await runProgram([program, link], { timeoutMs: 10_000 });
  // Explorer's exit code is 1 when it has opened a page.
  const failed = opened === null || opened.code !== 0 && program !== "explorer";
  if (failed) console.error(`${program} could not open it: open the link yourself.`);
}

export const registryOption = () =>
  option("--registry <file>", "model registry").env("PODIUM_REGISTRY")
    .default(shippedFile("models.json"), '"models.json"').argParser(pathValue);
export const storeOption = () =>
  option("--store <folder>", "folder of downloaded models (default: podium/models in your cache folder)")
    .env("PODIUM_STORE").argParser(pathValue);
export const outOption = () =>
  option("--out <folder>", "folder of runs").default("reports").argParser(pathValue);
export const modelsOption = () =>
  option(
    "--models <names>",
    "comma-separated candidates: ALIAS[:PARTS][@ENDPOINT], a service's model id, a .gguf file or hf:OWNER/REPO:QUANT",
  )
    .env("BENCH_MODELS").argParser(candidateList);
export const endpointOption = () =>
  option("--endpoint <[name=]url>", "OpenAI-compatible base URL; can be repeated")
    .argParser(collect(pathValue));
export const promptOption = () =>
  option("--prompt <text>", "a single prompt instead of a prompt set").env("BENCH_PROMPT");
/** Which cases are sent. `--seed`, which every task with a draw has, seeds it. */
export interface CaseSettings {
  readonly prompts: string;
  readonly template: string | undefined;
  readonly limit: number | undefined;
  readonly draw: number | undefined;
  readonly shortest: number | undefined;
  readonly skipFaulty: boolean;
  readonly seed: number;
}

/** Adds the options that say which cases are sent: the same in every task that sends them. */
export function withCases(command: Command, file = "prompts/default.json"): Command {
  return command
    .addOption(
      option(
        "--prompts <path>",
        "prompt set, job or table of cases (.json, .yaml, .csv, .tsv, .jsonl), or a folder of text files",
      ).env("BENCH_PROMPTS").default(shippedFile(file), `"${file}"`).argParser((text) =>
        shippedFile(pathValue(text))
      ),
    )
    .addOption(
      option("--template <text>", "what to send for each row of a table, as in 'Classify: {{text}}'"),
    )
    .addOption(option("--limit <n>", "only the first n cases").argParser(wholeNumber(1)))
    .addOption(
      option("--draw <n>", "only n cases, drawn by --seed, each label in its share").argParser(
        wholeNumber(1),
      ),
    )
    .addOption(option("--shortest <n>", "only the n shortest cases").argParser(wholeNumber(1)))
    .addOption(
      option("--skip-faulty", "leave out rows that miss a value or repeat another, instead of stopping")
        .default(
          false,
        ),
    );
}

/** The settings that a flag or a variable states; they take precedence over those of the job. */
export function statedSettings(command: Command): StatedSetting[] {
  const names = { maxTokens: "max_tokens", temperature: "temperature" } as const;
  return Object.entries(names).flatMap(([name, setting]) =>
    ["cli", "env"].includes(command.getOptionValueSource(name) ?? "") ? [setting] : []
  );
}

/** The cases that the options name. Heavy modules are imported here. */
export async function casesOf(
  { prompts, template, limit, draw, shortest, skipFaulty, seed }: CaseSettings,
): Promise<PromptSet> {
  const { loadPromptSet } = await import("../lib/prompts/prompts.ts");
  const note = (line: string) => console.error(line);
  return await loadPromptSet(prompts, { template, limit, draw, shortest, skipFaulty, seed, note });
}
export const roundsOption = (rounds: number) =>
  option("--rounds <n>", "passes over the prompt set").env("BENCH_ROUNDS").default(rounds)
    .argParser(wholeNumber(1, 100_000));
export const maxTokensOption = (tokens: number) =>
  option("--max-tokens <n>", "maximum length of an answer, in tokens").env("BENCH_MAX_TOKENS").default(tokens)
    .argParser(wholeNumber(1, 1_000_000));
export const temperatureOption = (temperature: number) =>
  option("--temperature <t>", "sampling temperature").env("BENCH_TEMPERATURE").default(temperature)
    .argParser(decimal({ min: 0, max: 2 }));
export const seedOption = () => option("--seed <n>", "random seed").default(1).argParser(wholeNumber(0));
export const timeoutOption = (seconds: number) =>
  option("--timeout <seconds>", "time limit per request").default(seconds)
    .argParser(decimal({ above: 0, max: 86_400 }));
export const gpuOption = () =>
  option("--gpu <device>", "device for the embedded engine (default: models.json, else auto)").env(
    "PODIUM_GPU",
  )
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
    "differences up to this size count as none: a share of a time or rate, points of a score or utility",
  ).default(value).argParser(decimal({ above: 0, max: 0.99 }));

/** How much quality may be lost: against the best candidate (select, race), or against the baseline run (gate). */
export const maxDropOption = () =>
  new Option(
    "--max-drop <points>",
    "largest accepted loss of quality, in points of the score (0 to 1)",
  )
    .default(0.1).argParser(decimal({ above: 0, max: 1 }));
