/**
 * What a custom model must offer to be run like any other: a module with `load` and `generate`. Everything
 * else (the OpenAI protocol, queue, streaming, limits, restarts) is done around it. An adapter imports these
 * types alone, so no code of Podium is loaded into it.
 *
 * ```ts
 * // A whole adapter: it says the question again, word by word.
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

/** The functions that an adapter's module exports. `Model` is whatever its `load` makes. */
export interface Adapter<Model> {
  /** Called once, when the process starts. What it throws is the reason that its users read. */
  load(context: LoadContext): Model | Promise<Model>;
  /**
   * One answer, in as many pieces as it likes; called for one request at a time. A piece counts as a token
   * unless `countTokens` says otherwise. What it throws ends the answer with that message; an error with a
   * `status` from 400 to 499 is the client's mistake. `signal` is aborted when the client is gone.
   */
  generate(model: Model, request: AdapterRequest, signal: AbortSignal): AsyncIterable<string>;
  /** How many tokens a text has. Left out, no `usage` is reported, and figures rest on estimates. */
  countTokens?(model: Model, text: string): number;
}

/** What `load` is given. */
export interface LoadContext {
  /** `options` of the registry's entry, as they are. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The absolute path of the registry's folder, to which its relative paths refer. */
  readonly folder: string;
}

/** What `generate` is asked. */
export interface AdapterRequest {
  /** The conversation; one user message where the client sent a bare prompt. */
  readonly messages: readonly ChatMessage[];
  /** The last user message, or the bare prompt: all that many adapters need. */
  readonly prompt: string;
  /** After so many pieces the answer is cut. */
  readonly maxTokens: number;
  /** 0 asks for the same answer every time. */
  readonly temperature: number;
  readonly seed: number | null;
  /** The answer is cut before the first of these; an adapter need not look for them. */
  readonly stop: readonly string[];
}
