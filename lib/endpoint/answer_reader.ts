/** Reads the answer in the timed bytes of a response body. */
import { jsonOrText } from "../bounded_json.ts";
import { createParser, type EventSourceParser } from "eventsource-parser";
import { type AnswerChunk, type CallDelta, parseChunk } from "./answer_chunk.ts";
import { MARKER_CHARS, mayBecomeMarker, mayEndReasoning, separateReasoning } from "./reasoning.ts";
import type { ToolCall } from "../prompts/request_settings.ts";
import type { ChunkArrival, ReportedUsage, ServerTimings } from "./trace.ts";

/** An answer longer than this is cut off: far more than any model sends, far less than memory holds. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_EVENT_CHARS = 8 * 1024 * 1024;

/**
 * A fault of an answer, worded for a trace's `reason`. The reader throws it; any other error that
 * the reader throws is a bug.
 */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

/** Text of an answer, with reasoning apart. */
interface AnswerText {
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  readonly chunks: readonly ChunkArrival[];
}

/**
 * Reads one answer, for the bench and for the gateway. Each event of a stream is stamped with the
 * arrival of the bytes that completed it; a whole JSON document, which servers without streaming
 * always send, counts as one chunk.
 *
 * An answer ends well where the model gave a finish reason, or `[DONE]` came;
 * everything else is an `AnswerError`.
 *
 * ```ts
 * const reader = new AnswerReader("text/event-stream");
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * reader.feed(bytes('data: {"choices":[{"delta":{"content":"Hi'), 5);
 * reader.feed(bytes('"}}]}\n\ndata: [DONE]\n\n'), 9);
 * reader.end(10);
 * const { content, chunks } = reader.text();
 * if (content !== "Hi" || chunks[0]?.atMs !== 9) throw new Error("stamped when complete");
 * ```
 */
export class AnswerReader {
  /** The answer's own id. */
  id: string | null = null;
  finishReason: string | null = null;
  usage: ReportedUsage | null = null;
  server: ServerTimings | null = null;
  /** `[DONE]` came: nothing after it counts. */
  done = false;
  /** Arrival of the last byte that counted, in ms. */
  lastMs: number | null = null;
  /** Arrival of the first chunk with anything generated, tool calls included; null before. */
  firstGeneratedMs: number | null = null;

  /** The first character decides what the answer is, whatever its content type says. */
  #mode: "unknown" | "events" | "document" = "unknown";
  readonly #saysEvents: boolean;
  readonly #decoder = new TextDecoder("utf-8");
  readonly #parser: EventSourceParser;
  /** Text that is not a whole document, or whose kind is still unknown. */
  #text = "";
  #bytes = 0;
  #atMs = 0;
  readonly #content: string[] = [];
  readonly #reasoning: string[] = [];
  /** The chunks as plain numbers: an object per chunk would be most of what a stream leaves on the heap. */
  readonly #chunkMs: number[] = [];
  readonly #contentChars: number[] = [];
  readonly #reasoningChars: number[] = [];
  readonly #callChars: number[] = [];
  readonly #calls = new CallCollector();

  /** The text that `takeVisible` has returned so far, and its state. */
  readonly #shown: { pieces: number; tail: string; state: "unknown" | "plain" | "reasoning" | "answer" } = {
    pieces: 0,
    tail: "",
    state: "unknown",
  };

  constructor(contentType: string | null) {
    this.#saysEvents = contentType?.toLowerCase().includes("text/event-stream") ?? false;
    this.#parser = createParser({
      maxBufferSize: MAX_EVENT_CHARS,
      onEvent: (event) => this.#event(event.data, event.event),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") {
          throw new AnswerError(`an event longer than ${MAX_EVENT_CHARS} characters`);
        }
        if (error.type === "unknown-field") this.#unknownField(error.field ?? "", error.line ?? "");
      },
    });
  }

  /** How many chunks with text or a tool call have arrived. */
  get chunkCount(): number {
    return this.#chunkMs.length;
  }

  /** Whether the answer is a stream of events; only then do its chunks correspond to tokens. */
  get streamed(): boolean {
    return this.#mode === "events";
  }

  /** The answer so far, with reasoning apart. Called once, at the end: it reads all of the text. */
  text(): AnswerText {
    const whole = this.#content.join("");
    const { answer, reasoning, start, end } = separateReasoning(whole);
    let at = 0;
    const chunks = this.#chunkMs.map((atMs, i) => {
      const chars = this.#contentChars[i] ?? 0;
      const contentChars = Math.max(0, Math.min(end, at + chars) - Math.max(start, at));
      at += chars;
      return {
        atMs,
        contentChars: contentChars + (this.#callChars[i] ?? 0),
        reasoningChars: (this.#reasoningChars[i] ?? 0) + chars - contentChars,
      };
    });
    const apart = this.#reasoning.join("");
    const both = apart !== "" && reasoning !== "" ? `${apart}\n\n${reasoning}` : apart + reasoning;
    return { content: answer, reasoning: both, toolCalls: this.#calls.all(), chunks };
  }

  /**
   * The part of the answer that became visible since the last call: no reasoning, and nothing that may become
   * a marker unless the answer is complete.
   */
  takeVisible(isComplete: boolean): string {
    const fresh = this.#content.slice(this.#shown.pieces).join("");
    this.#shown.pieces = this.#content.length;
    const { state } = this.#shown;
    if (state === "answer" || fresh === "" && !(isComplete && state === "unknown")) return fresh;
    const tail = this.#shown.tail + fresh;
    this.#shown.tail = tail.slice(-MARKER_CHARS);
    // Only the end of reasoning changes what is visible, so that a long text is not
    // read again for each chunk.
    if (state !== "unknown" && !mayEndReasoning(tail)) return state === "plain" ? fresh : "";
    const whole = this.#content.join("");
    if (mayBecomeMarker(whole) && !isComplete) return "";
    const { answer, start } = separateReasoning(whole);
    this.#shown.state = start === 0 ? "plain" : answer === "" ? "reasoning" : "answer";
    return state === "plain" && start === 0 ? fresh : answer;
  }

  /**
   * More bytes of the body, and when they arrived.
   *
   * @throws {AnswerError} where they are not an answer, or contain an error
   */
  feed(bytes: Uint8Array, atMs: number): void {
    if (this.done) return;
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_ANSWER_BYTES) {
      throw new AnswerError(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    }
    this.#atMs = atMs;
    this.lastMs = atMs;
    this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * The body ended as its framing promised.
   *
   * @throws {AnswerError} where the answer in it has no end
   */
  end(atMs: number): void {
    if (this.done) return;
    this.#take(this.#decoder.decode());
    if (this.#mode === "events") {
      // A server may leave out the last blank line. An event that was cut is not JSON, and reported as such.
      this.#parser.feed("\n\n");
      if (!this.done && this.finishReason === null) {
        throw new AnswerError(
          this.firstGeneratedMs === null
            ? "empty answer"
            : "the stream ended without [DONE] or a finish reason",
        );
      }
      return;
    }
    if (this.#text.trim() === "") throw new AnswerError("empty answer");
    this.#atMs = this.lastMs ?? atMs;
    this.#mode = "document";
    this.#message(this.#text);
  }

  #take(text: string): void {
    if (this.#mode === "events") return this.#parser.feed(text);
    this.#text += text;
    if (this.#mode === "document") return;
    const start = this.#text = this.#text.trimStart();
    if (start === "") return;
    if (start.startsWith("{") || start.startsWith("[{")) this.#mode = "document";
    else if (this.#saysEvents || /^(data|event|id|retry)?:/.test(start)) {
      this.#mode = "events";
      this.#parser.feed(start);
      this.#text = "";
    } else if (start.length > 6 || !/^(?:[a-z]*|\[)$/.test(start)) {
      throw new AnswerError(`neither events nor JSON: ${JSON.stringify(start.slice(0, 80))}`);
    }
  }

  #event(data: string, name: string | undefined): void {
    if (this.done) return;
    if (data.trim() === "[DONE]" && name !== "error") this.done = true;
    else if (data.trim() !== "") this.#message(data, name === "error");
  }

  /** Older llama.cpp servers write `error: {…}`, and some their bare error, where `data: ` belongs. */
  #unknownField(field: string, line: string): void {
    if (this.done) return;
    if (field === "error") this.#message(line.slice("error:".length), true);
    else if (line.startsWith("{") && typeof jsonOrText(line) === "object") this.#message(line);
  }

  #message(json: string, isError = false): void {
    let chunk: AnswerChunk;
    try {
      chunk = parseChunk(json);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new AnswerError(isError ? `the endpoint reported an error: ${json}` : error.message, {
        cause: error,
      });
    }
    this.id ??= chunk.id;
    this.usage = chunk.usage ?? this.usage;
    this.server = chunk.server ?? this.server;
    this.finishReason = chunk.finishReason ?? this.finishReason;
    if (chunk.generated) this.firstGeneratedMs ??= this.#atMs;
    this.#add(chunk.content, chunk.reasoning, this.#calls.add(chunk.calls));
    if (chunk.error !== null) throw new AnswerError(`the endpoint reported an error: ${chunk.error}`);
    if (isError) throw new AnswerError(`the endpoint reported an error: ${json}`);
  }

  #add(content: string, reasoning: string, callChars: number): void {
    if (content === "" && reasoning === "" && callChars === 0) return;
    this.#chunkMs.push(this.#atMs);
    this.#contentChars.push(content.length);
    this.#reasoningChars.push(reasoning.length);
    this.#callChars.push(callChars);
    if (content !== "") this.#content.push(content);
    if (reasoning !== "") this.#reasoning.push(reasoning);
  }
}

/** Puts the pieces of an answer's tool calls together. */
class CallCollector {
  readonly #calls: { index: number; id: string; name: string; arguments: string[] }[] = [];

  /** Adds pieces; returns how many characters of names and arguments were in them. */
  add(pieces: readonly CallDelta[]): number {
    let chars = 0;
    for (const [at, piece] of pieces.entries()) {
      const call = this.#callOf(piece, at);
      if (call.id === "") call.id = piece.id;
      // Some servers repeat the name in every piece.
      const name = call.name === "" ? piece.name : "";
      if (name !== "") call.name = name;
      if (piece.arguments !== "") call.arguments.push(piece.arguments);
      chars += name.length + piece.arguments.length;
    }
    return chars;
  }

  all(): ToolCall[] {
    return this.#calls.map(({ id, name, arguments: pieces }) => ({ id, name, arguments: pieces.join("") }));
  }

  /** Some servers number every call 0, or none: then a name with a new id begins another call. */
  #callOf({ index, id, name }: CallDelta, at: number) {
    const known = this.#calls.findLast((call) => call.index === (index ?? at));
    const last = index === null && (at === 0 || id !== "") ? this.#calls.at(-1) : known;
    const isNew = last === undefined || name !== "" && id !== "" && last.id !== "" && last.id !== id;
    if (!isNew) return last;
    const call = { index: index ?? at, id: "", name: "", arguments: [] };
    this.#calls.push(call);
    return call;
  }
}
