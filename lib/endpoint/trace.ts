/**
 * One timed request as a raw record, from which every metric is derived. Times are milliseconds on the
 * caller's monotonic clock, read when the bytes arrived.
 */
import type { PromptMessage } from "../prompts/prompts.ts";
import type { RequestSettings, ToolCall, ToolDefinition } from "../prompts/request_settings.ts";

/** An OpenAI-compatible service: its address, its name, and its key, which is never written anywhere. */
export interface Endpoint {
  readonly name: string;
  /** Base URL including the version path, e.g. `http://127.0.0.1:5273/v1`. */
  readonly baseUrl: string;
  readonly apiKey?: string;
}

/** One message of a conversation. */
export type ChatMessage = PromptMessage;

/** A request for generated text, by either route (chat or completions). */
export interface GenerationRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly maxTokens: number;
  readonly temperature: number;
  /** Sampling seed; left out of the request when undefined. */
  readonly seed?: number;
  readonly stop?: readonly string[];
  /** Generate exactly `maxTokens` tokens, where the endpoint can ignore its end token. */
  readonly fixedOutput?: boolean;
  /** Generate any JSON object, or JSON that fits this schema (`response_format` of the chat route). */
  readonly responseFormat?: "json" | {
    readonly name: string;
    readonly schema: Readonly<Record<string, unknown>>;
  };
  /** Functions that the model may call (chat route). */
  readonly tools?: readonly ToolDefinition[];
  readonly toolChoice?: NonNullable<RequestSettings["toolChoice"]>;
  readonly thinking?: NonNullable<RequestSettings["thinking"]>;
}

/** One generated delta, counted in UTF-16 code units. */
export interface ChunkArrival {
  readonly atMs: number;
  /** Characters for the caller: text, and the names and arguments of tool calls. */
  readonly contentChars: number;
  readonly reasoningChars: number;
}

/** Token counts as the endpoint reported them. */
export interface ReportedUsage {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number | null;
  readonly reasoningTokens: number | null;
}

/** Times that the server itself reported: llama.cpp's `timings`, Ollama's durations. */
export interface ServerTimings {
  readonly promptMs: number | null;
  readonly decodeMs: number | null;
  readonly promptTokens: number | null;
  readonly outputTokens: number | null;
  /** Prompt tokens the server took from its cache. */
  readonly cachedTokens: number | null;
}

/** `partial`: text had arrived when something went wrong. */
type RequestStatus = "ok" | "partial" | "failed";

/** A request and its answer. */
export interface Trace {
  readonly status: RequestStatus;
  /** Null exactly when status is `ok`. One line, never a key. */
  readonly reason: string | null;
  readonly httpStatus: number | null;
  /** When the request should have been sent (equal to `sentMs` in a closed loop). */
  readonly dueMs: number;
  readonly sentMs: number;
  readonly headersMs: number | null;
  /** When the answer ended, failed, or was abandoned. */
  readonly endMs: number;
  readonly streamed: boolean;
  readonly route: "chat" | "completions";
  readonly chunks: readonly ChunkArrival[];
  readonly content: string;
  readonly reasoning: string;
  /** The calls that the model made, in its order. */
  readonly toolCalls: readonly ToolCall[];
  readonly finishReason: string | null;
  readonly usage: ReportedUsage | null;
  readonly server: ServerTimings | null;
}
