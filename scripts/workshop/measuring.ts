/** The shared parts of the mirrors that measure: options, resources and progress messages. */
import type { Command } from "commander";
import type { FinishedRun, SessionEvent, SessionPlan } from "../../lib/bench/session.ts";
import { UserError } from "../../lib/errors.ts";
import { type BenchmarkRow, benchmarkRows } from "../../lib/report/workshop_fields.ts";
import { bareCommand, type TaskCommand } from "../cli.ts";
import { option, type Shared, shared, switchValue } from "../options.ts";

/** Options that every measuring mirror takes. */
export interface MeasuringOptions extends Shared<"registry" | "store" | "out"> {
  readonly prefix: "cold" | "warm";
}

/** A command with them; the sample's own options are added by the mirror. */
export function mirrorCommand(name: string): TaskCommand {
  return bareCommand(`workshop:${name}`)
    .addOptions([
      option("--prefix <kind>", "cold: the prompt cache never helps; warm: it always does", [
        "cold",
        "warm",
      ], "cold"),
      ...shared("out", "registry", "store"),
    ]);
}

/** Two small models that the registry ships. */
export const SMALL_MODELS: readonly string[] = ["smollm2-135m", "gemma-3-270m"];

/** How to continue without a model that is not there. */
export interface Hint {
  /** What the message proposes. */
  readonly remedy: string;
  /** What is measured instead where no models were named: the workshop's own are large. Null where they were. */
  readonly instead: readonly string[] | null;
}

/** The hint of a mirror whose models are the sample's unless `option` or its environment variable names others. */
export function smallInstead(command: Command, option: string, variable: string): Hint {
  return {
    remedy: `run two that are small: set ${variable}=${SMALL_MODELS.join(",")}`,
    instead: isDefault(command, option) ? SMALL_MODELS : null,
  };
}

/** Whether an option has its default value: neither a flag nor an environment variable set it. */
export const isDefault = (command: Command, option: string) =>
  ["default", undefined].includes(command.getOptionValueSource(option));

/** Options that `benchmark_oss_models` and `export_benchmark_markdown` share. */
export interface BenchmarkOptions extends MeasuringOptions {
  readonly models: string[];
  readonly rounds: number;
  readonly prompt: string;
  readonly stream: boolean;
}

/** BENCH_STREAM: whether the first token's time is printed. */
export const streamOption = () =>
  option("--stream <0|1>", "print the time to the first token", switchValue, false).env("BENCH_STREAM");

/** The samples' benchmark: a warm-up, then rounds of one prompt, 120 tokens, temperature 0.2. */
export async function benchmark(options: BenchmarkOptions, hint: Hint): Promise<BenchmarkRow[]> {
  const { models: names, prompt, rounds, stream, prefix } = options;
  const plan = onePrompt(prompt, { rounds, maxTokens: 120, temperature: 0.2, prefix });
  const { summary, run, names: measured } = await measureModels(names, await plan, options, hint);
  return benchmarkRows(summary, run.candidates, {
    names: measured,
    disturbed: new Set(run.disturbed.keys()),
    stream,
  });
}

/** Settings that the samples leave open are the same in all mirrors. */
export async function onePrompt(prompt: string, plan: Omit<SessionPlan, "prompts">): Promise<SessionPlan> {
  const { singlePrompt } = await import("../../lib/prompts/prompts.ts");
  return { warmup: 1, timeoutS: 300, prompts: singlePrompt(prompt), repeatDisturbed: false, ...plan };
}

/**
 * Measures the named models by the sample's plan, exactly as many rounds as it states; progress goes to stderr, records to
 * the run's folder.
 *
 * @returns the run, and the names of the models that were measured
 */
export async function measureModels(
  names: readonly string[],
  plan: SessionPlan,
  options: MeasuringOptions,
  hint: Hint,
): Promise<FinishedRun & { readonly names: readonly string[] }> {
  const { runSession } = await import("../../lib/bench/session.ts");
  const { sessionResources } = await import("../session_resources.ts");
  let run: FinishedRun;
  try {
    run = await runSession({ names, plan, downloads: "small" }, await sessionResources(options), {
      out: options.out,
      now: new Date(),
      random: Math.random,
      onEvent: (event) => showEvent(event),
    });
  } catch (error) {
    if (!(error instanceof UserError && /is not downloaded/.test(error.message))) throw error;
    const { remedy, instead } = hint;
    if (instead === null) {
      throw new UserError(`${error.message}, or ${remedy}`, error.exitCode, { cause: error });
    }
    console.error(`[WARN] ${error.message}`);
    console.error(`[INFO] Measuring ${instead.join(" and ")} instead`);
    return await measureModels(instead, plan, options, { remedy, instead: null });
  }
  console.error(`[INFO] Every request is kept in ${run.folder}\n`);
  return { ...run, names };
}

function showEvent(event: SessionEvent): void {
  if (event.kind !== "begin" && event.kind !== "opened") console.error(eventText(event));
}

function eventText(event: Exclude<SessionEvent, { kind: "begin" | "opened" }>): string {
  switch (event.kind) {
    case "load":
      return `[INFO] Loading ${event.candidate}`;
    case "warmup":
      return `[INFO] Warming up ${event.candidate}`;
    case "request":
      return `  ${event.candidate}: ${event.status}`;
    case "left":
      return `[ERROR] ${event.candidate} left the run: ${event.reason}`;
    case "disturbed":
      return `[WARN] A block is left out: ${event.reason}${event.repeated > 0 ? "; it is repeated" : ""}`;
  }
}
