/**
 * The exports that make a module a model like any other: `load` and `generate`. Podium does everything else:
 * the OpenAI protocol, the queue, streaming, limits, restarts. An adapter imports these types alone, so no
 * code of Podium is loaded into it.
 *
 * ```ts
 * // A whole adapter: it repeats the question, word by word.
 * const echo: Adapter<{ readonly greeting: string }> = {
 *   load: ({ options }) => ({ greeting: typeof options.greeting === "string" ? options.greeting : "" }),
 *   async *generate({ greeting }, { prompt }) {
 *     yield greeting;
 *     for (const word of prompt.split(" ")) yield ` ${word}`;
 *   },
 * };
 * const model = await echo.load({ options: { greeting: "You said:" }, folder: "." });
 * const request = { messages: [], prompt: "good morning", maxTokens: 9, temperature: 0, seed: null, stop: [] };
 * const pieces = await Array.fromAsync(echo.generate(model, request, new AbortController().signal));
 * if (pieces.join("") !== "You said: good morning") throw new Error(pieces.join(""));
 * ```
 */
import type { ChatMessage } from "../endpoint/trace.ts";

/** The functions that an adapter's module exports. `Model` is whatever its `load` returns. */
export interface Adapter<Model> {
  /** Called once, when the process starts. Users read the message of the error that it throws. */
  load(context: LoadContext): Model | Promise<Model>;
  /**
   * Yields one answer, in any number of pieces; called for one request at a time. A piece counts as a token
   * unless `countTokens` says otherwise. An error ends the answer with its message; an error with a `status`
   * from 400 to 499 is the client's mistake. `signal` is aborted when the client has gone.
   */
  generate(model: Model, request: AdapterRequest, signal: AbortSignal): AsyncIterable<string>;
  /** The number of tokens of a text. Without it no `usage` is reported, and figures rest on estimates. */
  countTokens?(model: Model, text: string): number;
}

/** What `load` is given. */
export interface LoadContext {
  /** `options` of the model in the registry, unchanged. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The folder of the registry, absolute: the start of its relative paths. */
  readonly folder: string;
}

/** What `generate` gets. */
export interface AdapterRequest {
  /** The conversation; one user message where the client sent a bare prompt. */
  readonly messages: readonly ChatMessage[];
  /** The last user message, or the bare prompt; many adapters need nothing else. */
  readonly prompt: string;
  /** Podium cuts the answer after this many pieces. */
  readonly maxTokens: number;
  /** 0: the same answer every time. */
  readonly temperature: number;
  /** The seed for sampling; null where the client gave none. */
  readonly seed: number | null;
  /** Podium cuts the answer before the first of these; an adapter can ignore them. */
  readonly stop: readonly string[];
}
