/** How the fake endpoint answers: its known delays, its dialect and its faults. */
import { z } from "zod";

const ms = z.number().nonnegative();
const count = z.number().int().nonnegative();

/** One model of the fake endpoint. Every field has a default: `{}` is a plain, quick, correct answer. */
export const behaviour = z.object({
  /** From the request's last byte to the first token, and from each token to the next. */
  ttftMs: ms.default(0),
  itlMs: ms.default(0),
  tokens: count.default(8),
  /** Holds one token back this much longer. */
  stall: z.object({ atToken: count, ms }).nullable().default(null),
  tokensPerChunk: z.number().int().positive().default(1),
  /** The tokens themselves; ` t1`, ` t2` … when not given. */
  words: z.array(z.string()).nullable().default(null),
  /** So many tokens of reasoning come first, in the field named. */
  reasoning: z.object({ tokens: count, field: z.enum(["reasoning_content", "reasoning"]) }).nullable()
    .default(null),
  routes: z.array(z.enum(["chat", "completions"])).default(["chat", "completions"]),
  /** `json` ignores `stream`, `refuse` answers 400 to it. */
  streaming: z.enum(["yes", "json", "refuse"]).default("yes"),
  /** Answers 400 to `stream_options`, as servers do that have never heard of it. */
  refuseStreamOptions: z.boolean().default(false),
  /** `asked`: a last chunk with `choices: []` when the request includes it. */
  usage: z.enum(["asked", "every", "no-details", "never"]).default("asked"),
  timings: z.enum(["llama", "ollama"]).nullable().default(null),
  /** Every chunk carries `message` beside `delta`. */
  messageToo: z.boolean().default(false),
  done: z.boolean().default(true),
  finishReason: z.string().nullable().default("stop"),
  newline: z.enum(["\n", "\r\n", "\r"]).default("\n"),
  comments: z.boolean().default(false),
  framing: z.enum(["chunked", "close"]).default("chunked"),
  /** Bytes per write, whatever they cut through; null writes each event whole. */
  splitBytes: z.number().int().positive().nullable().default(null),
  closeAfter: z.boolean().default(false),
  contentType: z.string().default("text/event-stream; charset=utf-8"),
  /** The key that requests must bear; a wrong one is echoed in the error, as careless servers do. */
  apiKey: z.string().nullable().default(null),
  fault: z.discriminatedUnion("kind", [
    /** An HTTP error instead of an answer. */
    z.object({ kind: z.literal("http"), status: z.number().int(), body: z.string() }),
    /** After so many chunks: close the socket, go silent, or send an error event. */
    z.object({ kind: z.literal("cut"), afterChunks: count }),
    z.object({ kind: z.literal("hang"), afterChunks: count }),
    z.object({ kind: z.literal("error"), afterChunks: count, message: z.string() }),
    /** These bytes (base64) are the whole response, head included; then the socket closes. */
    z.object({ kind: z.literal("raw"), base64: z.string() }),
    /** Closes the connection without a byte. */
    z.object({ kind: z.literal("refuse") }),
  ]).nullable().default(null),
  /** Whether the delays that were really made are logged, and with them what was asked. */
  log: z.enum(["all", "times", "nothing"]).default("all"),
});
export type Behaviour = z.infer<typeof behaviour>;

/** A behaviour for each model id; the first is also what an unknown model gets when `strict` is off. */
export const fakeOptions = z.object({
  models: z.record(z.string(), behaviour),
  /** Answers 404 to a model it does not list. */
  strict: z.boolean().default(false),
  /** Path before the routes. */
  prefix: z.string().default("/v1"),
  port: count.default(0),
});
export type FakeOptions = z.infer<typeof fakeOptions>;

/** The delays one request really met, in milliseconds since its last byte was read. */
export interface FakeLogEntry {
  readonly model: string;
  /** The last message's text: what ties an entry to the request that a test sent. */
  readonly tag: string;
  readonly path: string;
  readonly authorization: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** When each event with tokens was handed to the socket. */
  readonly chunkMs: number[];
  /** `completed`, or how it ended otherwise. */
  outcome: "open" | "completed" | "client went" | "fault";
}

interface Token {
  readonly content: string;
  readonly reasoning: string;
}

export function tokensOf(b: Behaviour, limit: number): Token[] {
  const words = b.words ?? Array.from({ length: b.tokens }, (_, i) => ` t${i + 1}`);
  const content = words.slice(0, limit).map((word) => ({ content: word, reasoning: "" }));
  const thought = Array.from({ length: b.reasoning?.tokens ?? 0 }, (_, i) => ({
    content: "",
    reasoning: ` r${i + 1}`,
  }));
  return [...thought, ...content];
}

/** One event of the answer: when it is due after the request, and its text. */
export interface Event {
  readonly dueMs: number;
  readonly json: unknown;
  readonly carriesTokens: boolean;
}

export interface Asked {
  readonly model: string;
  readonly chat: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens: number;
  readonly promptTokens: number;
}

/** The answer as a whole JSON document, and as the events of a stream. */
export function answerOf(b: Behaviour, asked: Asked): { whole: unknown; events: Event[]; lastDueMs: number } {
  const tokens = tokensOf(b, asked.maxTokens);
  const finish = b.finishReason === "stop" && b.words === null && asked.maxTokens <= b.tokens
    ? "length"
    : b.finishReason;
  const base = { id: "fake", created: 0, model: asked.model };
  const object = asked.chat ? "chat.completion" : "text_completion";
  const usage = usageOf(b, asked, tokens.length);
  const extra = timingsOf(b, asked.promptTokens, tokens.length);
  const due = (index: number) =>
    b.ttftMs + index * b.itlMs + (b.stall !== null && index >= b.stall.atToken ? b.stall.ms : 0);

  const chunk = (choices: unknown[], rest: object = {}) => ({
    ...base,
    object: asked.chat ? "chat.completion.chunk" : object,
    choices,
    ...rest,
  });
  const events: Event[] = [];
  if (asked.chat) {
    const delta = { role: "assistant", content: "" };
    events.push({
      dueMs: due(0),
      json: chunk([{ index: 0, delta, finish_reason: null }]),
      carriesTokens: false,
    });
  }
  for (let i = 0; i < tokens.length; i += b.tokensPerChunk) {
    const group = tokens.slice(i, i + b.tokensPerChunk);
    const last = Math.min(i + b.tokensPerChunk, tokens.length) - 1;
    const every = b.usage === "every" ? { usage: usageOf(b, asked, last + 1) } : {};
    events.push({
      dueMs: due(last),
      json: chunk([choiceOf(b, asked, group)], every),
      carriesTokens: true,
    });
  }
  const lastDueMs = events.at(-1)?.dueMs ?? b.ttftMs;
  const ending = asked.chat
    ? { index: 0, delta: {}, finish_reason: finish }
    : { index: 0, text: "", finish_reason: finish };
  events.push({ dueMs: lastDueMs, json: chunk([ending], extra), carriesTokens: false });
  const wantsUsage = b.usage === "every" || b.usage === "no-details" ||
    (b.usage === "asked" && asked.includeUsage);
  if (wantsUsage) events.push({ dueMs: lastDueMs, json: chunk([], { usage }), carriesTokens: false });

  const content = tokens.map((token) => token.content).join("");
  const reasoning = tokens.map((token) => token.reasoning).join("");
  const message = {
    role: "assistant",
    content,
    ...(b.reasoning === null ? {} : { [b.reasoning.field]: reasoning }),
  };
  const choice = asked.chat
    ? { index: 0, message, finish_reason: finish }
    : { index: 0, text: content, finish_reason: finish };
  const whole = { ...base, object, choices: [choice], ...(b.usage === "never" ? {} : { usage }), ...extra };
  return { whole, events, lastDueMs };
}

function choiceOf(b: Behaviour, asked: Asked, group: readonly Token[]): unknown {
  const content = group.map((token) => token.content).join("");
  if (!asked.chat) return { index: 0, text: content, finish_reason: null };
  const reasoning = group.map((token) => token.reasoning).join("");
  const delta = {
    ...(content === "" ? {} : { content }),
    ...(reasoning === "" || b.reasoning === null ? {} : { [b.reasoning.field]: reasoning }),
  };
  return {
    index: 0,
    delta,
    ...(b.messageToo ? { message: { role: "assistant", ...delta } } : {}),
    finish_reason: null,
  };
}

function usageOf(b: Behaviour, asked: Asked, outputTokens: number): unknown {
  const plain = {
    prompt_tokens: asked.promptTokens,
    completion_tokens: outputTokens,
    total_tokens: asked.promptTokens + outputTokens,
  };
  if (b.usage === "no-details") return plain;
  return {
    ...plain,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: b.reasoning?.tokens ?? 0 },
  };
}

function timingsOf(b: Behaviour, promptTokens: number, outputTokens: number): object {
  const decodeMs = Math.max(0, outputTokens - 1) * b.itlMs + (b.stall?.ms ?? 0);
  if (b.timings === "llama") {
    return {
      timings: {
        cache_n: 0,
        prompt_n: promptTokens,
        prompt_ms: b.ttftMs,
        predicted_n: outputTokens,
        predicted_ms: decodeMs,
      },
    };
  }
  if (b.timings === "ollama") {
    return {
      total_duration: (b.ttftMs + decodeMs) * 1e6,
      load_duration: 0,
      prompt_eval_count: promptTokens,
      prompt_eval_duration: b.ttftMs * 1e6,
      eval_count: outputTokens,
      eval_duration: decodeMs * 1e6,
    };
  }
  return {};
}
