/** How the fake endpoint answers: its known delays, its dialect of the protocol, and its faults. */
import { z } from "zod";

const ms = z.number().nonnegative();
const count = z.number().int().nonnegative();

/** One model of the fake endpoint. Every field has a default: `{}` gives a plain, quick, correct answer. */
export const behaviour = z.object({
  /** In ms, from the request's last byte to the first token, and from each token to the next. */
  ttftMs: ms.default(0),
  itlMs: ms.default(0),
  tokens: count.default(8),
  /** Answers at once: a request waits for its turn before its delays begin. Null: any number. */
  slots: z.number().int().positive().nullable().default(null),
  /** Delays one token, and all after it, by `ms`. */
  stall: z.object({ atToken: count, ms }).nullable().default(null),
  tokensPerChunk: z.number().int().positive().default(1),
  /** The tokens; ` t1`, ` t2` … where none are given. */
  words: z.array(z.string()).nullable().default(null),
  /** Tools that it calls instead of answering in words, where the request offers tools. */
  calls: z.array(z.object({ name: z.string(), arguments: z.string() })).default([]),
  /** `function_call` is how OpenAI named a single call before it had tools. */
  callForm: z.enum(["tool_calls", "function_call"]).default("tool_calls"),
  /** Reasoning precedes the answer, in the named field. */
  reasoning: z.object({ tokens: count, field: z.enum(["reasoning_content", "reasoning", "parts"]) })
    .nullable()
    .default(null),
  /** The field of the request that switches the reasoning off; null where it always reasons. */
  thinkingField: z.enum(["chat_template_kwargs", "reasoning_effort", "enable_thinking"]).nullable().default(
    null,
  ),
  /** Reasoning tokens that usage counts and the answer does not contain. */
  hiddenReasoningTokens: count.default(0),
  /** How choices are numbered: all with one number, or by chunk, as Foundry Local 0.x does. */
  choiceIndex: z.union([count, z.literal("by chunk")]).default(0),
  /** What becomes of a system message: used, refused with 400 or 500, or dropped by the template. */
  systemMessage: z.enum(["use", "refuse", "refuse with 500", "drop"]).default("use"),
  /** Answers 422 to a temperature of 0. */
  refuseZeroTemperature: z.boolean().default(false),
  /** Fields of the request that are refused with 400 and a message that names them. */
  refuseFields: z.array(z.string()).default([]),
  /** Answers 503 for so long after the first request, as servers do that load their model. */
  loadingMs: ms.default(0),
  routes: z.array(z.enum(["chat", "completions"])).default(["chat", "completions"]),
  /** `json` ignores `stream`, `refuse` answers 400 to it. */
  streaming: z.enum(["yes", "json", "refuse"]).default("yes"),
  /** Answers 400 to `stream_options`, as servers do that do not know it. */
  refuseStreamOptions: z.boolean().default(false),
  /** `asked`: a last chunk with `choices: []`, where the request asks for usage. */
  usage: z.enum(["asked", "every", "no-details", "never"]).default("asked"),
  timings: z.enum(["llama", "ollama"]).nullable().default(null),
  /** Every chunk has `message` as well as `delta`. */
  messageToo: z.boolean().default(false),
  done: z.boolean().default(true),
  finishReason: z.string().nullable().default("stop"),
  newline: z.enum(["\n", "\r\n", "\r"]).default("\n"),
  comments: z.boolean().default(false),
  framing: z.enum(["chunked", "close"]).default("chunked"),
  /** Bytes per write, cutting through events and characters; null writes each event whole. */
  splitBytes: z.number().int().positive().nullable().default(null),
  closeAfter: z.boolean().default(false),
  /** Two equal `Transfer-Encoding` lines. */
  repeatTransferEncoding: z.boolean().default(false),
  contentType: z.string().default("text/event-stream; charset=utf-8"),
  /** The key that requests need; the error echoes a wrong one, as careless servers do. */
  apiKey: z.string().nullable().default(null),
  fault: z.discriminatedUnion("kind", [
    /** An HTTP error instead of an answer. */
    z.object({ kind: z.literal("http"), status: z.number().int(), body: z.string() }),
    /** After some chunks: close the socket, go silent, or send an error event. */
    z.object({ kind: z.literal("cut"), afterChunks: count }),
    z.object({ kind: z.literal("hang"), afterChunks: count }),
    z.object({
      kind: z.literal("error"),
      afterChunks: count,
      message: z.string(),
      /** The whole event, where the error has another shape than OpenAI's. */
      json: z.unknown().optional(),
      /** Sends `[DONE]` after the error, as if the answer had ended well. */
      done: z.boolean().default(false),
    }),
    /** After some chunks the body ends properly, without a finish reason and without `[DONE]`. */
    z.object({ kind: z.literal("stop"), afterChunks: count }),
    /** These bytes (base64) are the whole response, head included; then the socket closes. */
    z.object({ kind: z.literal("raw"), base64: z.string() }),
    /** Closes the connection without a byte. */
    z.object({ kind: z.literal("refuse") }),
  ]).nullable().default(null),
  /** What is logged: delays and requests, delays alone, or nothing. */
  log: z.enum(["all", "times", "nothing"]).default("all"),
});
/** A model of the fake endpoint, with all defaults filled in. */
export type Behaviour = z.infer<typeof behaviour>;

/** A behaviour per model id; without `strict`, the first one also answers for unknown models. */
export const fakeOptions = z.object({
  models: z.record(z.string(), behaviour),
  /** Answers 404 to a model that it does not list. */
  strict: z.boolean().default(false),
  /** The path before the routes. */
  prefix: z.string().default("/v1"),
  port: count.default(0),
  /** Another answer to `GET /models`. */
  modelList: z.object({ status: z.number().int().default(200), body: z.unknown() }).nullable().default(null),
});

/** One request, and the delays that the fake endpoint really made, in ms since it had read the last byte. */
export interface FakeLogEntry {
  readonly model: string;
  /** The text of the last message: by it a test recognises its request. */
  readonly tag: string;
  readonly path: string;
  readonly authorization: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** When the socket took each event with tokens. */
  readonly chunkMs: number[];
  /** How the answer ended. */
  outcome: "open" | "completed" | "client went" | "fault";
}
