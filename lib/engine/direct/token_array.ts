/** Candidate tokens with their logits in the layout that llama.cpp's samplers work on. */
import type { Functions, samplerSymbols } from "./llama_symbols.ts";

type Samplers = Functions<typeof samplerSymbols>;

/** `struct llama_token_data` is an int32 (the token) and two floats (its logit and its probability). */
const wordsPerToken = 3;
/** `struct llama_token_data_array`: a pointer, a size, the index of the selected token, and a flag. */
const head = { bytes: 32, data: 0, size: 8, selected: 16, sorted: 24 } as const;

/** A `struct llama_token_data_array` with room for `capacity` tokens. */
export class TokenArray {
  readonly #memory: ArrayBuffer;
  readonly #tokens: Int32Array<ArrayBuffer>;
  readonly #logits: Float32Array<ArrayBuffer>;
  readonly #head = new Uint8Array(head.bytes);
  readonly #fields = new DataView(this.#head.buffer);

  constructor(private readonly llama: Samplers, capacity: number) {
    this.#memory = new ArrayBuffer(capacity * wordsPerToken * 4);
    this.#tokens = new Int32Array(this.#memory);
    this.#logits = new Float32Array(this.#memory);
  }

  /** Takes a logit per token of the vocabulary. */
  fill(logits: Float32Array): void {
    for (let token = 0, at = 0; token < logits.length; token++, at += wordsPerToken) {
      this.#tokens[at] = token;
      this.#logits[at + 1] = logits[token] ?? -Infinity;
    }
    this.#begin(logits.length);
  }

  /** Takes one token alone. */
  fillOne(token: number): void {
    this.#tokens[0] = token;
    this.#logits[1] = 1;
    this.#begin(1);
  }

  #begin(size: number): void {
    const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#tokens));
    this.#fields.setBigUint64(head.data, address, true);
    this.#fields.setBigUint64(head.size, BigInt(size), true);
    this.#fields.setBigInt64(head.selected, -1n, true);
  }

  /** Lets a sampler change the logits, drop tokens, or select one. */
  apply(sampler: Deno.PointerValue): void {
    // A grammar that rules out tokens of a sorted array leaves the array's flag "sorted" set.
    this.#fields.setUint8(head.sorted, 0);
    this.llama.llama_sampler_apply(sampler, this.#head);
  }

  /** The token that the last sampler selected; null where there is none, or one that was ruled out. */
  selected(): number | null {
    const index = Number(this.#fields.getBigInt64(head.selected, true));
    return index < 0 ? null : this.#tokenAt(index);
  }

  /** The token with the largest logit, of equals the smaller id; null where all were ruled out. */
  likeliest(): number | null {
    const size = Number(this.#fields.getBigUint64(head.size, true));
    let best: number | null = null;
    let highest = -Infinity;
    for (let index = 0; index < size; index++) {
      const logit = this.#logits[index * wordsPerToken + 1] ?? -Infinity;
      const token = this.#tokens[index * wordsPerToken] ?? 0;
      if (logit > highest || (logit === highest && best !== null && token < best)) {
        highest = logit;
        best = token;
      }
    }
    return best;
  }

  #tokenAt(index: number): number | null {
    const isOut = (this.#logits[index * wordsPerToken + 1] ?? -Infinity) === -Infinity;
    return isOut ? null : this.#tokens[index * wordsPerToken] ?? null;
  }
}

/** Whether llama.cpp's own samplers read and write these arrays as expected. */
export function hasKnownTokenArrays(llama: Samplers): boolean {
  const array = new TokenArray(llama, 4);
  const greedy = llama.llama_sampler_init_greedy();
  // `struct llama_logit_bias`: it rules out token 2, the likeliest.
  const bias = new DataView(new ArrayBuffer(8));
  bias.setInt32(0, 2, true);
  bias.setFloat32(4, -Infinity, true);
  const withoutTwo = llama.llama_sampler_init_logit_bias(4, 1, new Uint8Array(bias.buffer));
  array.fill(Float32Array.of(1, 2, 4, 3));
  array.apply(greedy);
  const first = array.selected();
  array.apply(withoutTwo);
  array.apply(greedy);
  const [second, likeliest] = [array.selected(), array.likeliest()];
  for (const sampler of [greedy, withoutTwo]) llama.llama_sampler_free(sampler);
  return first === 2 && second === 3 && likeliest === 3;
}
