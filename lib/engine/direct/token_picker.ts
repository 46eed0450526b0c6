/** Picks the next token from the logits that the model computed. */
import type { Picking } from "../evaluator.ts";
import { likeliestToken } from "../logit_difference.ts";
import { cString, type DecodeLibrary } from "./llama_symbols.ts";
import { TokenArray } from "./token_array.ts";

/** Where the logits come from. */
export interface DecodeContext {
  readonly llama: DecodeLibrary;
  readonly context: Deno.PointerValue;
  readonly vocabulary: Deno.PointerValue;
  readonly vocabularySize: number;
  readonly contextTokens: number;
}

/** Picks the tokens of one answer. */
export interface TokenPicker {
  /**
   * The next token, which counts as part of the answer from now on.
   *
   * @param row index in the batch that was just evaluated of the token before it
   */
  pick(row: number): number;
  /** Frees the native memory; nothing can be picked afterwards. */
  free(): void;
}

/**
 * Picks as requested: the most likely token, or one by llama.cpp's samplers;
 * within a grammar if it names one.
 *
 * @throws {Error} where llama.cpp can't read the grammar
 */
export function tokenPicker(decode: DecodeContext, { sampling, grammar }: Picking): TokenPicker {
  if (grammar !== null) return new GrammarPicker(decode, sampling, grammar);
  if (isPlainGreedy(sampling)) {
    return { pick: (row) => likeliestToken(logitsOf(decode, row)), free: () => {} };
  }
  const { llama, context } = decode;
  const chain = samplerChain(decode, sampling);
  return {
    pick: (row) => {
      const token = llama.llama_sampler_sample(chain, context, row);
      if (token < 0) throw new Error("llama.cpp could not pick a token");
      return token;
    },
    free: () => llama.llama_sampler_free(chain),
  };
}

/** How many of the likeliest tokens a grammar is applied to, before it is applied to the whole vocabulary. */
const windows = { narrow: 1024, wide: 16_384 } as const;

/**
 * Applying a grammar to the whole vocabulary takes longer than computing the token. So a token is picked
 * freely and tested alone; only where the grammar refuses it is the grammar applied to the likeliest tokens,
 * and to all of them only where it refuses those too. At temperature 0 the answer is the one that applying it
 * to the whole vocabulary gives, since the likeliest allowed token is in the first window that holds any.
 */
class GrammarPicker implements TokenPicker {
  readonly #grammar: Deno.PointerValue;
  readonly #chain: Deno.PointerValue;
  /** Samplers that keep the likeliest tokens, the narrower window first. */
  readonly #windows: readonly Deno.PointerValue[];
  readonly #candidates: TokenArray;
  readonly #single: TokenArray;

  constructor(
    private readonly decode: DecodeContext,
    private readonly sampling: Picking["sampling"],
    grammar: string,
  ) {
    const { llama, vocabulary, vocabularySize } = decode;
    this.#grammar = llama.llama_sampler_init_grammar(vocabulary, cString(grammar), cString("root"));
    if (this.#grammar === null) throw new Error("llama.cpp can't read the grammar");
    this.#chain = samplerChain(decode, sampling);
    const sizes = sampling.temperature === 0 ? [windows.narrow, windows.wide] : [windows.wide];
    this.#windows = sizes.filter((size) => size < vocabularySize).map((size) =>
      llama.llama_sampler_init_top_k(size)
    );
    this.#candidates = new TokenArray(llama, vocabularySize);
    this.#single = new TokenArray(llama, 1);
  }

  pick(row: number): number {
    const free = this.#pickFreely(row);
    const token = this.#isAllowed(free) ? free : this.#pickAllowed(row);
    if (token === null) throw new Error("the grammar allows no token of this model here");
    const { llama } = this.decode;
    llama.llama_sampler_accept(this.#grammar, token);
    llama.llama_sampler_accept(this.#chain, token);
    return token;
  }

  free(): void {
    for (const sampler of [this.#grammar, this.#chain, ...this.#windows]) {
      this.decode.llama.llama_sampler_free(sampler);
    }
  }

  #pickFreely(row: number): number | null {
    if (isPlainGreedy(this.sampling)) return likeliestToken(logitsOf(this.decode, row));
    this.#candidates.fill(logitsOf(this.decode, row));
    this.#candidates.apply(this.#chain);
    return this.#candidates.selected();
  }

  #isAllowed(token: number | null): token is number {
    if (token === null) return false;
    this.#single.fillOne(token);
    this.#single.apply(this.#grammar);
    return this.#single.likeliest() !== null;
  }

  #pickAllowed(row: number): number | null {
    for (const window of [...this.#windows, null]) {
      this.#candidates.fill(logitsOf(this.decode, row));
      // At temperature 0 the chain changes nothing but its penalties, which decide which
      // token is most likely.
      if (this.sampling.temperature === 0) this.#candidates.apply(this.#chain);
      if (window !== null) this.#candidates.apply(window);
      this.#candidates.apply(this.#grammar);
      const likeliest = this.#candidates.likeliest();
      if (likeliest === null) continue;
      if (this.sampling.temperature === 0) return likeliest;
      this.#candidates.apply(this.#chain);
      return this.#candidates.selected();
    }
    return null;
  }
}

function isPlainGreedy({ temperature, presencePenalty, frequencyPenalty }: Picking["sampling"]): boolean {
  return temperature === 0 && presencePenalty === 0 && frequencyPenalty === 0;
}

function logitsOf({ llama, context, vocabularySize }: DecodeContext, row: number): Float32Array {
  const pointer = llama.llama_get_logits_ith(context, row);
  if (pointer === null) throw new Error("llama.cpp gave no logits");
  return new Float32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, vocabularySize * 4));
}

/** The request's samplers, in llama.cpp's own order. */
function samplerChain(decode: DecodeContext, sampling: Picking["sampling"]): Deno.PointerValue {
  const { llama, vocabularySize, contextTokens } = decode;
  const { temperature, topK, topP, minP, seed, presencePenalty, frequencyPenalty } = sampling;
  const chain = llama.llama_sampler_chain_init(1);
  const add = (sampler: Deno.PointerValue) => llama.llama_sampler_chain_add(chain, sampler);
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    add(
      llama.llama_sampler_init_penalties(vocabularySize, contextTokens, 1, frequencyPenalty, presencePenalty),
    );
  }
  if (temperature === 0) add(llama.llama_sampler_init_greedy());
  else {
    if (topK > 0) add(llama.llama_sampler_init_top_k(topK));
    add(llama.llama_sampler_init_top_p(topP, 1n));
    add(llama.llama_sampler_init_min_p(minP, 1n));
    add(llama.llama_sampler_init_temp(temperature));
    add(llama.llama_sampler_init_dist(seed >>> 0));
  }
  return chain;
}

/**
 * The log-probability of a token by the logits before sampling, then token and log-probability of each of the
 * `count` likeliest, the likeliest first.
 */
export function logprobsOf(decode: DecodeContext, row: number, token: number, count: number): number[] {
  const logits = logitsOf(decode, row);
  const highest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const total = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
  const top: { readonly id: number; readonly logit: number }[] = [];
  for (let id = 0; count > 0 && id < logits.length; id++) {
    const logit = logits[id] ?? -Infinity;
    if (top.length === count && logit <= (top.at(-1)?.logit ?? -Infinity)) continue;
    const at = top.findIndex((one) => one.logit < logit);
    top.splice(at < 0 ? top.length : at, 0, { id, logit });
    top.length = Math.min(top.length, count);
  }
  return [(logits[token] ?? -Infinity) - total, ...top.flatMap(({ id, logit }) => [id, logit - total])];
}
