/** One JSON document of an answer, checked once: a chunk of a stream, or a whole answer. */
import { z } from "zod";
import { boundedJson, isObject } from "../bounded_json.ts";
import type { ReportedUsage, ServerTimings } from "./trace.ts";

/** A piece of a tool call, or a whole one. Its name and the start of its arguments come first. */
export interface CallDelta {
  /** Which of the answer's calls it belongs to; null where the server does not number them. */
  readonly index: number | null;
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** The content of one document. Absent parts are empty or null. */
export interface AnswerChunk {
  /** The answer's id, the same in all of its chunks. */
  readonly id: string | null;
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly CallDelta[];
  /** Anything was generated: text, reasoning, a tool call, a vector. */
  readonly generated: boolean;
  /** Why the model stopped; null where it did not, or where the reason is empty. */
  readonly finishReason: string | null;
  readonly usage: ReportedUsage | null;
  readonly server: ServerTimings | null;
  /** The endpoint's own error message, whatever shape the error has. */
  readonly error: string | null;
}

/**
 * Reads one document of a stream, or a whole answer. Unknown fields are ignored. Of several choices the one
 * with index 0 counts; a single choice counts whatever its index, since some servers number the chunks of a
 * stream instead. `delta` precedes `message`, since some servers send both.
 *
 * @throws {SyntaxError} where it is not JSON, or not shaped like an OpenAI answer
 *
 * ```ts
 * const chunk = parseChunk('{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}');
 * if (chunk.content !== "Hi" || chunk.usage !== null) throw new Error("one delta, no usage");
 * ```
 */
export function parseChunk(json: string): AnswerChunk {
  let value: unknown;
  try {
    value = boundedJson(json);
  } catch {
    throw new SyntaxError(`not JSON: ${JSON.stringify(json.slice(0, 80))}`);
  }
  const parsed = document.safeParse(value);
  if (!parsed.success) {
    const error = errorIn(value, null); // an error may have any shape
    if (error !== null) return { ...EMPTY, error };
    const issue = parsed.error.issues[0];
    throw new SyntaxError(`not an OpenAI answer: ${issue?.path.join(".") || "document"}: ${issue?.message}`);
  }
  const { choices } = parsed.data;
  const first = choices?.find((one) => one.index === 0) ?? choices?.[0];
  const body = first?.delta ?? first?.message ?? {};
  const finishReason = finishOf(first?.finish_reason);
  const parts = partsOf(body.content);
  const content = parts.text + textIn(body.refusal) || (first?.text ?? "");
  const reasoning = parts.reasoning || reasoningOf(body);
  const calls = callsIn(body);
  return {
    id: isObject(value) && typeof value.id === "string" ? value.id.slice(0, 128) : null,
    content,
    reasoning,
    calls,
    generated: content !== "" || reasoning !== "" || calls.length > 0 || hasVector(value),
    finishReason,
    usage: usageOf(value),
    server: serverOf(value),
    error: errorIn(value, first ?? null) ??
      (isFailed(finishReason) ? `the answer ended with finish reason "${finishReason}"` : null),
  };
}

const EMPTY: AnswerChunk = {
  id: null,
  content: "",
  reasoning: "",
  calls: [],
  generated: false,
  finishReason: null,
  usage: null,
  server: null,
  error: null,
};

/**
 * The text of a message is plain, or the list of parts that some servers answer with. Its other keys are read
 * where they are needed: a stream has a thousand chunks per second.
 */
const message = z.custom<Record<string, unknown>>(
  (value) => isObject(value) && isContent(value.content),
  { error: "expected a message whose content is text or a list of parts" },
);

const isContent = (content: unknown) =>
  typeof content === "string" || content === null || content === undefined ||
  Array.isArray(content) && content.every(isObject);

const choice = z.looseObject({
  index: z.unknown().optional(),
  delta: message.nullish(),
  message: message.nullish(),
  text: z.string().nullish(),
  finish_reason: z.unknown().optional(),
});

type Message = z.infer<typeof message>;
type Choice = z.infer<typeof choice>;

/** What every chunk has. Usage and timings are validated only where they are present. */
const document = z.object({ choices: z.array(choice).nullish() });

/** The types of content parts that are reasoning: Mistral's `thinking`, OpenAI's `reasoning_text`. */
function partsOf(content: unknown): { text: string; reasoning: string } {
  if (typeof content === "string") return { text: content, reasoning: "" };
  let [text, reasoning] = ["", ""];
  for (const part of Array.isArray(content) ? content.filter(isObject) : []) {
    if (/think|thought|reason/i.test(textIn(part.type)) || part.thought === true) reasoning += textIn(part);
    else text += textIn(part);
  }
  return { text, reasoning };
}

const TEXT_KEYS = ["text", "thinking", "thought", "reasoning", "reasoning_text", "content", "summary"];

/** The text of a part, however deep: `{thinking: [{type: "text", text: "…"}]}`. */
function textIn(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textIn).join("");
  if (typeof value !== "object" || value === null) return "";
  for (const key of TEXT_KEYS) {
    const text = textIn(Reflect.get(value, key));
    if (text !== "") return text;
  }
  return "";
}

/**
 * The fields in which servers send reasoning; the first that holds text counts, since some
 * servers send the same text twice.
 */
const REASONING_KEYS = [
  "reasoning_content",
  "reasoning",
  "reasoning_text",
  "thinking",
  "thought",
  "reasoning_details",
];

function reasoningOf(body: Message): string {
  for (const key of REASONING_KEYS) {
    const text = textIn(body[key]);
    if (text !== "") return text;
  }
  return "";
}

/** The calls of a message; `function_call` is OpenAI's earlier field for a single one. */
function callsIn({ tool_calls: calls, function_call: call }: Message): CallDelta[] {
  if (Array.isArray(calls)) return calls.filter(isObject).map(callIn);
  return isObject(call) ? [callIn({ index: 0, function: call })] : [];
}

/** Some servers leave out `function` around name and arguments, and some send arguments as JSON. */
function callIn(call: Record<string, unknown>): CallDelta {
  const named = isObject(call.function) ? call.function : call;
  const { name, arguments: given } = named;
  return {
    index: typeof call.index === "number" ? call.index : null,
    id: typeof call.id === "string" ? call.id.slice(0, 128) : "",
    name: typeof name === "string" ? name : "",
    arguments: typeof given === "string" ? given : isObject(given) ? JSON.stringify(given) : "",
  };
}

/** The answer to a request for embeddings. */
const hasVector = (value: unknown): boolean =>
  isObject(value) && Array.isArray(value.data) &&
  value.data.some((one) => isObject(one) && "embedding" in one);

/** Values that servers send while the model is still generating. */
const NO_FINISH = new Set(["", "null", "none"]);

/**
 * Whether a finish reason or a status means that the server failed: `abort`, Zhipu's `network_error`,
 * DeepSeek's `insufficient_system_resource`, TensorRT's `timed_out`, Gemini's `MALFORMED_FUNCTION_CALL`.
 */
const isFailed = (reason: unknown): boolean =>
  typeof reason === "string" && /error|abort|cancel|fail|time.?d?.?out|insufficient|malformed/i.test(reason);

function finishOf(reason: unknown): string | null {
  const text = isObject(reason) ? reason.type : reason;
  return typeof text === "string" && !NO_FINISH.has(text.trim().toLowerCase()) ? text : null;
}

/** The error in a document, wherever it is; null where it has none. */
function errorIn(value: unknown, first: Choice | null): string | null {
  if (!isObject(value)) return null;
  const holders = [value, first, first?.delta, first?.message].filter(isObject);
  // A document without choices may wrap its error: `{"data": {"error": …}}`.
  if (first === null) holders.push(...Object.values(value).filter(isObject));
  for (const holder of holders) {
    const key = Object.keys(holder).find((one) => isErrorKey(one) && isError(holder[one]));
    if (key !== undefined) return messageOf(holder[key]);
    const code = CODE_KEYS.map((one) => holder[one]).find(isFailedCode);
    if (code !== undefined) return messageOf(holder);
  }
  const code = value.error_code ?? value.errorCode;
  const marked = value.object === "error" || value.type === "error" || value.event === "error" ||
    isFailed(value.status) || value.success === false || typeof code === "number" && code !== 0 ||
    typeof code === "string" && !["", "0"].includes(code);
  if (marked) return messageOf(value);
  if (first !== null || Array.isArray(value.choices)) return null;
  const bare = typeof value.message === "string" && ("code" in value || "status" in value || "type" in value);
  return bare || "detail" in value ? messageOf(value) : null;
}

/**
 * The keys under which servers send an error; Baidu, Tencent and Triton among others have keys of
 * their own, in any spelling.
 */
const isErrorKey = (key: string): boolean =>
  /^(?:errors?|err|error_?message|err(?:or)?_?msg|exception|fault)$/i.test(key);

const CODE_KEYS = ["code", "status", "status_code", "statusCode"] as const;

/** Codes are those of HTTP, or the service's own: MiniMax's `{"base_resp": {"status_code": 1004}}`. */
const isFailedCode = (code: unknown): boolean => typeof code === "number" && code >= 400;

/** `null`, `false`, `0`, and empty texts and lists are values with which servers report no error. */
const isError = (error: unknown): error is NonNullable<unknown> =>
  Boolean(error) && !(Array.isArray(error) && error.length === 0);

function messageOf(error: unknown): string {
  if (typeof error === "string") return error;
  if (Array.isArray(error)) return messageOf(error[0]);
  if (!isObject(error)) return `error ${String(error)}`;
  const keys = Object.keys(error);
  for (const name of MESSAGE_KEYS) {
    const value = error[keys.find((key) => key.toLowerCase() === name) ?? ""];
    if (isObject(value) || Array.isArray(value)) return messageOf(value);
    if (typeof value === "string" && value !== "") return value;
  }
  const code = error.code ?? error.error_code ?? error.type;
  return code ? `error ${String(code)}` : "an error without a message";
}

/** The fields with an error's message, the most specific first. */
const MESSAGE_KEYS =
  "message,detail,text,error,msg,reason,status_msg,error_message,error_msg,faultstring,errors,title".split(
    ",",
  );

const count = z.number().int().nonnegative();
const ms = z.number().nonnegative();

const usage = z.object({
  prompt_tokens: count.nullish(),
  completion_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count.nullish() }).nullish().catch(null),
  completion_tokens_details: z.object({ reasoning_tokens: count.nullish() }).nullish().catch(null),
  reasoning_tokens: count.nullish().catch(null),
});

/** An invalid usage counts as none: an estimate, marked as one, then takes its place. */
function usageOf(value: unknown): ReportedUsage | null {
  if (!isObject(value) || !isObject(value.usage)) return null;
  const { success, data } = usage.safeParse(value.usage);
  if (!success) return null;
  return {
    promptTokens: data.prompt_tokens ?? 0,
    outputTokens: data.completion_tokens,
    cachedTokens: data.prompt_tokens_details?.cached_tokens ?? null,
    reasoningTokens: data.completion_tokens_details?.reasoning_tokens ?? data.reasoning_tokens ?? null,
  };
}

/** llama.cpp's server. */
const timings = z.object({
  cache_n: count.nullish(),
  prompt_n: count.nullish(),
  prompt_ms: ms.nullish(),
  predicted_n: count.nullish(),
  predicted_ms: ms.nullish(),
});

/** Ollama's own fields; durations in nanoseconds. */
const ollama = z.object({
  prompt_eval_count: count.nullish(),
  prompt_eval_duration: ms.nullish(),
  eval_count: count.nullish(),
  eval_duration: ms,
});

function serverOf(value: unknown): ServerTimings | null {
  if (!isObject(value)) return null;
  if ("timings" in value) {
    const { success, data } = timings.safeParse(value.timings);
    if (!success) return null;
    return {
      promptMs: data.prompt_ms ?? null,
      decodeMs: data.predicted_ms ?? null,
      promptTokens: data.prompt_n ?? null,
      outputTokens: data.predicted_n ?? null,
      cachedTokens: data.cache_n ?? null,
    };
  }
  if (!("eval_duration" in value)) return null;
  const { success, data } = ollama.safeParse(value);
  if (!success) return null;
  const { prompt_eval_duration: promptNs } = data;
  return {
    promptMs: promptNs === null || promptNs === undefined ? null : promptNs / 1e6,
    decodeMs: data.eval_duration / 1e6,
    promptTokens: data.prompt_eval_count ?? null,
    outputTokens: data.eval_count ?? null,
    cachedTokens: null,
  };
}
