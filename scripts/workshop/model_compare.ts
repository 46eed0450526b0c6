/**
 * Mirror of Workshop/samples/session04/model_compare.py: a small against a larger model on one prompt, as a JSON list
 * of {alias, latency_sec, tokens, sample} or {alias, error}. Same variables: SLM_ALIAS, LLM_ALIAS, COMPARE_PROMPT,
 * COMPARE_RETRIES, FOUNDRY_LOCAL_ENDPOINT.
 *
 * What the original got wrong, and what changed in the numbers:
 * - The first request of each model is the timed one, so the smaller time often is the model that happened to be
 *   loaded already. Here each is warmed up, and load_s stands apart.
 * - `tokens` adds the prompt's tokens to the answer's. Here it is the answer's; `prompt_tokens` is separate.
 * - Retries hide in the time: a failed attempt and its pause count as latency. Here each attempt is timed alone
 *   (`attempts` says how many it took); COMPARE_RETRIES allows more than one, none by default.
 * - One request each tells nothing about which is faster; `note` says so. `deno task bench` finds out.
 *
 *   deno task workshop:model_compare
 *   SLM_ALIAS=smollm2-135m LLM_ALIAS=gemma-3-270m deno task workshop:model_compare
 */
import { printJson, runTask } from "../cli.ts";
import { option, wholeNumber } from "../options.ts";
import {
  isDefault,
  measureModels,
  type MeasuringOptions,
  mirrorCommand,
  onePrompt,
  SMALL_MODELS,
} from "./measuring.ts";

interface Options extends MeasuringOptions {
  readonly slm: string;
  readonly llm: string;
  readonly prompt: string;
  readonly retries: number;
}

const note = "one request each: a look at the answers, not a measurement of speed";

const command = mirrorCommand("model_compare")
  .addOptions([
    option("--slm <name>", "small model").default("phi-4-mini").env("SLM_ALIAS"),
    option("--llm <name>", "larger model").default("qwen2.5-7b").env("LLM_ALIAS"),
    option("--prompt <text>", "prompt").default("List 5 benefits of local AI inference.").env(
      "COMPARE_PROMPT",
    ),
    option("--retries <n>", "retries after a failure", wholeNumber(0, 10), 0).env("COMPARE_RETRIES"),
  ]);

await runTask(command, async (options: Options) => {
  const { prompt, prefix } = options;
  const hint = {
    remedy: "compare two small ones: set SLM_ALIAS=smollm2-135m and LLM_ALIAS=gemma-3-270m",
    instead: isDefault(command, "slm") && isDefault(command, "llm") ? SMALL_MODELS : null,
  };
  const results = new Map<string, Result>();
  let names: readonly string[] = [options.slm, options.llm];
  let compared = names;
  for (let attempt = 1; attempt <= 1 + options.retries && names.length > 0; attempt++) {
    const plan = await onePrompt(prompt, {
      rounds: 1,
      maxTokens: 160,
      temperature: 0.5,
      prefix,
      seed: attempt,
    });
    const measured = await measureModels(names, plan, options, hint);
    const { summary } = measured;
    names = measured.names;
    if (attempt === 1) compared = names;
    for (const [at, row] of summary.candidates.entries()) {
      const alias = names[at] ?? row.alias;
      results.set(alias, resultOf(alias, row, attempt));
    }
    names = names.filter((name) => results.get(name)?.error !== undefined);
  }
  const list = [...new Set(compared)].flatMap((name) => results.get(name) ?? []);
  printJson(list);
  return list.some(({ error }) => error === undefined) ? 0 : 1;
});

interface Result {
  readonly alias: string;
  readonly error?: string;
  readonly [field: string]: unknown;
}

function resultOf(
  alias: string,
  row: import("../../lib/bench/summary_schema.ts").CandidateSummary,
  attempts: number,
): Result {
  if (row.latency_s.mean === null) return { alias, error: row.reason ?? row.status, attempts };
  return {
    alias,
    latency_sec: Math.round(1000 * row.latency_s.mean) / 1000,
    tokens: row.tokens.output_mean,
    sample: row.sample_answer,
    prompt_tokens: row.tokens.prompt_mean,
    token_source: row.tokens.source,
    load_s: row.load_s,
    attempts,
    note,
  };
}
