/** Reads what the gateway needs from an answer that it passes on, with the reader of the benchmark. */
import { isObject, jsonOrText } from "../bounded_json.ts";
import { AnswerError, AnswerReader } from "../endpoint/answer_reader.ts";

/** What was seen of an answer. */
export interface AnswerSeen {
  /** The answer's own id. */
  readonly id: string | null;
  /** When the first text, tool call or vector came, in ms; null for an empty answer. */
  readonly saidMs: number | null;
  /** A stream with a finish reason or `[DONE]`, or a whole document. */
  readonly ended: boolean;
  /** The error that the answer contains, or what is wrong with it; null for a sound answer. */
  readonly error: string | null;
  /** As reported by the answer itself. */
  readonly outputTokens: number | null;
  readonly promptTokens: number | null;
  /** Chunks with text: not tokens, but close. */
  readonly chunks: number;
}

/**
 * Reads the pieces of one answer, after they were passed on.
 *
 * ```ts
 * const scan = new AnswerScan("text/event-stream");
 * const event = 'data: {"id":"a1","choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n';
 * scan.add(new TextEncoder().encode(event), 12);
 * const seen = scan.result();
 * if (seen.id !== "a1" || seen.saidMs !== 12 || !seen.ended) throw new Error("an answer of one word");
 * ```
 */
export class AnswerScan {
  readonly #reader: AnswerReader;
  #error: string | null = null;
  #hasEnded = false;

  constructor(contentType: string | null) {
    this.#reader = new AnswerReader(contentType);
  }

  /** The error that was found so far. */
  get error(): string | null {
    return this.#error;
  }

  add(bytes: Uint8Array, atMs: number): void {
    if (this.#error === null) this.#read(() => this.#reader.feed(bytes, atMs));
  }

  result(): AnswerSeen {
    const reader = this.#reader;
    // A document is read when it is complete; a stream without its end is not an error of the model.
    if (!reader.streamed && this.#error === null && !this.#hasEnded) {
      this.#hasEnded = true;
      this.#read(() => reader.end(reader.lastMs ?? 0));
    }
    const { usage, server } = reader;
    return {
      id: reader.id,
      saidMs: reader.firstGeneratedMs,
      ended: this.#error === null && (!reader.streamed || reader.done || reader.finishReason !== null),
      error: this.#error,
      outputTokens: usage?.outputTokens ?? server?.outputTokens ?? null,
      promptTokens: usage?.promptTokens ?? server?.promptTokens ?? null,
      chunks: reader.chunkCount,
    };
  }

  #read(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      this.#error = error.message;
    }
  }
}

/** The keys of a chunk, of its choice and of the choice's delta in which no server reports an error. */
const ORDINARY_KEYS = {
  chunk: new Set(["id", "object", "created", "model", "system_fingerprint", "service_tier", "choices"]),
  choice: new Set(["index", "delta", "logprobs", "finish_reason"]),
  delta: new Set(["role", "content"]),
};

const decoder = new TextDecoder();

/**
 * Whether the first piece of a stream consists of chunks as most servers send them, so that `AnswerScan`
 * would find no error in it. A few steps, where reading takes many: the client waits for them.
 *
 * ```ts
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * const chunk = '{"object":"chat.completion.chunk","choices":[{"delta":{"content":"Hi"}}]}';
 * if (!areOrdinaryChunks(bytes(`data: ${chunk}\n\n`))) throw new Error("a word");
 * if (areOrdinaryChunks(bytes('data: {"error":"no memory","choices":[]}\n\n'))) throw new Error("an error");
 * ```
 */
export function areOrdinaryChunks(bytes: Uint8Array): boolean {
  const events = decoder.decode(bytes).split("\n\n");
  return events.pop() === "" && events.length > 0 && events.every(isOrdinaryChunk);
}

function isOrdinaryChunk(event: string): boolean {
  if (!event.startsWith("data: {")) return false;
  const chunk = jsonOrText(event.slice("data: ".length));
  if (!hasOnly(chunk, ORDINARY_KEYS.chunk) || chunk.object !== "chat.completion.chunk") return false;
  const [choice, ...more] = Array.isArray(chunk.choices) ? chunk.choices : [];
  return more.length === 0 && hasOnly(choice, ORDINARY_KEYS.choice) &&
    (choice.finish_reason ?? null) === null &&
    hasOnly(choice.delta, ORDINARY_KEYS.delta) &&
    ["string", "undefined"].includes(typeof choice.delta.content);
}

function hasOnly(value: unknown, keys: ReadonlySet<string>): value is Record<string, unknown> {
  return isObject(value) && Object.keys(value).every((key) => keys.has(key));
}
