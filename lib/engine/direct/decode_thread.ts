/**
 * WHY: the thread that computes. It picks a token, announces it in shared memory, and goes straight on to the
 * next one; the main thread turns tokens into text and sends them meanwhile. Handing each token to another
 * thread and back, as one asynchronous call per token does, cost an eighth of the speed where all cores
 * compute. direct_evaluator.ts starts it; it is not run by hand.
 */
/// <reference lib="deno.worker" />
import type { Token } from "node-llama-cpp";
import { reasonOf } from "../../errors.ts";
import {
  cell,
  cellsOf,
  type DecodeOrder,
  type DecodeSetup,
  LOGPROB_CELLS,
  type OrderDone,
  tell,
} from "./decode_shared.ts";
import { commonStart, type Picking } from "../evaluator.ts";
import { decodeSymbols } from "./llama_symbols.ts";
import { type DecodeContext, logprobsOf, tokenPicker } from "./token_picker.ts";

class DecodeThread {
  readonly #llama;
  readonly #decode: DecodeContext;
  readonly #shared;
  /** The tokens that the context holds. */
  #held: number[] = [];

  constructor(private readonly setup: DecodeSetup) {
    const llama = Deno.dlopen(setup.libraryPath, decodeSymbols).symbols;
    const vocabulary = Deno.UnsafePointer.create(setup.vocabularyAddress);
    this.#llama = llama;
    this.#decode = {
      llama,
      context: Deno.UnsafePointer.create(setup.contextAddress),
      vocabulary,
      vocabularySize: llama.llama_vocab_n_tokens(vocabulary),
      contextTokens: setup.contextTokens,
    };
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
    const { batchTokens } = this.setup;
    for (let at = cached; at < prompt.length; at += batchTokens) {
      if (this.#stopped()) return;
      this.#evaluate(prompt.slice(at, at + batchTokens));
    }
    const picker = tokenPicker(this.#decode, picking);
    try {
      for (let count = 1;; count++) {
        const token = this.#orInstead(picker.pick(), picking.insteadOfEnd);
        this.#shared.tokens[count - 1] = token;
        if (picking.logprobs !== null) {
          const logprobs = logprobsOf(this.#decode, token, picking.logprobs);
          this.#shared.logprobs.set(logprobs, (count - 1) * LOGPROB_CELLS);
        }
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
    return this.#llama.llama_vocab_is_eog(this.#decode.vocabulary, token);
  }

  #orInstead(token: number, insteadOfEnd: Token | null): number {
    return insteadOfEnd !== null && this.#isEnd(token) ? insteadOfEnd : token;
  }

  #forget(): void {
    this.#llama.llama_memory_clear(this.#llama.llama_get_memory(this.#decode.context), true);
    this.#held = [];
  }

  /** Drops from the context whatever the prompt does not begin with; returns how many tokens are left. */
  #keep(prompt: readonly number[]): number {
    // The last token is always evaluated: its logits give the answer's first token.
    const same = Math.min(commonStart(this.#held, prompt), prompt.length - 1);
    if (same === this.#held.length) return same;
    const memory = this.#llama.llama_get_memory(this.#decode.context);
    if (this.#llama.llama_memory_seq_rm(memory, 0, same, -1)) {
      this.#held.length = same;
      return same;
    }
    // A recurrent model can't return to an earlier position.
    this.#forget();
    return 0;
  }

  #evaluate(tokens: readonly number[]): void {
    // The batch points into this array: it must live until the call has returned.
    const ids = Int32Array.from(tokens);
    const code = this.#llama.llama_decode(
      this.#decode.context,
      this.#llama.llama_batch_get_one(ids, ids.length),
    );
    if (code !== 0) {
      // What the context holds now is unknown.
      this.#forget();
      throw new Error(`llama.cpp could not evaluate ${ids.length} tokens (code ${code})`);
    }
    for (const id of ids) this.#held.push(id);
  }
}

let thread: DecodeThread | null = null;
self.addEventListener("message", ({ data }: MessageEvent<DecodeSetup | DecodeOrder>) => {
  if (data.kind === "setup") thread = new DecodeThread(data);
  else if (thread !== null) self.postMessage(thread.carryOut(data));
});
