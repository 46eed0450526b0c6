/**
 * summary.json: what a run showed, derived from run.json and samples.jsonl and derivable again. A field that
 * version 2 did not have from the start has a default. Other programs rely on these names, which include the
 * units; a null is "not known", never zero.
 */
import { z } from "zod";
import { NO_VALUES } from "../stats/statistic.ts";
import type { MetricName } from "./metrics.ts";
import { llamaCpp, machineInfo, planInfo, RUN_SCHEMA, tokenSource } from "./records.ts";

const interval = z.tuple([z.number(), z.number()]).nullable();

/**
 * One metric over the timed requests of a candidate. Percentiles are linear; null where there are too few
 * cases: p95 below 20 (its interval below 59), p99 below 100.
 */
export const statistic = z.object({
  /** Requests. */
  n: z.number().int().nonnegative(),
  /** What is counted for percentiles and intervals: cases; repeats of a single case; stretches under load. */
  units: z.number().int().nonnegative(),
  mean: z.number().nullable(),
  sd: z.number().nullable(),
  min: z.number().nullable(),
  p50: z.number().nullable(),
  p95: z.number().nullable(),
  p99: z.number().nullable(),
  max: z.number().nullable(),
  mean_ci95: interval,
  p95_ci95: interval,
});
export type SummaryStatistic = z.infer<typeof statistic>;

const metricStatistics = {
  /** E2E latency: last generated delta − due. */
  latency_s: statistic,
  ttft_s: statistic,
  ttfo_s: statistic,
  tpot_s: statistic,
  /** Over every gap between chunks, not a mean per request. */
  itl_s: statistic,
  output_tokens_per_s: statistic,
  decode_tokens_per_s: statistic,
  output_chars_per_s: statistic,
  /** Reading the prompt; of no request under load, where waiting in the server's queue would count. */
  prefill_tokens_per_s: statistic.default({ ...NO_VALUES }),
} satisfies Record<MetricName, z.ZodType<SummaryStatistic>>;
/** The requests of a candidate whose prompts are about equally long. */
const lengthSummary = z.object({
  /** From this many prompt tokens … */
  from_tokens: z.number().int(),
  /** … to this many, as they were counted. */
  to_tokens: z.number().int(),
  /** What --prompt-tokens asked for; null where prompts are as long as they are. */
  target_tokens: z.number().int().nullable(),
  prompt_tokens_mean: z.number(),
  /** Timed requests that failed. */
  failed: z.number().int(),
  latency_s: statistic,
  ttft_s: statistic,
  prefill_tokens_per_s: statistic,
  decode_tokens_per_s: statistic,
  /** Share of the timed requests that met the limits of --slo; null without limits. */
  met: z.number().nullable(),
});
/** The requests of a candidate whose prompts are about equally long. */
export type LengthSummary = z.infer<typeof lengthSummary>;

const beforeAfter = z.tuple([z.number(), z.number()]).nullable();

/** Decode speed over time, and when it changed for good. */
const sustained = z.object({
  /** Requests whose decode speed is known, and the time from the first to the last. */
  n: z.number().int(),
  seconds: z.number(),
  /** The most likely change of level by a tested method; null where none is beyond chance, or it is below 5 %. */
  change: z.object({
    /** Seconds after the first timed request. */
    at_s: z.number(),
    /** Decode speed after the change over that before, at the same cases. */
    ratio: z.number(),
    tokens_per_s: z.tuple([z.number(), z.number()]),
    /** Probability of so large a change in a series without one. */
    p: z.number(),
    /** Means before and after; null where the machine doesn't report them. */
    temperature_c: beforeAfter,
    frequency_mhz: beforeAfter,
  }).nullable(),
});
/** Decode speed over time, and when it changed for good. */
export type Sustained = z.infer<typeof sustained>;

export const candidateSummary = z.object({
  id: z.string(),
  alias: z.string(),
  variant: z.string().nullable(),
  /** What really ran it where a load record says so, otherwise what was requested. */
  device: z.string().nullable(),
  /** Which way the embedded engine called llama.cpp; null where another program ran it, and in runs of schema 1. */
  llama_cpp: llamaCpp.nullable(),
  endpoint: z.string(),
  model_id: z.string(),
  /** `ok`; `partial` when some timed requests failed or it left the run early; `failed` without one good request. */
  status: z.enum(["ok", "partial", "failed", "skipped"]),
  reason: z.string().nullable(),
  /** Timed requests; a cut-off (partial) answer counts as failed. */
  requests: z.object({ ok: z.number().int(), failed: z.number().int() }),
  ...metricStatistics,
  /** The same metrics with disturbed blocks included; null where no block was disturbed. */
  with_disturbed: z.object(metricStatistics).nullable(),
  /** Decode speed over a run for a time (--for); null where the run had rounds. */
  sustained: sustained.nullable().default(null),
  /** By length of the prompt, the shortest first; empty where lengths differ by less than four times. */
  by_length: z.array(lengthSummary).default([]),
  tokens: z.object({
    /** The weakest source among the requests: one estimate makes the figure an estimate. */
    source: tokenSource.nullable(),
    prompt_mean: z.number().nullable(),
    output_mean: z.number().nullable(),
    output_p95: z.number().nullable(),
  }),
  finish: z.object({ stop: z.number().int(), length: z.number().int() }),
  load_s: z.number().nullable(),
  /** Warm-up requests that were answered, and whether the last two took about the same time per token. */
  warmup: z.object({ n: z.number().int(), stable: z.boolean().nullable() }),
  /** Time per token at the end of the run over that at its start, by a straight line; null below eight requests. */
  drift: z.object({ ratio: z.number(), ci95: z.tuple([z.number(), z.number()]), n: z.number().int() })
    .nullable(),
  /** Largest resident size seen between blocks. */
  memory_mb: z.number().nullable(),
  size_mb: z.number().nullable(),
  license: z.string().nullable(),
  sample_answer: z.string().nullable(),
  /** Waiting in the client's own queue (sent − due), only under a constant rate or concurrency. */
  queue_s: statistic.nullable(),
  /** Requests per second that succeeded and met the stated limits; null without --slo. */
  goodput: z.object({
    requests_per_s: z.number(),
    /** Share of the timed requests that met the limits. */
    met: z.number(),
    n: z.number().int(),
  }).nullable(),
  /** Null in a closed loop of one client. */
  load: z.object({
    /** Requests per second that the plan states; null in a closed loop. */
    asked_rate: z.number().nullable(),
    delivered_rate: z.number(),
    completed_rate: z.number(),
    /** Most requests in flight at once. */
    max_in_flight: z.number().int(),
  }).nullable(),
});
export type CandidateSummary = z.infer<typeof candidateSummary>;

/** The metrics that candidates are compared in; all have one value per request. */
export const comparisonMetrics = [
  "latency_s",
  "ttft_s",
  "tpot_s",
  "decode_tokens_per_s",
  "output_chars_per_s",
] as const;

/**
 * Two candidates over their common quiet blocks. `ratio` is the geometric mean of a/b;
 * `similar`: the interval lies within ±10 %.
 */
export const comparison = z.object({
  a: z.string(),
  b: z.string(),
  metric: z.enum(comparisonMetrics),
  ratio: z.number().nullable(),
  /** Of this comparison alone. */
  ci95: interval,
  /** Blocks that both answered. */
  n: z.number().int(),
  cases: z.number().int(),
  /** What the interval takes as independent: see `scope`. */
  unit: z.enum(["case", "repeat", "stretch"]),
  units: z.number().int(),
  /** p-value of "no difference", corrected over all comparisons of the run; null where there is no interval. */
  p_corrected: z.number().nullable(),
  /** Standard deviations of the logarithm of the ratio, between cases and between repeats of a case. */
  spread: z.object({ between: z.number().nullable(), within: z.number().nullable() }),
  /** Blocks in which one took more than twice as long, or wrote at less than half the rate. */
  far_apart: z.number().int(),
  /** "better" holds with 95 % for all comparisons of the run together. */
  verdict: z.enum(["a better", "b better", "similar", "undecided"]),
  /** Why there is no firmer verdict; empty where none is needed. */
  why: z.string(),
});
export type Comparison = z.infer<typeof comparison>;

/** The places that a candidate may have in one metric, given the comparisons: 1 is best. */
export const rank = z.object({
  candidate: z.string(),
  metric: z.enum(comparisonMetrics),
  from: z.number().int(),
  to: z.number().int(),
});
export type Rank = z.infer<typeof rank>;

/** Which cases the run's intervals and verdicts speak about, and how many there were. */
export const scope = z.object({
  claim: z.enum(["cases like these", "this case", "this load on these cases"]),
  cases: z.number().int(),
  /** Independent units: cases, repeats of the one case, or stretches. */
  units: z.number().int(),
});
export type Scope = z.infer<typeof scope>;

const warningCode = z.enum([
  "small-n",
  "few-stretches",
  "estimated-tokens",
  "lengths-differ",
  "answers-cut",
  "drift-not-controlled",
  "noise",
  "noise-unknown",
  "plain-chat-template",
  "not-streamed",
  "load-missed",
  "short-stretches",
  "client-bottleneck",
  "failures",
  "skipped",
  "warm-prefix",
  "prefix-as-is",
  "cache-hit",
  "shared-cache",
  "server-disagrees",
  "interrupted",
  "torn-line",
  "device-fallback",
  "one-device",
  "engine-ways-differ",
  "request-changed",
  "drift-seen",
  "not-stable",
]);

export const warning = z.object({
  code: warningCode,
  /** The candidates concerned; empty where it is the whole run. */
  candidates: z.array(z.string()),
  message: z.string(),
  remedy: z.string(),
});
export type Warning = z.infer<typeof warning>;

export const summarySchema = z.object({
  /** What earlier versions of Podium wrote is derived again from the records. */
  schema_version: z.literal(RUN_SCHEMA),
  run_id: z.string(),
  status: z.enum(["running", "completed", "interrupted", "failed"]),
  created_at: z.string(),
  machine: machineInfo,
  versions: z.record(z.string(), z.string()),
  plan: planInfo,
  candidates: z.array(candidateSummary),
  scope,
  comparisons: z.array(comparison),
  /** One row per candidate and metric. */
  ranks: z.array(rank),
  /** Blocks that were timed, and those left out of the headline because the machine was busy. */
  blocks: z.object({
    timed: z.number().int(),
    /** While other programs, or a hypervisor, used processors that the candidates needed. */
    disturbed: z.number().int(),
    /**
     * What was done with them: left out of the headline; or counted, since they were not slower (`harmless`)
     * or since there were too many to leave out, and then there is no verdict.
     */
    treatment: z.enum(["none", "harmless", "left out", "too many"]),
    /** How many times as long requests took in disturbed blocks, measured in this run; null where it is unknown. */
    slowdown: z.number().nullable(),
    /** The program that was busy; null where none was named. */
    busiest: z.object({ program: z.string(), cores: z.number() }).nullable(),
  }),
  warnings: z.array(warning),
});
/** The document in summary.json; the schema in lib/bench/summary_schema.ts describes each field. */
export type Summary = z.infer<typeof summarySchema>;
