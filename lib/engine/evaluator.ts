/** Evaluates tokens in one sequence of a loaded model's context and gives the next token. */
import type { Token } from "node-llama-cpp";
import type { Sampling } from "../openai/request.ts";

/** How the tokens of one answer are picked. */
export interface Picking {
  readonly sampling: Omit<Sampling, "seed"> & { readonly seed: number };
  /** GBNF grammar that the answer must follow; null for free text. */
  readonly grammar: string | null;
  /** The token that takes the place of an ignored end token; null where an end token ends the answer. */
  readonly insteadOfEnd: Token | null;
  /** Most tokens that are computed; at least 1. */
  readonly maxTokens: number;
  /** How many of the likeliest tokens are kept with each token, with log-probabilities; null: none. */
  readonly logprobs: number | null;
}

/** The log-probability of a token before sampling, and those of the likeliest tokens in its place. */
export interface PickedLogprob {
  readonly logprob: number;
  readonly top: readonly { readonly token: Token; readonly logprob: number }[];
}

/** Evaluates one prompt and answer at a time, and reuses what earlier prompts share with it. */
export interface Evaluator {
  /** How many tokens a prompt and its answer may have together. */
  readonly contextTokens: number;
  /** Whether it can give log-probabilities. */
  readonly givesLogprobs: boolean;
  /**
   * Evaluates the prompt, reusing the part that the context already holds.
   *
   * @throws the signal's reason as soon as it is aborted
   */
  prompt(tokens: readonly Token[], picking: Picking, signal: AbortSignal): Promise<PromptRun>;
  /** Empties the context, so that the next prompt starts cold. */
  forget(): Promise<void>;
}

/** An answer in progress: its tokens in order, up to `maxTokens` or the model's end token. */
export interface PromptRun {
  /** The first token of the answer, sampled right after the prompt. */
  readonly first: Token;
  /** How many prompt tokens were not evaluated again. */
  readonly cachedTokens: number;
  /**
   * The token after the one given last.
   *
   * @throws {Error} where the last one was an end token, or the last of `maxTokens`
   */
  next(): Promise<Token>;
  /** The log-probabilities of a token of the answer, by its index; null where none were requested. */
  logprobs(index: number): PickedLogprob | null;
  /** Must be called when the answer is over. */
  end(): Promise<void>;
}

/**
 * Length of the common beginning of two sequences, which need not be evaluated again.
 *
 * ```ts
 * if (commonStart([5, 6, 7], [5, 6, 8, 9]) !== 2) throw new Error("the first two");
 * ```
 */
export function commonStart(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let same = 0;
  while (same < end && a[same] === b[same]) same++;
  return same;
}
