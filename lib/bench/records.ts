/**
 * The records that a run writes to disk, one JSON document per line in samples.jsonl and answers.jsonl.
 * Everything else (summary, comparison, report, decision) is derived from these and run.json. Times in `_ms`
 * are milliseconds since the run's own start on the monotonic clock.
 */
import { z } from "zod";

const ms = z.number().nonnegative();
const count = z.number().int().nonnegative();

/**
 * A long list of numbers, checked in one go: a schema for every number made reading a run twice as slow. JSON
 * has no NaN and no infinity, so only the lower bound needs a check.
 */
const numbers = (accept: (value: number) => boolean, expected: string) =>
  z.custom<number[]>(
    (value) => Array.isArray(value) && value.every((one) => typeof one === "number" && accept(one)),
    { error: `expected a list of ${expected}` },
  );

/** The source of a token count, the surest first: `usage` is the service's own count. */
export const tokenSource = z.enum(["usage", "chunks", "chars/4"]);
export type TokenSource = z.infer<typeof tokenSource>;

/** Whether tokens were not counted; false where there was no answer. */
export const isEstimate = (source: TokenSource | null): boolean => source !== null && source !== "usage";

/**
 * What the server had seen of a prompt before: `cold`, nothing (a nonce opens it); `warm`, the same prompt
 * right before; `as is`, the prompt untouched and nothing sent before, for runs whose answers are scored.
 */
const prefixKind = z.enum(["cold", "warm", "as is"]);
export type PrefixKind = z.infer<typeof prefixKind>;

/** `cold prefix`, `warm prefix` or `prefix as is`. */
export const prefixText = (kind: PrefixKind): string => kind === "as is" ? "prefix as is" : `${kind} prefix`;

/**
 * `timed` requests are summarised and scored. Of a conversation only the last is `timed`;
 * those before it are `turn`.
 */
const phase = z.enum(["warmup", "turn", "timed"]);

/** A call that a model made; its arguments are JSON as the model wrote it. */
const toolCall = z.object({ id: z.string(), name: z.string(), arguments: z.string() });

/** One request. Metrics are computed from it, never stored in it. */
const requestRecord = z.object({
  kind: z.literal("request"),
  /** `phase/round/prompt/candidate[/attempt]`, unique in a run: resume relies on it. */
  id: z.string(),
  candidate: z.string(),
  prompt_id: z.string(),
  phase,
  round: count,
  /** Blocks count up through the run; a disturbed block is repeated with a new number. */
  block: count,
  /** Which stretch of the run it belongs to: one block, or under load all requests between two turns. Schema 2. */
  stretch: count.optional(),
  prefix: prefixKind,
  status: z.enum(["ok", "partial", "failed"]),
  reason: z.string().nullable(),
  http_status: z.number().int().nullable(),
  route: z.enum(["chat", "completions"]),
  streamed: z.boolean(),
  due_ms: ms,
  sent_ms: ms,
  headers_ms: ms.nullable(),
  end_ms: ms,
  /** Arrival of every generated delta, relative to `due_ms`. */
  chunk_ms: numbers((value) => value >= 0, "numbers of at least 0"),
  /** UTF-16 code units of every delta, content and reasoning together. */
  chunk_chars: numbers((value) => value >= 0 && Number.isInteger(value), "whole numbers of at least 0"),
  /** Index into `chunk_ms` of the first visible content; null when there was none. */
  first_content_chunk: count.nullable(),
  content_chars: count,
  reasoning_chars: count,
  /** Tool calls in the answer; left out where there are none. */
  calls: count.optional(),
  prompt_tokens: count.nullable(),
  output_tokens: count,
  cached_tokens: count.nullable(),
  reasoning_tokens: count.nullable(),
  token_source: tokenSource,
  finish_reason: z.string().nullable(),
  server: z.object({
    prompt_ms: ms.nullable(),
    decode_ms: ms.nullable(),
    prompt_tokens: count.nullable(),
    output_tokens: count.nullable(),
    cached_tokens: count.nullable(),
  }).nullable(),
});
/**
 * The record of one request, a line of samples.jsonl: when it was due and sent, when its chunks
 * arrived, and what went wrong. Fields that end in `_ms` are milliseconds; the schema in
 * lib/bench/records.ts describes each field.
 */
export type RequestRecord = z.infer<typeof requestRecord>;

/** One model load in a fresh process. */
const loadRecord = z.object({
  kind: z.literal("load"),
  candidate: z.string(),
  at_ms: ms,
  status: z.enum(["ok", "failed"]),
  reason: z.string().nullable(),
  load_s: z.number().nonnegative().nullable(),
  file_cache: z.enum(["cold", "warm", "unknown"]),
  /** The device, as the engine reports it (`cpu`, `vulkan: NAME` …); null when it is not known. */
  device: z.string().nullable(),
});
export type LoadRecord = z.infer<typeof loadRecord>;

/** A candidate that left the run, or never started. */
const candidateRecord = z.object({
  kind: z.literal("candidate"),
  candidate: z.string(),
  at_ms: ms,
  status: z.enum(["failed", "skipped"]),
  reason: z.string(),
});

/** The machine over one block: who used the processor. Null where the system does not report it. */
const machineRecord = z.object({
  kind: z.literal("machine"),
  block: count,
  at_ms: ms,
  wall_ms: ms,
  own_cpu_s: z.number().nonnegative(),
  engines_cpu_s: z.number().nonnegative().nullable(),
  /** An estimate from the pause after the block, where the engines don't report their use. */
  others_cpu_s: z.number().nonnegative().nullable(),
  steal_s: z.number().nonnegative().nullable(),
  frequency_mhz: z.number().positive().nullable(),
  temperature_c: z.number().nullable(),
  /** The program that used most of the processor besides Podium and its candidates. Schema 2; null where unknown. */
  busiest: z.object({ program: z.string(), cores: z.number().nonnegative() }).nullable().optional(),
  /** Energy of the processor packages over the block, in joules; only where a counter can be read. */
  package_j: z.number().nonnegative().optional(),
  /** Why the block is left out of the headline; null for a quiet one. */
  disturbed: z.string().nullable(),
});
export type MachineRecord = z.infer<typeof machineRecord>;

/** Resident memory of a candidate's process, read between blocks. */
const memoryRecord = z.object({
  kind: z.literal("memory"),
  candidate: z.string(),
  at_ms: ms,
  resident_mb: z.number().nonnegative(),
  source: z.enum(["engine", "service"]),
});

export const sampleRecord = z.discriminatedUnion("kind", [
  requestRecord,
  loadRecord,
  candidateRecord,
  machineRecord,
  memoryRecord,
]);
export type SampleRecord = z.infer<typeof sampleRecord>;

/** The text of one answer, apart from its timings. */
export const answerRecord = z.object({
  /** The request's id. */
  id: z.string(),
  candidate: z.string(),
  prompt_id: z.string(),
  phase,
  round: count,
  content: z.string(),
  reasoning: z.string(),
  /** The calls that the model made, in its order; left out where there are none. */
  tool_calls: z.array(toolCall).optional(),
  /** Of a conversation: the model's answers to the turns before this one. */
  turns: z.array(z.string()).optional(),
});
export type AnswerRecord = z.infer<typeof answerRecord>;

/** How the embedded engine called llama.cpp: directly, or through node-llama-cpp for the stated reason. */
export const llamaCpp = z.object({
  way: z.enum(["direct", "node-llama-cpp"]),
  note: z.string().nullable(),
  /** The engine's settings, given or by default. */
  settings: z.object({
    threads: z.number().int(),
    context_tokens: z.number().int(),
    kv_cache: z.enum(["f16", "q8_0", "q4_0"]),
    /** Prompt tokens that were evaluated in one call. */
    batch_tokens: z.number().int(),
    mmap: z.boolean(),
    /** Answers that were made at once; left out in runs from before it was recorded: 1. */
    parallel: z.number().int().optional(),
  }).optional(),
  /** Why the chat template in the model's file is not used; left out where it is. */
  chat_template_note: z.string().optional(),
});
export type LlamaCpp = z.infer<typeof llamaCpp>;

/** How requests to an endpoint differ from the plan, since the endpoint does not take them as they are. */
const candidateProtocol = z.object({
  /** Why system messages open the user message: the endpoint refuses or drops them; null where it takes them. */
  system_message: z.enum(["refused", "dropped"]).nullable(),
  /** Fields of the request that it refuses, and that are left out. */
  left_out: z.array(z.string()),
  /** The field that switches reasoning on and off; left out where nothing is requested of it. */
  thinking_field: z.string().optional(),
});
export type CandidateProtocol = z.infer<typeof candidateProtocol>;

const thinking = z.union([z.literal(["on", "off"]), count]);
const format = z.enum(["free", "json", "schema"]);

/** What a case requests otherwise than the run. */
const requestSettings = z.object({
  max_tokens: z.number().int().positive().exactOptional(),
  temperature: z.number().nonnegative().exactOptional(),
  stop: z.array(z.string()).exactOptional(),
  format: format.exactOptional(),
  schema: z.record(z.string(), z.unknown()).exactOptional(),
  tool_choice: z.union([z.literal(["auto", "none", "required"]), z.object({ name: z.string() })])
    .exactOptional(),
  thinking: thinking.exactOptional(),
});
export type RequestSettingsRecord = z.infer<typeof requestSettings>;

/** One model × variant × endpoint, as the run knew it. */
const candidateInfo = z.object({
  /** `alias[:variant][@endpoint]`, unique in a run. */
  id: z.string(),
  alias: z.string(),
  variant: z.string().nullable(),
  endpoint: z.string(),
  /** What the request's `model` field holds. */
  model_id: z.string(),
  /** What was requested; load records say what really ran. */
  device: z.string().nullable(),
  size_mb: z.number().nonnegative().nullable(),
  license: z.string().nullable(),
  /** SHA-256 of the model's file, as the registry states it. Schema 2; left out where it states none. */
  sha256: z.string().optional(),
  chat_template: z.enum(["own", "plain", "unknown"]),
  /** Its base URL, kept where that names this machine alone, so that a resumed run finds it. Schema 2. */
  base_url: z.string().optional(),
  /** Which way the embedded engine evaluated the model. Schema 2; left out where no engine of Podium's ran it. */
  llama_cpp: llamaCpp.optional(),
  /** What the endpoint refuses, and gets instead. Schema 2; left out where it takes requests as they are. */
  protocol: candidateProtocol.optional(),
  /** How its requests differ from those of the plan, by its name. Schema 2; left out where they don't. */
  request: z.object({
    format: format.exactOptional(),
    thinking: thinking.exactOptional(),
    wording: z.string().exactOptional(),
  }).optional(),
});
export type CandidateInfo = z.infer<typeof candidateInfo>;

export const machineInfo = z.object({
  cpu: z.string(),
  cores: z.number().int().positive(),
  ram_gb: z.number().positive(),
  gpu: z.array(z.string()),
  os: z.string(),
  arch: z.string(),
});
export type MachineInfo = z.infer<typeof machineInfo>;

const message = z.object({
  role: z.enum(["system", "user", "assistant", "tool"]),
  content: z.string(),
  tool_calls: z.array(toolCall).readonly().exactOptional(),
  tool_call_id: z.string().exactOptional(),
});

const promptInfo = z.object({
  id: z.string(),
  sha256: z.string(),
  /** Carried, so that a report can be rebuilt from the folder alone. */
  messages: z.array(message),
  /** Functions that the model may call. Schema 2, as all that follows; each is left out where the case has none. */
  tools: z.array(z.object({
    name: z.string(),
    description: z.string().exactOptional(),
    parameters: z.record(z.string(), z.unknown()).exactOptional(),
  })).optional(),
  settings: requestSettings.optional(),
  /** The user's further messages, each sent after the model's own answer to the one before. */
  turns: z.array(z.string()).optional(),
  /** Other messages for the same case, by the wording's name. */
  wordings: z.record(z.string(), z.array(message)).optional(),
  /** How many tokens it was made long, by --prompt-tokens. */
  target_tokens: z.number().int().positive().optional(),
});

/** Why a candidate may not be chosen, and the nearest change that would admit it. */
export const exclusion = z.object({
  id: z.string(),
  constraint: z.enum([
    "ram",
    "disk",
    "license",
    "capability",
    "context",
    "quality",
    "latency",
    "ttft",
    "memory",
    "failed",
  ]),
  reason: z.string(),
  admit: z.string(),
});
export type Exclusion = z.infer<typeof exclusion>;

/** The rules of a race: with them and the samples it can be run again, to the same verdict. */
const raceTerms = z.object({
  by: z.enum(["latency", "ttft", "throughput", "checks", "utility"]),
  /** Which cases the verdict speaks about. Missing in runs of schema 1. */
  scope: z.enum(["cases like these", "these cases"]).optional(),
  /** Of a utility: what a check score of 1, and what each halving of a time is worth. Null otherwise. */
  weights: z.record(z.string(), z.number().nonnegative()).nullable(),
  delta: z.number().positive().max(1),
  epsilon: z.number().positive(),
  budget: z.number().int().positive(),
  excluded: z.array(exclusion),
  /** The run whose answers were checked against the quality floor. */
  quality_run: z.string().nullable(),
});
export type RaceTerms = z.infer<typeof raceTerms>;

const statedSetting = z.enum(["max_tokens", "temperature"]);
/** A setting of the plan that a job may have too. */
export type StatedSetting = z.infer<typeof statedSetting>;

export const planInfo = z.object({
  /** `bench` executes a plan; `race` asks until the evidence decides. */
  mode: z.enum(["bench", "race"]),
  /** Only of a race. */
  race: raceTerms.optional(),
  prompt_set: z.object({ name: z.string(), sha256: z.string(), prompts: z.array(promptInfo) }),
  rounds: z.number().int().positive(),
  warmup: count,
  /** The longest answer that a request of the plan may have: cases may have limits of their own. */
  max_tokens: z.number().int().positive(),
  temperature: z.number().nonnegative(),
  /** Settings that a flag or a variable stated: they precede the job's own. Schema 2. */
  stated: z.array(statedSetting).exactOptional(),
  seed: z.number().int(),
  sampling_seed: z.number().int().nullable(),
  prefix: prefixKind,
  concurrency: z.number().int().positive(),
  /** Requests due per second; null in a closed loop. */
  rate: z.number().positive().nullable(),
  timeout_s: z.number().positive(),
  /** Requests went on for so long, whatever the rounds; left out where the rounds say how many. Schema 2. */
  for_s: z.number().positive().optional(),
  slo: z.object({ ttft_s: z.number().positive().nullable(), e2e_s: z.number().positive().nullable() })
    .nullable(),
  /** False where whole answers were requested instead of streams. */
  stream: z.boolean().optional(),
  /** Answers of exactly `max_tokens` tokens were requested, where the endpoint supports that. */
  fixed_output: z.boolean().optional(),
  /** False where disturbed blocks are not made up for: the run has exactly the planned rounds. */
  repeat_disturbed: z.boolean().optional(),
  /** `interleaved`, or `by model` where the models don't fit in memory together. */
  order: z.enum(["interleaved", "by model"]),
});
export type PlanInfo = z.infer<typeof planInfo>;

/** The version of run.json, samples.jsonl, answers.jsonl and summary.json that this Podium writes. */
export const RUN_SCHEMA = 2;

/** run.json. Runs of schema 1 lack the fields that are marked "Schema 2", and stay readable. */
export const runInfo = z.object({
  schema_version: z.union([z.literal(1), z.literal(RUN_SCHEMA)]),
  run_id: z.string(),
  created_at: z.string(),
  status: z.enum(["running", "completed", "interrupted", "failed"]),
  machine: machineInfo,
  versions: z.record(z.string(), z.string()),
  plan: planInfo,
  candidates: z.array(candidateInfo),
});
export type RunInfo = z.infer<typeof runInfo>;
