/** What the fake endpoint answers: a JSON document, or a stream's events, and their bytes. */
import { concat } from "../endpoint/bytes.ts";
import type { Behaviour } from "./fake_behaviour.ts";

interface Token {
  readonly content: string;
  readonly reasoning: string;
  /** A piece of a tool call. */
  readonly call?: CallPiece;
}

interface CallPiece {
  readonly index: number;
  /** Null after a call's first piece. */
  readonly name: string | null;
  readonly arguments: string;
}

/** A call's name comes first, then its arguments, four characters at a time. */
function callTokens({ calls }: Behaviour): Token[] {
  const piece = (call: CallPiece) => ({ content: "", reasoning: "", call });
  return calls.flatMap(({ name, arguments: text }, index) => [
    piece({ index, name, arguments: "" }),
    ...(text.match(/.{1,4}/gsu) ?? []).map((part) => piece({ index, name: null, arguments: part })),
  ]);
}

/** A piece, or a whole call, in OpenAI's shape. */
const callJson = ({ index, name, arguments: text }: CallPiece) => ({
  index,
  ...(name === null ? {} : { id: `call_${index + 1}`, type: "function" }),
  function: { ...(name === null ? {} : { name }), arguments: text },
});

/** The calls of a message or a delta; nothing where it has none. */
function callsField({ callForm }: Behaviour, calls: readonly CallPiece[]): object {
  const [first] = calls;
  if (first === undefined) return {};
  return callForm === "tool_calls"
    ? { tool_calls: calls.map(callJson) }
    : { function_call: callJson(first).function };
}

const callsIn = (request: FakeRequest, b: Behaviour) => request.chat && request.tools && b.calls.length > 0;

function tokensOf(b: Behaviour, request: FakeRequest): Token[] {
  const limit = request.maxTokens;
  if (callsIn(request, b)) return callTokens(b).slice(0, limit);
  const words = b.words ?? Array.from({ length: b.tokens }, (_, i) => ` t${i + 1}`);
  const content = words.slice(0, limit).map((word) => ({ content: word, reasoning: "" }));
  const thought = Array.from({ length: b.reasoning?.tokens ?? 0 }, (_, i) => ({
    content: "",
    reasoning: ` r${i + 1}`,
  }));
  return [...thought, ...content];
}

/** One event of the answer, and when it is due, in ms after the request. */
interface FakeEvent {
  readonly dueMs: number;
  readonly json: unknown;
  readonly carriesTokens: boolean;
}

/** What a request asks for. */
export interface FakeRequest {
  readonly model: string;
  readonly chat: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens: number;
  readonly promptTokens: number;
  /** It offers tools. */
  readonly tools: boolean;
}

/** What the whole answer and its stream have in common. */
function planned(b: Behaviour, request: FakeRequest) {
  const tokens = tokensOf(b, request);
  const isCut = b.finishReason === "stop" && b.words === null && request.maxTokens <= b.tokens;
  return {
    tokens,
    finish: callsIn(request, b) ? b.callForm : isCut ? "length" : b.finishReason,
    base: { id: "fake", created: 0, model: request.model },
    usage: usageOf(b, request, tokens.length),
    timings: timingsOf(b, request.promptTokens, tokens.length),
  };
}

/** When a token is due, in ms after the request. */
const dueMs = (b: Behaviour, token: number) =>
  b.ttftMs + token * b.itlMs + (b.stall !== null && token >= b.stall.atToken ? b.stall.ms : 0);

/** The answer as one JSON document, due with the last chunk of the stream. */
export function wholeAnswer(b: Behaviour, request: FakeRequest): { json: unknown; dueMs: number } {
  const { tokens, finish, base, usage, timings } = planned(b, request);
  const content = tokens.map((token) => token.content).join("");
  const reasoning = tokens.map((token) => token.reasoning).join("");
  const text = b.reasoning?.field === "parts"
    ? { content: partsOf(reasoning, content) }
    : { content, ...(b.reasoning === null ? {} : { [b.reasoning.field]: reasoning }) };
  const calls = callsIn(request, b)
    ? { content: null, ...callsField(b, b.calls.map((call, index) => ({ ...call, index }))) }
    : {};
  const choice = request.chat
    ? { index: 0, message: { role: "assistant", ...text, ...calls }, finish_reason: finish }
    : { index: 0, text: content, finish_reason: finish };
  const object = request.chat ? "chat.completion" : "text_completion";
  const counted = b.usage === "never" ? {} : { usage };
  const last = Math.max(0, tokens.length - 1);
  return { json: { ...base, object, choices: [choice], ...counted, ...timings }, dueMs: dueMs(b, last) };
}

/** The answer as the events of a stream. */
function streamEvents(b: Behaviour, request: FakeRequest): FakeEvent[] {
  const { tokens, finish, base, usage, timings } = planned(b, request);
  const object = request.chat ? "chat.completion.chunk" : "text_completion";
  const chunk = (choices: unknown[], rest: object = {}) => ({ ...base, object, choices, ...rest });
  const indexOf = (at: number) => b.choiceIndex === "by chunk" ? at : b.choiceIndex;
  const role = { index: 0, delta: { role: "assistant", content: "" }, finish_reason: null };
  const events: FakeEvent[] = request.chat
    ? [{ dueMs: dueMs(b, 0), json: chunk([role]), carriesTokens: false }]
    : [];
  let chunks = 0;
  for (let i = 0; i < tokens.length; i += b.tokensPerChunk) {
    const group = tokens.slice(i, i + b.tokensPerChunk);
    const every = b.usage === "every" ? { usage: usageOf(b, request, i + group.length) } : {};
    const choice = choiceOf(b, request, group, indexOf(chunks++));
    events.push({
      dueMs: dueMs(b, i + group.length - 1),
      json: chunk([choice], every),
      carriesTokens: true,
    });
  }
  const last = { dueMs: events.at(-1)?.dueMs ?? b.ttftMs, carriesTokens: false };
  const empty = request.chat ? { delta: {} } : { text: "" };
  const ending = { index: indexOf(chunks), ...empty, finish_reason: finish };
  events.push({ ...last, json: chunk([ending], timings) });
  const wantsUsage = b.usage === "every" || b.usage === "no-details" ||
    (b.usage === "asked" && request.includeUsage);
  if (wantsUsage) events.push({ ...last, json: chunk([], { usage }) });
  return events;
}

/** Reasoning and answer as content parts, as Mistral sends them. */
const partsOf = (reasoning: string, content: string) => [
  ...(reasoning === "" ? [] : [{ type: "thinking", thinking: [{ type: "text", text: reasoning }] }]),
  ...(content === "" ? [] : [{ type: "text", text: content }]),
];

function choiceOf(
  b: Behaviour,
  request: FakeRequest,
  group: readonly Token[],
  index: number,
): unknown {
  const content = group.map((token) => token.content).join("");
  if (!request.chat) return { index, text: content, finish_reason: null };
  const reasoning = group.map((token) => token.reasoning).join("");
  const delta = b.reasoning?.field === "parts" ? { content: partsOf(reasoning, content) } : {
    ...(content === "" ? {} : { content }),
    ...(reasoning === "" || b.reasoning === null ? {} : { [b.reasoning.field]: reasoning }),
    ...callsField(b, group.flatMap(({ call }) => call ?? [])),
  };
  return {
    index,
    delta,
    ...(b.messageToo ? { message: { role: "assistant", ...delta } } : {}),
    finish_reason: null,
  };
}

function usageOf(b: Behaviour, request: FakeRequest, outputTokens: number): unknown {
  const plain = {
    prompt_tokens: request.promptTokens,
    completion_tokens: outputTokens + b.hiddenReasoningTokens,
    total_tokens: request.promptTokens + outputTokens + b.hiddenReasoningTokens,
  };
  if (b.usage === "no-details") return plain;
  return {
    ...plain,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: (b.reasoning?.tokens ?? 0) + b.hiddenReasoningTokens },
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

const encoder = new TextEncoder();

/** An event of a stream as bytes, with its framing. */
export interface Frame {
  /** Since the request was read. */
  readonly dueMs: number;
  readonly bytes: Uint8Array;
  readonly carriesTokens: boolean;
}

/** Equal requests get the same frames, made once: at the highest rate, making them would be the limit. */
const frameCache = new WeakMap<Behaviour, Map<string, Frame[]>>();

export function framesOf(b: Behaviour, request: FakeRequest): readonly Frame[] {
  const key = JSON.stringify(request);
  let cache = frameCache.get(b);
  if (cache === undefined) frameCache.set(b, cache = new Map());
  const known = cache.get(key);
  if (known !== undefined) return known;
  const frames = makeFrames(b, request);
  if (cache.size < 64) cache.set(key, frames);
  return frames;
}

function makeFrames(b: Behaviour, request: FakeRequest): Frame[] {
  const events = streamEvents(b, request);
  const nl = b.newline;
  const frames = events.map((event, i): Frame => {
    const comment = b.comments && i % 2 === 0 ? `: keep-alive${nl}${nl}` : "";
    const bytes = eventFrame(b, `${comment}data: ${JSON.stringify(event.json)}${nl}${nl}`);
    return { dueMs: event.dueMs, bytes, carriesTokens: event.carriesTokens };
  });
  const last = concat([b.done ? eventFrame(b, `data: [DONE]${nl}${nl}`) : new Uint8Array(), ending(b)]);
  return [...frames, { dueMs: events.at(-1)?.dueMs ?? b.ttftMs, bytes: last, carriesTokens: false }];
}

export function eventFrame(b: Behaviour, text: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (b.framing === "close") return bytes;
  return concat([encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, encoder.encode("\r\n")]);
}

export const ending = (b: Behaviour): Uint8Array =>
  b.framing === "close" ? new Uint8Array() : encoder.encode("0\r\n\r\n");

export function streamHead(b: Behaviour): Uint8Array {
  const framing = b.framing === "chunked"
    ? "Transfer-Encoding: chunked\r\n".repeat(b.repeatTransferEncoding ? 2 : 1)
    : "";
  const closing = b.framing === "close" || b.closeAfter ? "Connection: close\r\n" : "";
  return encoder.encode(`HTTP/1.1 200 OK\r\nContent-Type: ${b.contentType}\r\n${framing}${closing}\r\n`);
}

export function response(status: number, type: string, body: string): Uint8Array {
  const bytes = encoder.encode(body);
  const head = `HTTP/1.1 ${status} Fake\r\nContent-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  return concat([encoder.encode(head), bytes]);
}

export const jsonResponse = (status: number, value: unknown) =>
  response(status, "application/json", JSON.stringify(value));

export const errorResponse = (status: number, message: string) =>
  jsonResponse(status, { error: { message, type: "invalid_request_error", param: null, code: null } });
