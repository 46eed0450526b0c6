/** From the timed bytes of a response body to the answer in them: our own reader of the OpenAI protocol. */
import { createParser, type EventSourceParser } from "eventsource-parser";
import { type EventShape, EventTemplate } from "./event_template.ts";
import type { ChunkArrival, ReportedUsage, ServerTimings } from "./trace.ts";
import { StreamParser, type WireMessage } from "./wire.ts";

/** What an endpoint may send before it is cut off: far above any answer, far below our memory. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_EVENT_CHARS = 8 * 1024 * 1024;
const LF = 10;

/**
 * What the endpoint did wrong, in words for a trace's `reason`. Thrown by the reader; anything else that is
 * thrown is our own fault.
 */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

/**
 * Gathers one answer. Each event of a stream is stamped with the arrival of the bytes that completed it;
 * a whole JSON document, which servers without streaming send whatever was asked, counts as one chunk.
 *
 * ```ts
 * const reader = new AnswerReader("text/event-stream");
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * reader.feed(bytes('data: {"choices":[{"delta":{"content":"Hi'), 5);
 * reader.feed(bytes('"}}]}\n\ndata: [DONE]\n\n'), 9);
 * reader.end(10);
 * if (reader.content !== "Hi" || reader.chunks[0]?.atMs !== 9) throw new Error("stamped when complete");
 * ```
 */
export class AnswerReader {
  finishReason: string | null = null;
  usage: ReportedUsage | null = null;
  server: ServerTimings | null = null;
  /** `[DONE]` came: nothing after it counts. */
  done = false;
  /** Arrival of the last byte that counted. */
  lastMs: number | null = null;

  /** What the answer is; its first character decides, whatever it calls itself. */
  #mode: "unknown" | "events" | "document" = "unknown";
  #saysEvents: boolean;
  #decoder = new TextDecoder("utf-8");
  #parser: EventSourceParser;
  #messages = new StreamParser();
  /** What most events look like; null while nobody knows. */
  #template: EventTemplate | null = null;
  #shape: EventShape | null = null;
  /** The next byte is the first of an event: nothing waits to be completed. */
  #betweenEvents = false;
  #text = "";
  #bytes = 0;
  #atMs = 0;
  #content: string[] = [];
  #reasoning: string[] = [];
  /** The chunks as plain numbers: an object for each would be the better part of what a stream leaves behind. */
  #chunkMs: number[] = [];
  #contentChars: number[] = [];
  #reasoningChars: number[] = [];

  constructor(contentType: string | null) {
    this.#saysEvents = contentType?.toLowerCase().includes("text/event-stream") ?? false;
    this.#parser = createParser({
      maxBufferSize: MAX_EVENT_CHARS,
      onEvent: (event) => this.#event(event.data, event.event),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") {
          throw new AnswerError(`an event longer than ${MAX_EVENT_CHARS} characters`);
        }
      },
    });
  }

  get chunks(): ChunkArrival[] {
    return this.#chunkMs.map((atMs, i) => ({
      atMs,
      contentChars: this.#contentChars[i] ?? 0,
      reasoningChars: this.#reasoningChars[i] ?? 0,
    }));
  }

  /** How many chunks have come so far. */
  get chunkCount(): number {
    return this.#chunkMs.length;
  }

  get content(): string {
    return this.#content.join("");
  }

  get reasoning(): string {
    return this.#reasoning.join("");
  }

  /** Whether the answer came as a stream of events; only then do its chunks tell anything about tokens. */
  get streamed(): boolean {
    return this.#mode === "events";
  }

  /**
   * More bytes of the body, and when they arrived.
   *
   * @throws {AnswerError} where they are no answer, or one that says it failed
   */
  feed(bytes: Uint8Array, atMs: number): void {
    if (this.done) return;
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_ANSWER_BYTES) {
      throw new AnswerError(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    }
    this.#atMs = atMs;
    this.lastMs = atMs;
    for (let at = 0; at < bytes.length && !this.done;) {
      at = this.#takeKnown(bytes, at);
      if (at < bytes.length) at = this.#takeNext(bytes, at);
    }
  }

  /** Takes the events at `from` that look like the last one; returns where the next byte is. */
  #takeKnown(bytes: Uint8Array, from: number): number {
    if (this.#template === null || !this.#betweenEvents) return from;
    let at = from;
    for (let end = this.#template.end(bytes, at); end >= 0; end = this.#template.end(bytes, at)) {
      this.#say(this.#template.text, "");
      at = end;
    }
    return at;
  }

  /** Takes one event, or what there is of it, and learns from it what the next may look like. */
  #takeNext(bytes: Uint8Array, from: number): number {
    const end = this.#mode === "document" ? bytes.length : eventEnd(bytes, from);
    this.#take(this.#decoder.decode(bytes.subarray(from, end), { stream: true }));
    this.#betweenEvents = bytes[end - 1] === LF && bytes[end - 2] === LF && this.#mode === "events";
    const { shape } = this.#messages;
    if (shape !== this.#shape) this.#template = shape === null ? null : new EventTemplate(shape);
    this.#shape = shape;
    return end;
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
      // A server may leave out the last blank line. What it cut is not JSON, and says so.
      this.#parser.feed("\n\n");
      if (!this.done && this.finishReason === null && this.usage === null) {
        throw new AnswerError(
          this.chunkCount === 0 ? "empty answer" : "the stream ended without [DONE] or a finish reason",
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
    if (start.startsWith("{")) this.#mode = "document";
    else if (this.#saysEvents || /^(data|event|id|retry)?:/.test(start)) {
      this.#mode = "events";
      this.#parser.feed(start);
      this.#text = "";
    } else if (start.length > 6 || !/^[a-z]*$/.test(start)) {
      throw new AnswerError(`neither events nor JSON: ${JSON.stringify(start.slice(0, 80))}`);
    }
  }

  #event(data: string, name: string | undefined): void {
    if (this.done) return;
    if (data.trim() === "[DONE]") this.done = true;
    else if (data.trim() !== "") this.#message(data, name === "error");
  }

  #message(json: string, isError = false): void {
    let message: WireMessage;
    try {
      message = this.#messages.parse(json);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new AnswerError(isError ? `the endpoint reported an error: ${json}` : error.message, {
        cause: error,
      });
    }
    this.usage = message.usage ?? this.usage;
    this.server = message.server ?? this.server;
    this.finishReason = message.finishReason ?? this.finishReason;
    this.#say(message.content, message.reasoning);
    if (message.error !== null) throw new AnswerError(`the endpoint reported an error: ${message.error}`);
    if (isError) throw new AnswerError(`the endpoint reported an error: ${json}`);
  }

  #say(content: string, reasoning: string): void {
    if (content === "" && reasoning === "") return;
    this.#chunkMs.push(this.#atMs);
    this.#contentChars.push(content.length);
    this.#reasoningChars.push(reasoning.length);
    if (content !== "") this.#content.push(content);
    if (reasoning !== "") this.#reasoning.push(reasoning);
  }
}

/** Behind the next empty line; the end of the bytes where there is none. */
function eventEnd(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
  }
  return bytes.length;
}
