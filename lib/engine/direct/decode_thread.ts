/**
 * WHY: the thread that computes. Between two tokens it picks the next one and goes straight on; text, HTTP
 * and everything else happen on the main thread meanwhile, which is told through shared memory. Handing each
 * token to another thread and back, as one asynchronous call a token does, cost an eighth of the speed where
 * all cores compute. Started by native.ts, never by hand.
 */
/// <reference lib="deno.worker" />
import type { Token } from "node-llama-cpp";
import { reasonOf } from "../../errors.ts";
import { cell, cellsOf, type DecodeOrder, type DecodeSetup, type OrderDone, tell } from "./decode_shared.ts";
import type { Picking } from "../evaluator.ts";
import { cString, decodeSymbols } from "./llama_library.ts";
import { commonStart } from "../prompt_cache.ts";

/** Long prompts are evaluated in pieces, so that a client that goes away is noticed in between. */
const promptPiece = 256;

class DecodeThread {
  readonly #llama;
  readonly #context;
  readonly #vocabulary;
  readonly #vocabularySize: number;
  readonly #shared;
  /** What the context holds. */
  #held: number[] = [];

  constructor(private readonly setup: DecodeSetup) {
    this.#llama = Deno.dlopen(setup.libraryPath, decodeSymbols).symbols;
    this.#context = Deno.UnsafePointer.create(setup.contextAddress);
    this.#vocabulary = Deno.UnsafePointer.create(setup.vocabularyAddress);
    this.#vocabularySize = this.#llama.llama_vocab_n_tokens(this.#vocabulary);
    this.#shared = cellsOf(setup.memory);
  }

  carryOut(order: DecodeOrder): OrderDone {
    try {
      if (order.kind === "forget") this.#forget();
      else this.#answer(order.prompt, order.picking);
      return { fault: null };
    } catch (error) {
      return { fault: reasonOf(error) };
    } finally {
      tell(this.#shared, cell.over, 1);
    }
  }

  #answer(prompt: readonly number[], picking: Picking): void {
    const cached = this.#keep(prompt);
    Atomics.store(this.#shared.numbers, cell.cached, cached);
    for (let at = cached; at < prompt.length; at += promptPiece) {
      if (this.#stopped()) return;
      this.#evaluate(prompt.slice(at, at + promptPiece));
    }
    const picker = this.#picker(picking);
    try {
      for (let count = 1;; count++) {
        const token = this.#orInstead(picker.pick(), picking.insteadOfEnd);
        this.#shared.tokens[count - 1] = token;
        tell(this.#shared, cell.picked, count);
        if (count === picking.maxTokens || this.#isEnd(token) || this.#stopped()) return;
        this.#evaluate([token]);
      }
    } finally {
      picker.free();
    }
  }

  #stopped(): boolean {
    return Atomics.load(this.#shared.numbers, cell.stop) === 1;
  }

  #isEnd(token: number): boolean {
    return this.#llama.llama_vocab_is_eog(this.#vocabulary, token);
  }

  #orInstead(token: number, insteadOfEnd: Token | null): number {
    return insteadOfEnd !== null && this.#isEnd(token) ? insteadOfEnd : token;
  }

  #forget(): void {
    this.#llama.llama_memory_clear(this.#llama.llama_get_memory(this.#context), true);
    this.#held = [];
  }

  /** Drops from the context what the prompt does not begin with; gives how much is left. */
  #keep(prompt: readonly number[]): number {
    // The last token is always evaluated: its logits give the answer's first token.
    const same = Math.min(commonStart(this.#held, prompt), prompt.length - 1);
    if (same === this.#held.length) return same;
    const memory = this.#llama.llama_get_memory(this.#context);
    if (this.#llama.llama_memory_seq_rm(memory, 0, same, -1)) {
      this.#held.length = same;
      return same;
    }
    // Recurrent models can't go back to a place in the middle.
    this.#forget();
    return 0;
  }

  #evaluate(tokens: readonly number[]): void {
    // The batch points into this array: it must live until the call has returned.
    const ids = Int32Array.from(tokens);
    const code = this.#llama.llama_decode(this.#context, this.#llama.llama_batch_get_one(ids, ids.length));
    if (code !== 0) {
      // What the context holds now is anybody's guess.
      this.#forget();
      throw new Error(`llama.cpp could not evaluate ${ids.length} tokens (code ${code})`);
    }
    for (const id of ids) this.#held.push(id);
  }

  #picker({ sampling, grammar }: Picking): Picker {
    const free = sampling.temperature === 0 && grammar === null && sampling.presencePenalty === 0 &&
      sampling.frequencyPenalty === 0;
    return free ? { pick: () => this.#likeliest(), free: () => {} } : this.#samplerChain(sampling, grammar);
  }

  /** The token of the largest logit; the first one of equals. */
  #likeliest(): number {
    const pointer = this.#llama.llama_get_logits_ith(this.#context, -1);
    if (pointer === null) throw new Error("llama.cpp gave no logits");
    const memory = Deno.UnsafePointerView.getArrayBuffer(pointer, this.#vocabularySize * 4);
    const logits = new Float32Array(memory);
    let best = 0;
    let highest = -Infinity;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id] ?? -Infinity;
      if (logit > highest) {
        highest = logit;
        best = id;
      }
    }
    return best;
  }

  #samplerChain(sampling: Picking["sampling"], grammar: string | null): Picker {
    const llama = this.#llama;
    const chain = llama.llama_sampler_chain_init(1);
    const add = (sampler: Deno.PointerValue) => llama.llama_sampler_chain_add(chain, sampler);
    if (grammar !== null) {
      const sampler = llama.llama_sampler_init_grammar(this.#vocabulary, cString(grammar), cString("root"));
      if (sampler === null) throw new Error("llama.cpp does not read the grammar");
      add(sampler);
    }
    const { presencePenalty, frequencyPenalty, temperature, seed } = sampling;
    if (presencePenalty !== 0 || frequencyPenalty !== 0) {
      const { contextTokens } = this.setup;
      add(
        llama.llama_sampler_init_penalties(
          this.#vocabularySize,
          contextTokens,
          1,
          frequencyPenalty,
          presencePenalty,
        ),
      );
    }
    if (temperature === 0) add(llama.llama_sampler_init_greedy());
    else {
      if (sampling.topK > 0) add(llama.llama_sampler_init_top_k(sampling.topK));
      add(llama.llama_sampler_init_top_p(sampling.topP, 1n));
      add(llama.llama_sampler_init_min_p(sampling.minP, 1n));
      add(llama.llama_sampler_init_temp(temperature));
      add(llama.llama_sampler_init_dist(seed >>> 0));
    }
    return {
      pick: () => {
        const token = llama.llama_sampler_sample(chain, this.#context, -1);
        if (token < 0) throw new Error("llama.cpp could not pick a token");
        return token;
      },
      free: () => llama.llama_sampler_free(chain),
    };
  }
}

interface Picker {
  pick(): number;
  free(): void;
}

let thread: DecodeThread | null = null;
self.addEventListener("message", ({ data }: MessageEvent<DecodeSetup | DecodeOrder>) => {
  if (data.kind === "setup") thread = new DecodeThread(data);
  else if (thread !== null) self.postMessage(thread.carryOut(data));
});
