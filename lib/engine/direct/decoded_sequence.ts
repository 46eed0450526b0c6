/**
 * One of the answers that the decoding thread makes at once: its prompt, its tokens and
 * its sequence in the context.
 */
import { cell, type DecodeOrder, LOGPROB_CELLS, type SharedCells, tell } from "./decode_shared.ts";
import type { TokenBatch } from "./token_batch.ts";
import { type DecodeContext, logprobsOf, type TokenPicker, tokenPicker } from "./token_picker.ts";

/** An order to make one answer. */
export type AnswerOrder = Extract<DecodeOrder, { kind: "answer" }>;

/** A sequence of the context, and the answer that is made in it. */
export class DecodedSequence {
  /** Its tokens in the context. */
  readonly held: number[] = [];
  #order: AnswerOrder | null = null;
  #picker: TokenPicker | null = null;
  /** Tokens that are not evaluated yet: the rest of the prompt, or the last picked token. */
  #pending: readonly number[] = [];
  #count = 0;
  /** Index in the batch of the token whose logits give the next one; null where the prompt continues. */
  #row: number | null = null;

  constructor(private readonly decode: DecodeContext, private readonly shared: SharedCells) {}

  /** Whether an answer is in progress. */
  get isBusy(): boolean {
    return this.#order !== null;
  }

  /** Whether the reader wants no more tokens. */
  get isStopped(): boolean {
    return Atomics.load(this.shared.numbers, cell.stop) === 1;
  }

  /** How many tokens are not evaluated yet. */
  get waiting(): number {
    return this.#pending.length;
  }

  /**
   * Begins an answer.
   *
   * @param cached how many tokens of the prompt the context holds already
   * @throws {Error} where llama.cpp can't read the grammar
   */
  begin(order: AnswerOrder, cached: number): void {
    this.#order = order;
    this.#picker = tokenPicker(this.decode, order.picking);
    this.#pending = order.prompt.slice(cached);
    this.#count = 0;
    Atomics.store(this.shared.numbers, cell.cached, cached);
  }

  /** Adds waiting tokens, up to the batch's capacity. */
  addTo(batch: TokenBatch, index: number): void {
    const size = Math.min(this.#pending.length, batch.capacity - batch.size);
    const isAll = size === this.#pending.length;
    this.#row = null;
    for (const [at, token] of this.#pending.slice(0, size).entries()) {
      const isLast = isAll && at === size - 1;
      const row = batch.add(token, this.held.length, index, isLast);
      if (isLast) this.#row = row;
      this.held.push(token);
    }
    this.#pending = this.#pending.slice(size);
  }

  /** Picks the next token after the batch was evaluated; true where the answer ends with it. */
  pick(): boolean {
    if (this.#order === null || this.#picker === null || this.#row === null) return false;
    const { maxTokens, insteadOfEnd, logprobs } = this.#order.picking;
    const picked = this.#picker.pick(this.#row);
    const token = insteadOfEnd !== null && this.#isEnd(picked) ? insteadOfEnd : picked;
    this.shared.tokens[this.#count] = token;
    if (logprobs !== null) {
      const cells = logprobsOf(this.decode, this.#row, token, logprobs);
      this.shared.logprobs.set(cells, this.#count * LOGPROB_CELLS);
    }
    this.#count++;
    tell(this.shared, cell.picked, this.#count);
    if (this.#count === maxTokens || this.#isEnd(token)) return true;
    this.#pending = [token];
    return false;
  }

  /** Ends the answer, and tells its reader. */
  end(): void {
    this.#picker?.free();
    this.#picker = null;
    this.#order = null;
    this.#pending = [];
    tell(this.shared, cell.over, 1);
  }

  #isEnd(token: number): boolean {
    return this.decode.llama.llama_vocab_is_eog(this.decode.vocabulary, token);
  }
}
