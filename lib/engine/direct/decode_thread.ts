/**
 * The thread that computes. It picks a token, announces it in shared memory, and goes straight on to the
 * next one; the main thread turns tokens into text and sends them meanwhile. Handing each token to another
 * thread and back, as one asynchronous call per token does, cost an eighth of the speed where all cores
 * compute. direct_evaluator.ts starts it; it is not run by hand.
 *
 * Several answers are made at once, each in a sequence of its own: every call of llama.cpp evaluates one
 * token of each answer under way and as much of the new prompts as the batch has room for, so the weights are
 * read once for all.
 */
/// <reference lib="deno.worker" />
import { reasonOf } from "../../errors.ts";
import { commonStart } from "../evaluator.ts";
import { type AnswerOrder, DecodedSequence } from "./decoded_sequence.ts";
import { cellsOf, type DecodeOrder, type DecodeSetup, type OrderDone } from "./decode_shared.ts";
import { decodeSymbols } from "./llama_symbols.ts";
import { TokenBatch } from "./token_batch.ts";
import type { DecodeContext } from "./token_picker.ts";

class DecodeThread {
  readonly #decode: DecodeContext;
  readonly #memory: Deno.PointerValue;
  readonly #batch: TokenBatch;
  readonly #sequences: readonly DecodedSequence[];
  readonly #sent;
  #received = 0;
  #running = false;

  constructor(setup: DecodeSetup) {
    const llama = Deno.dlopen(setup.libraryPath, decodeSymbols).symbols;
    const vocabulary = Deno.UnsafePointer.create(setup.vocabularyAddress);
    const context = Deno.UnsafePointer.create(setup.contextAddress);
    this.#decode = {
      llama,
      context,
      vocabulary,
      vocabularySize: llama.llama_vocab_n_tokens(vocabulary),
      contextTokens: setup.contextTokens,
    };
    this.#memory = llama.llama_get_memory(context);
    this.#batch = new TokenBatch(setup.batchTokens);
    this.#sequences = setup.memories.map((memory) => new DecodedSequence(this.#decode, cellsOf(memory)));
    this.#sent = new Int32Array(setup.sent);
  }

  receive(order: DecodeOrder): void {
    this.#received++;
    const sequence = this.#at(order.sequence);
    try {
      if (order.kind === "forget") {
        this.#forget(order.sequence);
        this.#reply(order.sequence, null);
      } else this.#begin(sequence, order);
    } catch (error) {
      this.#reply(order.sequence, reasonOf(error));
    }
    if (!this.#running) void this.#run();
  }

  #at(index: number): DecodedSequence {
    const sequence = this.#sequences[index];
    if (sequence === undefined) throw new RangeError(`there is no sequence ${index}`);
    return sequence;
  }

  #begin(sequence: DecodedSequence, order: AnswerOrder): void {
    sequence.begin(order, this.#keep(order.sequence, order.prompt));
  }

  /**
   * Computes until no answer is in progress. With one answer it never waits; it takes new
   * orders between two calls.
   */
  async #run(): Promise<void> {
    this.#running = true;
    while (this.#sequences.some(({ isBusy }) => isBusy)) {
      while (Atomics.load(this.#sent, 0) !== this.#received) await nextTurn();
      this.#step();
    }
    this.#running = false;
  }

  #step(): void {
    for (const [index, sequence] of this.#sequences.entries()) {
      if (sequence.isBusy && sequence.isStopped) this.#reply(index, null);
    }
    this.#batch.clear();
    // Answers in progress come first, so that a long prompt delays each of their tokens by one call at most.
    const busy = [...this.#sequences.entries()].filter(([, { isBusy }]) => isBusy)
      .toSorted(([, a], [, b]) => a.waiting - b.waiting);
    for (const [index, sequence] of busy) sequence.addTo(this.#batch, index);
    if (this.#batch.size === 0) return;
    const { llama, context } = this.#decode;
    const code = llama.llama_decode(context, this.#batch.struct);
    for (const [index, sequence] of busy) {
      try {
        if (code !== 0) {
          throw new Error(`llama.cpp could not evaluate ${this.#batch.size} tokens (code ${code})`);
        }
        if (sequence.pick()) this.#reply(index, null);
      } catch (error) {
        // The context's state of this sequence is now unknown.
        this.#forget(index);
        this.#reply(index, reasonOf(error));
      }
    }
  }

  #reply(sequence: number, fault: string | null): void {
    this.#at(sequence).end();
    self.postMessage({ sequence, fault } satisfies OrderDone);
  }

  #forget(index: number): void {
    this.#decode.llama.llama_memory_seq_rm(this.#memory, index, -1, -1);
    this.#at(index).held.length = 0;
  }

  /** Drops the part of a sequence that the prompt doesn't begin with; returns how many tokens are left. */
  #keep(index: number, prompt: readonly number[]): number {
    const { held } = this.#at(index);
    // The last token is always evaluated: its logits give the answer's first token.
    const same = Math.min(commonStart(held, prompt), prompt.length - 1);
    if (same === held.length) return same;
    if (this.#decode.llama.llama_memory_seq_rm(this.#memory, index, same, -1)) {
      held.length = same;
      return same;
    }
    // A recurrent model can't return to an earlier position.
    this.#forget(index);
    return 0;
  }
}

/** Takes the messages that have arrived. */
const nextTurn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

let thread: DecodeThread | null = null;
self.addEventListener("message", ({ data }: MessageEvent<DecodeSetup | DecodeOrder>) => {
  if (data.kind === "setup") thread = new DecodeThread(data);
  else thread?.receive(data);
});
