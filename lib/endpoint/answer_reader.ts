/** Reads the answer in the timed bytes of a response body. */
import { createParser, type EventSourceParser } from "eventsource-parser";
import { type AnswerChunk, parseChunk } from "./answer_chunk.ts";
import type { ChunkArrival, ReportedUsage, ServerTimings } from "./trace.ts";

/** An answer longer than this is cut off: far more than any model sends, far less than memory holds. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_EVENT_CHARS = 8 * 1024 * 1024;

/**
 * What is wrong with an answer, in words for a trace's `reason`. The reader throws it; any other error that the
 * reader throws is a fault of ours.
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
    let message: AnswerChunk;
    try {
      message = parseChunk(json);
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
