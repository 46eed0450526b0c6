/** Turns a trace into the record that is kept. */
import { outputTokens } from "../endpoint/tokens.ts";
import type { Trace } from "../endpoint/trace.ts";
import { redactPaths } from "./redact_paths.ts";
import type { AnswerRecord, RequestRecord } from "./records.ts";

/** The fields of a request that the plan decides. */
export type RequestPosition = Pick<
  RequestRecord,
  "id" | "candidate" | "prompt_id" | "phase" | "round" | "block" | "stretch" | "prefix"
>;

/** Microseconds are finer than any clock here; more digits would only fill the disk. */
const micro = (ms: number) => Math.round(ms * 1000) / 1000;

/**
 * The record of a request; `_ms` of the trace become milliseconds since the run's start, arrivals relative
 * to when the request was due.
 *
 * @param originMs the run's start on the trace's clock
 */
export function toRequestRecord(position: RequestPosition, trace: Trace, originMs: number): RequestRecord {
  const { tokens, source } = outputTokens(trace);
  const since = (ms: number) => micro(Math.max(0, ms - originMs));
  const firstContent = trace.chunks.findIndex((chunk) => chunk.contentChars > 0);
  return {
    kind: "request",
    ...position,
    status: trace.status,
    reason: trace.reason === null ? null : redactPaths(trace.reason),
    http_status: trace.httpStatus,
    route: trace.route,
    streamed: trace.streamed,
    due_ms: since(trace.dueMs),
    sent_ms: since(trace.sentMs),
    headers_ms: trace.headersMs === null ? null : since(trace.headersMs),
    end_ms: since(trace.endMs),
    chunk_ms: trace.chunks.map((chunk) => micro(Math.max(0, chunk.atMs - trace.dueMs))),
    chunk_chars: trace.chunks.map((chunk) => chunk.contentChars + chunk.reasoningChars),
    first_content_chunk: firstContent < 0 ? null : firstContent,
    content_chars: trace.content.length,
    reasoning_chars: trace.reasoning.length,
    ...(trace.toolCalls.length === 0 ? {} : { calls: trace.toolCalls.length }),
    prompt_tokens: trace.usage?.promptTokens ?? trace.server?.promptTokens ?? null,
    output_tokens: tokens,
    cached_tokens: trace.usage?.cachedTokens ?? trace.server?.cachedTokens ?? null,
    reasoning_tokens: trace.usage?.reasoningTokens ?? null,
    token_source: source,
    finish_reason: trace.finishReason,
    server: trace.server === null ? null : {
      prompt_ms: trace.server.promptMs,
      decode_ms: trace.server.decodeMs,
      prompt_tokens: trace.server.promptTokens,
      output_tokens: trace.server.outputTokens,
      cached_tokens: trace.server.cachedTokens,
    },
  };
}

/** The answer's text, kept apart from the timings. */
export function toAnswerRecord(position: RequestPosition, trace: Trace): AnswerRecord {
  const { id, candidate, prompt_id, phase, round } = position;
  return {
    id,
    candidate,
    prompt_id,
    phase,
    round,
    content: trace.content,
    reasoning: trace.reasoning,
    ...(trace.toolCalls.length === 0 ? {} : { tool_calls: [...trace.toolCalls] }),
  };
}
