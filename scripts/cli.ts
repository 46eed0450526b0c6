/**
 * How a task runs: a user's mistake is reported in one line, --json prints one document, and exit codes agree.
 *
 * Exit codes: 0 done, 1 nothing could be measured or written, 2 wrong usage or input, 130 interrupted.
 *
 * Import heavy modules after the flags are parsed (`await import(…)`), so that --help answers at once.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command, CommanderError, type Option } from "commander";
import project from "../deno.json" with { type: "json" };
import { type Clock, type Sleep, sleepOn } from "../lib/clock.ts";
import { noProxyForLoopback } from "../lib/endpoint/loopback.ts";
import { UserError } from "../lib/errors.ts";
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

/** Resolves at the first Ctrl-C or SIGTERM. */
export function interrupted(): Promise<void> {
  const signal = interruptSignal();
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
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

/** The folder of Podium itself: a clone, or the installed program. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * A file that Podium ships: the one in the current folder (a clone, or a folder that `podium init` made), otherwise
 * the one of the installed program.
 */
export function shippedFile(path: string): string {
  if (existsSync(path)) return path;
  const installed = join(ROOT, path);
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

/** Runs a subcommand with the arguments after its name; resolves with the exit code. */
export type Subcommand = (args: readonly string[]) => Promise<number>;

/** A subcommand that parses its arguments with `command`, then runs `action` as `TaskCommand.does` says. */
export const subcommand = <Given extends unknown[]>(
  command: TaskCommand,
  action: (...given: Given) => Promise<number>,
): Subcommand =>
async (args) => {
  await command.does(action).parseAsync([...args], { from: "user" });
  return exitCode;
};

/** Runs a task: one command with its action, or a command whose own commands have theirs. */
export const runTask = <Given extends unknown[]>(
  command: TaskCommand,
  action?: (...given: Given) => Promise<number>,
): Promise<void> =>
  runCli(async () => {
    if (action !== undefined) command.does(action);
    await command.parseAsync(Deno.args, { from: "user" });
    return exitCode;
  });

/**
 * Runs the subcommand of `task` named by the first argument, or prints the help. Each imports its own module, since
 * `--help` needs none.
 */
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

/** The exit code of the command that ran. */
let exitCode = 0;

/** A command that takes its options as a list, and whose action gives the exit code. */
export class TaskCommand extends Command {
  override createCommand(name?: string): TaskCommand {
    return new TaskCommand(name);
  }

  addOptions(options: readonly Option[]): this {
    for (const option of options) this.addOption(option);
    return this;
  }

  /** `action` gets the command's arguments, its options, and the command itself. */
  does<Given extends unknown[]>(action: (...given: Given) => Promise<number>): this {
    return this.action(async (...given: Given) => {
      exitCode = await action(...given);
    });
  }
}

/**
 * A command that throws instead of exiting; `runCli` turns wrong usage into exit code 2.
 *
 * @param description left out for a task, which deno.json describes
 */
export function bareCommand(name: string, description = descriptions.get(name) ?? ""): TaskCommand {
  return new TaskCommand(`deno task ${name}`)
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
