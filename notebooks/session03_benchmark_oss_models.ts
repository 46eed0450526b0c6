// %% [markdown]
// # Session 3 · Benchmark open-source models
//
// *About 10 minutes.* The workshop's notebook, corrected: the same steps, variables and fields as its
// `session03_benchmark_oss_models`, on Deno.
//
// What the original got wrong, and what changed:
//
// - It counts prompt tokens as speed. Here `tokens_per_sec_avg` is generated tokens alone, so it is lower.
// - It guesses token counts (characters / 4) in silence. Here `token_source` says where a count comes from.
// - Its p95 of three rounds goes past the data. Here it is numpy's value, with a `p95_note` where n is too small for it.
// - It sends every model the same prompt again and again, one model after the other: a cached prompt, and a machine that
//   warms up. Here each prompt is new to the engine, and the models take turns.
// - Its validation counts only the survivors. Here a model that failed is a row, and the validation says so.
// - It gives stars for speed, and states memory savings that it never measured. Here nothing gets stars, and memory is
//   shown where it was measured.
//
// A line marked `knob` is for you to change; then run its cell and those below it again.
// **A cell with a syntax error shows nothing at all.** Stop (■) ends a measurement early and keeps what it has.

// %% [markdown]
// ## Service diagnostic
//
// `FOUNDRY_LOCAL_ENDPOINT` (with `API_KEY`, where it wants one) names a service; otherwise Podium tries the usual ports.
// Without a service, Podium's own engine runs two small models: nothing else has to be started.

// %%
import { bench, candidates, checkGuess, show } from "podium";

const setting = (name: string, otherwise: string) => Deno.env.get(name)?.trim() || otherwise;
const asked = setting("BENCH_MODELS", "").split(",").map((name) => name.trim()).filter((name) => name !== "");
const found = await candidates(asked.length === 0 ? null : asked, { most: 6 });
found.serviceTable();

// %% [markdown]
// ## Configuration
//
// `BENCH_MODELS` (comma-separated; empty: whatever is found, one variant per model, the CPU's first), `BENCH_ROUNDS`,
// `BENCH_PROMPT`, `BENCH_MAX_TOKENS`, `BENCH_TEMPERATURE`.

// %%
const names = asked.length === 0 ? found.ids : asked;
const settings = {
  rounds: Number(setting("BENCH_ROUNDS", "3")), // knob: requests per model
  prompt: setting("BENCH_PROMPT", "Explain retrieval augmented generation briefly."), // knob: another question
  maxTokens: Number(setting("BENCH_MAX_TOKENS", "120")), // knob: where answers are cut
  temperature: Number(setting("BENCH_TEMPERATURE", "0.2")),
};
({ models: names, ...settings });

// %% [markdown]
// ## Benchmark
//
// **Question.** Three rounds each: what will the p95 be worth? And how many tokens does the first model write per second?
// People read about seven.

// %%
const guess = 30; // your prediction: output tokens per second of the first model
const run = await bench(found, { ...settings, warmup: 1, repeatDisturbed: false });

// %% [markdown]
// ## Results

// %%
run.workshop(names);

// %%
checkGuess(guess, run.workshopRows(names)[0]?.tokens_per_sec_avg ?? null, "tokens/s");

// %%
run.resources();

// %% [markdown]
// ## JSON summary

// %%
console.log(JSON.stringify(run.workshopRows(names), null, 2));
await show(`Every request behind these rows is kept in ${run.folder}.`);

// %% [markdown]
// ## Validation

// %%
run.validation();

// %% [markdown]
// ## Exercise
//
// How many rounds would let the p95 stand without a note? Set `BENCH_ROUNDS` in the empty cell
// (`Deno.env.set("BENCH_ROUNDS", "20")`), then run again from *Configuration*.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution
await show(
  "Twenty: from there on p95 lies between two measured values with data above it; its interval needs 59.",
);

// %% [markdown]
// ## What could mislead you here
//
// - *One prompt is one case.* Another prompt, another ranking; notebook 03 uses ten.
// - *Temperature 0.2 changes the answer, and so its length,* from round to round. The workshop's scenario uses 0.
// - *The fastest row is not the best model.* It may be the one that says the least.
//
// ## The figure to keep

// %% figures=1
run.ecdf("latency");
