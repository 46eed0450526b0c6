/** Answers of the OpenAI protocol: one document, or server-sent events. */
import { type ApiError, errorBody } from "./api_error.ts";
import type { CallDelta } from "../endpoint/answer_chunk.ts";
import type { ToolCall } from "../prompts/request_settings.ts";
import type { AnswerRequest } from "./request.ts";

/** A token, its log-probability, and the most likely tokens at its position, most likely first. */
export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly top: readonly { readonly token: string; readonly logprob: number }[];
}

/** A piece of an answer, emitted as soon as it exists: text, a piece of a tool call, text with its tokens. */
export type AnswerPiece = string | { readonly call: CallDelta } | {
  readonly text: string;
  readonly logprobs: readonly TokenLogprob[];
};

/** The result of one generation. Times are milliseconds on the engine's monotonic clock. */
export interface Generated {
  readonly finishReason: "stop" | "length" | "tool_calls";
  /** Null, as `outputTokens` is, where the model can't count tokens. */
  readonly promptTokens: number | null;
  /** Prompt tokens that the engine had evaluated before and did not evaluate again. */
  readonly cachedTokens: number;
  /** Tokens of the answer, without the end token. */
  readonly outputTokens: number | null;
  /** From the start of work on this request to its first token, without the time in the queue. */
  readonly promptMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

/** OpenAI's `usage`; left out where nothing was counted, so that no guess looks like a count. */
export function usageOf({ promptTokens, outputTokens, cachedTokens }: Generated) {
  if (promptTokens === null || outputTokens === null) return {};
  return {
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: outputTokens,
      total_tokens: promptTokens + outputTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
    },
  };
}

/** The engine's own times, under the names that llama.cpp's server uses. */
export function timingsOf({ promptTokens, outputTokens, cachedTokens, promptMs, decodeMs }: Generated) {
  const times = { prompt_ms: round(promptMs), predicted_ms: round(decodeMs) };
  if (promptTokens === null || outputTokens === null) return times;
  return {
    cache_n: cachedTokens,
    prompt_n: promptTokens - cachedTokens,
    prompt_ms: times.prompt_ms,
    predicted_n: outputTokens,
    predicted_ms: times.predicted_ms,
  };
}

const round = (ms: number) => Math.round(ms * 1000) / 1000;

/** What all chunks of one answer share. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** Joins the pieces of an answer, for a request without `stream`. */
export class CollectedAnswer {
  #text = "";
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  readonly #logprobs: TokenLogprob[] = [];

  add(piece: AnswerPiece): void {
    if (typeof piece === "string") this.#text += piece;
    else if ("call" in piece) this.#addCall(piece.call);
    else {
      this.#text += piece.text;
      this.#logprobs.push(...piece.logprobs);
    }
  }

  #addCall({ index, id, name, arguments: text }: CallDelta): void {
    const call = this.#calls[index ?? 0] ??= { id: "", name: "", arguments: "" };
    call.id += id;
    call.name += name;
    call.arguments += text;
  }

  get text(): string {
    return this.#text;
  }

  get calls(): readonly ToolCall[] {
    return this.#calls;
  }

  get logprobs(): readonly TokenLogprob[] {
    return this.#logprobs;
  }
}

const encoder = new TextEncoder();
const tokenJson = ({ token, logprob }: { readonly token: string; readonly logprob: number }) => ({
  token,
  logprob,
  bytes: [...encoder.encode(token)],
});

/** OpenAI's `logprobs` of a choice; null where none were requested. */
const logprobsJson = ({ logprobs }: AnswerRequest, tokens: readonly TokenLogprob[]) =>
  logprobs === null ? null : {
    content: tokens.map((one) => ({ ...tokenJson(one), top_logprobs: one.top.map(tokenJson) })),
    refusal: null,
  };

/** The answer to a request without `stream`. */
export function wholeAnswer(
  request: AnswerRequest,
  head: AnswerHead,
  { text, calls, logprobs }: Pick<CollectedAnswer, "text" | "calls" | "logprobs">,
  result: Generated,
) {
  const finish_reason = result.finishReason;
  const tool_calls = calls.map(({ id, name, arguments: text }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));
  const choice = request.route === "chat"
    ? {
      index: 0,
      message: {
        role: "assistant",
        content: text === "" && calls.length > 0 ? null : text,
        refusal: null,
        ...(calls.length === 0 ? {} : { tool_calls }),
      },
      logprobs: logprobsJson(request, logprobs),
      finish_reason,
    }
    : { index: 0, text, logprobs: null, finish_reason };
  return {
    ...head,
    object: request.route === "chat" ? "chat.completion" : "text_completion",
    choices: [choice],
    ...usageOf(result),
    timings: timingsOf(result),
  };
}

/**
 * Writes the server-sent events of one streamed answer. Everything that chunks share is prepared once,
 * because this code runs between two tokens.
 *
 * ```ts
 * import { parseCompletion } from "./request.ts";
 * const request = parseCompletion({ model: "m", prompt: "Hi", stream: true });
 * const writer = new ChunkWriter(request, { id: "cmpl-1", created: 0, model: "m" });
 * const text = new TextDecoder().decode(writer.delta("yes"));
 * if (!text.startsWith('data: {"id":"cmpl-1"') || !text.includes('"text":"yes"')) throw new Error(text);
 * ```
 */
export class ChunkWriter {
  readonly #encoder = new TextEncoder();
  readonly #head: string;
  readonly #before: string;
  readonly #after: string;
  #first = true;

  constructor(private readonly request: AnswerRequest, head: AnswerHead) {
    const object = request.route === "chat" ? "chat.completion.chunk" : "text_completion";
    this.#head = JSON.stringify({ ...head, object }).slice(0, -1);
    this.#before = `data: ${this.#head},"choices":[{"index":0,` +
      (request.route === "chat" ? `"delta":{"content":` : `"text":`);
    this.#after = `${request.route === "chat" ? "}" : ""},"logprobs":null,"finish_reason":null}]}\n\n`;
  }

  /** One piece of the answer. The first piece of a chat also carries the role. */
  delta(piece: AnswerPiece): Uint8Array<ArrayBuffer> {
    const isFirst = this.#first && this.request.route === "chat";
    if (!isFirst && typeof piece === "string") {
      return this.#encoder.encode(this.#before + JSON.stringify(piece) + this.#after);
    }
    this.#first = false;
    const isCall = typeof piece === "object" && "call" in piece;
    const content = typeof piece === "string" ? piece : isCall ? null : piece.text;
    const delta = {
      ...(isFirst ? { role: "assistant", content } : isCall ? {} : { content }),
      ...(isCall ? { tool_calls: [callDeltaJson(piece.call)] } : {}),
    };
    const tokens = typeof piece === "object" && "logprobs" in piece ? piece.logprobs : [];
    const logprobs = tokens.length === 0 ? null : logprobsJson(this.request, tokens);
    return this.#event([{ index: 0, delta, logprobs, finish_reason: null }]);
  }

  /** The end: the finish reason, the usage chunk where the request wants it, and `[DONE]`. */
  end(result: Generated): Uint8Array<ArrayBuffer>[] {
    const last = { index: 0, logprobs: null, finish_reason: result.finishReason };
    const choices = [this.request.route === "chat" ? { ...last, delta: {} } : { ...last, text: "" }];
    const timings = timingsOf(result);
    const done = this.#encoder.encode("data: [DONE]\n\n");
    const usage = usageOf(result);
    if (!this.request.includeUsage || usage.usage === undefined) {
      return [this.#event(choices, { timings }), done];
    }
    return [this.#event(choices), this.#event([], { ...usage, timings }), done];
  }

  /** An error after the start of the answer, which only an event can report. */
  failure(error: ApiError): Uint8Array<ArrayBuffer> {
    return this.#encoder.encode(`data: ${JSON.stringify(errorBody(error))}\n\n`);
  }

  #event(choices: unknown[], extra: Record<string, unknown> = {}): Uint8Array<ArrayBuffer> {
    const tail = JSON.stringify({ choices, ...extra }).slice(1);
    return this.#encoder.encode(`data: ${this.#head},${tail}\n\n`);
  }
}

const callDeltaJson = ({ index, id, name, arguments: text }: CallDelta) => ({
  index,
  ...(id === "" ? {} : { id, type: "function" }),
  function: { ...(name === "" ? {} : { name }), arguments: text },
});
