// %% [markdown]
// # Session 3 · Benchmark open-source models
//
// The twin of the workshop's notebook `session03_benchmark_oss_models`: the same steps, variables and fields, on Deno.
// What the original got wrong, and what changed:
//
// - It counts prompt tokens as speed. Here `tokens_per_sec_avg` is generated tokens alone, so it is lower.
// - It guesses token counts (characters / 4) in silence. Here `token_source` says where a count comes from.
// - Its p95 of three rounds goes past the data. Here it is numpy's value, with a `p95_note` where n can't carry it.
// - It asks every model the same prompt again and again, one model after the other: a cached prompt, and a machine that
//   warms up. Here each prompt is new to the engine, and the models take turns.
// - Its validation counts only the survivors. Here a model that failed is a row, and the validation says so.
// - It gives stars for speed, and states memory savings that it never measured. Here nothing is rated, and memory is shown
//   where it was measured.
//
// **A cell with a syntax error shows nothing at all.** Stop (■) ends a measurement early and keeps what it has.

// %%
import { isShort, numberSetting, say, show, stopSignal, table } from "./support.ts";
import { candidates, measured } from "./models.ts";
import { valuesOf } from "../lib/bench/session.ts";
import { findServices } from "../lib/services/discovery.ts";
import { ecdfPlot } from "../lib/plot/ecdf.ts";
import { runProgram } from "../lib/program.ts";
import { singlePrompt } from "../lib/prompts/prompts.ts";
import { notebookRows } from "../lib/report/workshop_fields.ts";

stopSignal();
await say("Ready.");

// %% [markdown]
// ## Service diagnostic
//
// `FOUNDRY_LOCAL_ENDPOINT` (with `API_KEY`, where it wants one) names a service; otherwise the usual ports are tried. With
// none, Podium's own engine runs two small models: nothing else has to be started.

// %%
const services = await findServices({ fetch, env: Deno.env, run: runProgram });
await table(
  services.length === 0
    ? [{ service: "none found", address: "", "models listed": 0, problem: "the embedded engine is used" }]
    : services.map(({ kind, endpoint, models, problem }) => ({
      service: kind,
      address: endpoint.baseUrl,
      "models listed": models.length,
      problem: problem ?? "",
    })),
  "Services that answered /v1/models. To start Foundry Local: foundry service start, then foundry model run phi-4-mini.",
);

// %% [markdown]
// ## Configuration
//
// `BENCH_MODELS` (comma-separated; empty: whatever is found, one variant a model, the CPU's first), `BENCH_ROUNDS`,
// `BENCH_PROMPT`, `BENCH_MAX_TOKENS`, `BENCH_TEMPERATURE`.

// %%
const asked = (Deno.env.get("BENCH_MODELS") ?? "").split(",").map((name) => name.trim()).filter((name) =>
  name !== ""
);
const rounds = numberSetting("BENCH_ROUNDS", 3, { min: 1, whole: true });
const prompt = Deno.env.get("BENCH_PROMPT") ?? "Explain retrieval augmented generation briefly.";
const maxTokens = numberSetting("BENCH_MAX_TOKENS", isShort() ? 24 : 120, { min: 1, whole: true });
const temperature = numberSetting("BENCH_TEMPERATURE", 0.2, { min: 0, whole: false });
const found = await candidates(asked.length === 0 ? null : asked, 6);
const names = asked.length === 0 ? found.candidates.map(({ info }) => info.id) : asked;
await table(
  [{ models: names.join(", "), rounds, "max tokens": maxTokens, temperature, prompt }],
  "What is measured, and how.",
);

// %% [markdown]
// ## Benchmark
//
// **Question.** Three rounds each: what will the p95 be worth?

// %%
const result = await measured(found, {
  prompts: singlePrompt(prompt),
  rounds,
  warmup: 1,
  maxTokens,
  temperature,
  prefix: "cold",
  seed: 1,
  timeoutS: 300,
});
found.close();

// %% [markdown]
// ## Results

// %%
const rows = notebookRows(result.summary, result.run.candidates, {
  names,
  disturbed: new Set(result.run.disturbed.keys()),
});
const digits = (value: number | null, places: number) => value === null ? null : value.toFixed(places);
await table(
  rows.map((row) => ({
    Model: row.alias,
    "Latency avg (s)": digits(row.latency_avg_s, 3),
    "min (s)": digits(row.latency_min_s, 3),
    "max (s)": digits(row.latency_max_s, 3),
    "P95 (s)": digits(row.latency_p95_s, 3),
    "Output tokens/s": digits(row.tokens_per_sec_avg, 1),
    "Tokens out": digits(row.avg_completion_tokens, 1),
    Success: `${row.rounds_ok} of ${row.configured_rounds}`,
    Status: row.reason ?? row.status,
  })),
  rows.find(({ p95_note }) => p95_note !== null)?.p95_note ?? "Every figure is carried by its n.",
);

// %%
await table(
  result.summary.candidates.map((row) => ({
    Model: row.id,
    "loads in (s)": digits(row.load_s, 2),
    "memory (MB)": digits(row.memory_mb, 0),
    "runs on": row.device,
    "sample answer": row.sample_answer?.slice(0, 200) ?? null,
  })),
  "Load time and resident memory as measured; a dash: the service does not tell. Memory that nobody measured is not stated.",
);

// %% [markdown]
// ## JSON summary

// %%
console.log(JSON.stringify(rows, null, 2));
await say(`Every request behind these rows is kept in ${result.folder.replace("../", "")}.`);

// %% [markdown]
// ## Validation

// %%
const failed = rows.filter(({ status }) => status !== "ok");
const estimated = rows.filter(({ token_source }) => token_source !== "usage" && token_source !== null);
await table([
  { check: "service", result: services.length === 0 ? "none: the embedded engine was used" : "found" },
  { check: "models configured", result: `${rows.length}: ${names.join(", ")}` },
  {
    check: "models that answered every round",
    result: `${rows.length - failed.length} of ${rows.length}` +
      failed.map(({ alias, reason }) => `; ${alias}: ${reason ?? "some rounds failed"}`).join(""),
  },
  {
    check: "token counts",
    result: estimated.length === 0
      ? "counted"
      : `estimated for ${estimated.map(({ alias }) => alias).join(", ")}`,
  },
  {
    check: "quiet machine",
    result: `${
      result.summary.blocks.timed - result.summary.blocks.disturbed
    } of ${result.summary.blocks.timed} blocks`,
  },
], "Every model that was configured counts, also one that failed.");

// %% [markdown]
// ## Exercise
//
// How many rounds would let the p95 stand without a note? Set `BENCH_ROUNDS` in the empty cell
// (`Deno.env.set("BENCH_ROUNDS", "20")`), then run again from *Configuration*.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution
await say(
  "Twenty: from there on p95 lies between two measured values with data above it; its interval needs 59.",
);

// %% [markdown]
// ## What could mislead you here
//
// - *One prompt is one case.* Another prompt, another ranking; notebook 03 asks ten.
// - *Temperature 0.2 changes the answer, and so its length,* from round to round. The workshop's scenario uses 0.
// - *The fastest row is not the best model.* It may be the one that says the least.
//
// ## The figure to keep

// %% figures=1
await show(ecdfPlot(
  result.summary.candidates.map(({ id }) => ({
    name: id,
    values: valuesOf(result, id, "latency_s").map(({ value }) => value),
  })),
  { title: "Latency of every round", metric: "latency" },
));
