/**
 * The metrics: each is one row of `metrics` below, with its formula from the raw record of one request. Null
 * where an input is missing, never zero or a guess. The names are the field's; see docs/words.md.
 */
import type { RequestRecord } from "./records.ts";

/**
 * The metrics of a summary, in the order of summary.json and report.csv: the name in tables, and the value
 * for one request. `itl_s` has a value for each gap instead: `gapsMs`. A new metric is a row here and a line
 * of the schema in summary_schema.ts; the rest is derived from this table.
 */
export const metrics = {
  latency_s: { title: "E2E latency", of: latencyS },
  ttft_s: { title: "time to first token", of: ttftS },
  ttfo_s: { title: "time to first visible output", of: ttfoS },
  tpot_s: { title: "time per output token", of: tpotS },
  itl_s: { title: "gap between chunks", of: null },
  output_tokens_per_s: { title: "output tokens/s", of: outputTokensPerS },
  decode_tokens_per_s: { title: "decode tokens/s", of: decodeTokensPerS },
  output_chars_per_s: { title: "characters/s", of: outputCharsPerS },
  prefill_tokens_per_s: { title: "prefill tokens/s", of: prefillTokensPerS },
};
export type MetricName = keyof typeof metrics;
export const metricNames = Object.keys(metrics) as MetricName[];

/** Rates are better when they are higher, times when they are lower. */
export const higherIsBetter = (name: MetricName): boolean => name.endsWith("_per_s");

/** The metrics that have one value per request. */
export const requestMetrics = metricNames.filter((name) => name !== "itl_s");
export type RequestMetric = typeof requestMetrics[number];

/**
 * An object with a value for each of these metrics.
 *
 * ```ts
 * const zeros = byMetric(["ttft_s", "tpot_s"], () => 0);
 * if (zeros.ttft_s !== 0 || Object.keys(zeros).length !== 2) throw new Error("one value per name");
 * ```
 */
export function byMetric<Name extends MetricName, T>(
  names: readonly Name[],
  valueFor: (name: Name) => T,
): Record<Name, T> {
  // Object.fromEntries forgets which keys it was given.
  return Object.fromEntries(names.map((name) => [name, valueFor(name)])) as Record<Name, T>;
}

type Timing = Pick<
  RequestRecord,
  | "streamed"
  | "chunk_ms"
  | "first_content_chunk"
  | "output_tokens"
  | "content_chars"
  | "reasoning_chars"
  | "reasoning_tokens"
  | "prompt_tokens"
  | "cached_tokens"
  | "prefix"
  | "due_ms"
  | "sent_ms"
>;

const last = (values: readonly number[]) => values.at(-1);

/**
 * Time to first token: first generated delta − due, in seconds. Null unless the answer was streamed: a whole
 * answer at once has no first token.
 */
export function ttftS(record: Timing): number | null {
  const first = record.chunk_ms[0];
  return record.streamed && first !== undefined ? first / 1000 : null;
}

/** Time to first output: first visible content − due, in seconds; later than TTFT where a model reasons first. */
export function ttfoS(record: Timing): number | null {
  const at = record.first_content_chunk === null ? undefined : record.chunk_ms[record.first_content_chunk];
  return record.streamed && at !== undefined ? at / 1000 : null;
}

/** E2E latency: last generated delta − due, in seconds. */
export function latencyS(record: Timing): number | null {
  const end = last(record.chunk_ms);
  return end === undefined ? null : end / 1000;
}

/**
 * Time per output token: (last − first) / (output tokens − 1), in seconds. Null below two tokens, where
 * everything came in one chunk, and where reasoning was counted but not streamed.
 */
export function tpotS(record: Timing): number | null {
  const [first, end] = [record.chunk_ms[0], last(record.chunk_ms)];
  if (!record.streamed || first === undefined || end === undefined) return null;
  if (record.output_tokens < 2 || end <= first) return null;
  // Reasoning that was counted but not streamed was generated before the first chunk.
  if ((record.reasoning_tokens ?? 0) > 0 && record.reasoning_chars === 0) return null;
  return (end - first) / 1000 / (record.output_tokens - 1);
}

/** Every gap between chunks, in milliseconds. A chunk is not a token. Empty unless streamed. */
export function gapsMs(record: Timing): number[] {
  if (!record.streamed) return [];
  const gaps: number[] = [];
  let before: number | undefined;
  for (const at of record.chunk_ms) {
    if (before !== undefined) gaps.push(at - before);
    before = at;
  }
  return gaps;
}

/** Output tokens/s = output tokens / E2E latency: never prompt tokens. */
export function outputTokensPerS(record: Timing): number | null {
  return perSecond(record.output_tokens, latencyS(record));
}

/** Decode tokens/s = 1 / TPOT: the speed after the first token. */
export function decodeTokensPerS(record: Timing): number | null {
  const tpot = tpotS(record);
  return tpot === null ? null : 1 / tpot;
}

/** Characters/s = characters (visible and reasoning) / E2E latency: comparable where tokenizers differ. */
export function outputCharsPerS(record: Timing): number | null {
  return perSecond(record.content_chars + record.reasoning_chars, latencyS(record));
}

/**
 * Prefill tokens/s = prompt tokens that did not come from the server's cache / (first generated delta
 * − sent). The time includes the first token and the round trip, so short prompts understate the
 * speed. Null on a warm prefix, and where an untouched prompt may have been cached and the server does
 * not say how much of it was.
 */
export function prefillTokensPerS(record: Timing): number | null {
  const { prefix, prompt_tokens: tokens, cached_tokens: cached, due_ms, sent_ms } = record;
  const ttft = ttftS(record);
  if (ttft === null || tokens === null || prefix === "warm" || (prefix === "as is" && cached === null)) {
    return null;
  }
  return perSecond(Math.max(0, tokens - (cached ?? 0)), ttft - (sent_ms - due_ms) / 1000);
}

/** Waiting in the client's own queue: sent − due, in seconds. Zero in a closed loop. */
export function queueS(record: Timing): number {
  return (record.sent_ms - record.due_ms) / 1000;
}

/**
 * The time by which warm-ups are compared: time per output token, or latency divided by output tokens where
 * that is not known, in seconds. Null for a request that was not answered.
 */
export function secondsPerToken(record: Timing & Pick<RequestRecord, "status">): number | null {
  if (record.status !== "ok") return null;
  const latency = latencyS(record);
  return tpotS(record) ?? (latency === null ? null : latency / Math.max(1, record.output_tokens));
}

function perSecond(amount: number, seconds: number | null): number | null {
  return seconds === null || seconds <= 0 || amount === 0 ? null : amount / seconds;
}

/** Limits of a request in seconds; null where that time has none. */
export interface Limits {
  readonly ttft_s: number | null;
  readonly e2e_s: number | null;
}

/** Whether a request succeeded within the limits; a time that is not known is within none. */
export function meetsLimits(record: RequestRecord, limits: Limits): boolean {
  const within = (value: number | null, limit: number | null) =>
    limit === null || (value !== null && value <= limit);
  return record.status === "ok" && within(ttftS(record), limits.ttft_s) &&
    within(latencyS(record), limits.e2e_s);
}
