/**
 * What every mirror that measures has in common: their options, what they need from outside, and their progress
 * messages.
 */
import type { Command } from "commander";
import type { FinishedRun, SessionEvent, SessionPlan } from "../../lib/bench/session.ts";
import { UserError } from "../../lib/errors.ts";
import { type BenchmarkRow, benchmarkRows } from "../../lib/report/workshop_fields.ts";
import { bareCommand, outOption, registryOption, storeOption, switchValue } from "../cli.ts";
import { Option } from "commander";

/** Options that every measuring mirror takes. */
export interface MeasuringOptions {
  readonly registry: string;
  readonly store?: string;
  readonly out: string;
  readonly prefix: "cold" | "warm";
}

/** A command with them; the sample's own options are added by the mirror. */
export function mirrorCommand(name: string): Command {
  return bareCommand(`workshop:${name}`)
    .addOption(
      new Option("--prefix <kind>", "cold: the prompt cache never helps; warm: it always does").choices([
        "cold",
        "warm",
      ])
        .default("cold"),
    )
    .addOption(outOption())
    .addOption(registryOption())
    .addOption(storeOption());
}

/** What a mirror proposes where the workshop's own models can't be had: two that the registries ship. */
export const atHand = (variable: string): Hint => ({
  remedy: `run two that are small: set ${variable}=smollm2-135m,gemma-3-270m`,
});

/** How to go on without a model that is not there. */
export interface Hint {
  readonly remedy: string;
}

/** Options that `benchmark_oss_models` and `export_benchmark_markdown` share. */
export interface BenchmarkOptions extends MeasuringOptions {
  readonly models: string[];
  readonly rounds: number;
  readonly prompt: string;
  readonly stream: boolean;
}

/** BENCH_STREAM: whether the first token's time is printed. */
export const streamOption = () =>
  new Option("--stream <0|1>", "print the time to the first token").env("BENCH_STREAM").default(false)
    .argParser(switchValue);

/** The samples' benchmark: a warm-up, then rounds of one prompt, 120 tokens, temperature 0.2. */
export async function benchmark(options: BenchmarkOptions, hint: Hint): Promise<BenchmarkRow[]> {
  const { models: names, prompt, rounds, stream, prefix } = options;
  const plan = onePrompt(prompt, { rounds, maxTokens: 120, temperature: 0.2, prefix });
  const { summary, run } = await measureModels(names, await plan, options, hint);
  return benchmarkRows(summary, run.candidates, { names, disturbed: new Set(run.disturbed.keys()), stream });
}

/** What the samples leave open is the same for all mirrors. */
export async function onePrompt(prompt: string, plan: Omit<SessionPlan, "prompts">): Promise<SessionPlan> {
  const { singlePrompt } = await import("../../lib/prompts/prompts.ts");
  return { warmup: 1, timeoutS: 300, prompts: singlePrompt(prompt), ...plan };
}

/** Measures the named models by the sample's plan; progress goes to stderr, records to the run's folder. */
export async function measureModels(
  names: readonly string[],
  plan: SessionPlan,
  options: MeasuringOptions,
  hint: Hint,
): Promise<FinishedRun> {
  const { runSession } = await import("../../lib/bench/session.ts");
  const { sessionResources } = await import("../session.ts");
  const run = await runSession({ names, plan, downloads: "small" }, await sessionResources(options), {
    out: options.out,
    now: new Date(),
    random: Math.random,
    onEvent: (event) => show(event),
  }).catch((error: unknown) => {
    throw withHint(error, hint);
  });
  console.error(`[INFO] Every request is kept in ${run.folder}\n`);
  return run;
}

/** The workshop's own models are large: where they can't be had, the message says what to run instead. */
function withHint(error: unknown, { remedy }: Hint): unknown {
  return error instanceof UserError && /is not downloaded/.test(error.message)
    ? new UserError(`${error.message}, or ${remedy}`, error.exitCode, { cause: error })
    : error;
}

function show(event: SessionEvent): void {
  if (event.kind !== "begin" && event.kind !== "opened") console.error(lineOf(event));
}

function lineOf(event: Exclude<SessionEvent, { kind: "begin" | "opened" }>): string {
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
