/** The tokens of one call of `llama_decode`, in the layout of `struct llama_batch`. */
import type { batchSymbols, Functions } from "./llama_symbols.ts";

/** `struct llama_batch`: its size and the offsets of its fields. */
const fields = {
  bytes: 56,
  n_tokens: 0,
  token: 8,
  embd: 16,
  pos: 24,
  n_seq_id: 32,
  seq_id: 40,
  logits: 48,
} as const;

/**
 * Up to `capacity` tokens of one or several sequences. The struct points into this object's memory, so the
 * batch must live until `llama_decode` has returned.
 */
export class TokenBatch {
  #size = 0;
  readonly #struct = new Uint8Array(fields.bytes);
  readonly #header = new DataView(this.#struct.buffer);
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #sequences: Int32Array;
  readonly #outputs: Int8Array;
  protected readonly reachable: readonly ArrayBufferView[];

  constructor(readonly capacity: number) {
    // Arrays with buffers of their own: V8 may move a small array without one.
    const numbers = () => new Int32Array(new ArrayBuffer(4 * capacity));
    this.#tokens = numbers();
    this.#positions = numbers();
    this.#sequences = numbers();
    this.#outputs = new Int8Array(new ArrayBuffer(capacity));
    const counts = numbers().fill(1);
    const first = addressOf(this.#sequences);
    const pointers = new BigUint64Array(new ArrayBuffer(8 * capacity));
    for (let at = 0; at < capacity; at++) pointers[at] = first + BigInt(4 * at);
    // The struct holds only addresses, so the arrays must stay reachable.
    this.reachable = [counts, pointers];
    const point = (offset: number, address: bigint) => this.#header.setBigUint64(offset, address, true);
    point(fields.token, addressOf(this.#tokens));
    point(fields.pos, addressOf(this.#positions));
    point(fields.n_seq_id, addressOf(counts));
    point(fields.seq_id, addressOf(pointers));
    point(fields.logits, addressOf(this.#outputs));
  }

  /** How many tokens it holds. */
  get size(): number {
    return this.#size;
  }

  /** Removes all tokens. */
  clear(): void {
    this.#size = 0;
  }

  /**
   * Adds a token at a position of a sequence; `output` asks for the logits that follow it.
   *
   * @returns the token's index in the batch, which `llama_get_logits_ith` takes
   * @throws {RangeError} where the batch is full
   */
  add(token: number, position: number, sequence: number, output: boolean): number {
    const at = this.#size;
    if (at === this.capacity) throw new RangeError(`Cannot add a token: the batch holds ${at} already`);
    this.#tokens[at] = token;
    this.#positions[at] = position;
    this.#sequences[at] = sequence;
    this.#outputs[at] = output ? 1 : 0;
    this.#size++;
    return at;
  }

  /** `struct llama_batch` with the tokens that were added. */
  get struct(): Uint8Array<ArrayBuffer> {
    this.#header.setInt32(fields.n_tokens, this.#size, true);
    return this.#struct;
  }
}

const addressOf = (array: Int32Array | Int8Array | BigUint64Array) => {
  const pointer = Deno.UnsafePointer.of(array);
  return Deno.UnsafePointer.value(pointer);
};

/** Whether llama.cpp lays out batches as expected: for tokens `embd` is empty and `seq_id` ended. */
export function hasKnownBatches(llama: Functions<typeof batchSymbols>): boolean {
  const capacity = 3;
  const struct = llama.llama_batch_init(capacity, 0, 1);
  const view = new DataView(struct.buffer, struct.byteOffset, struct.byteLength);
  const at = (offset: number) => view.getBigUint64(offset, true);
  const { token, embd, pos, n_seq_id, seq_id, logits } = fields;
  const known = view.getInt32(fields.n_tokens, true) === 0 && at(embd) === 0n &&
    [token, pos, n_seq_id, seq_id, logits].every((offset) => at(offset) !== 0n) &&
    endsWithNull(at(seq_id), capacity);
  llama.llama_batch_free(struct);
  return known;
}

function endsWithNull(address: bigint, length: number): boolean {
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null) return false;
  const view = new Deno.UnsafePointerView(pointer);
  const filled = Array.from({ length }, (_, at) => view.getBigUint64(8 * at) !== 0n);
  return filled.every(Boolean) && view.getBigUint64(8 * length) === 0n;
}
