/** The logits of a model along a text, read in llama.cpp's memory without a copy. */
import type { DirectModel } from "./direct_evaluator.ts";
import type { LlamaLibrary } from "./llama_library.ts";
import { type Functions, textSymbols } from "./llama_symbols.ts";
import { TokenBatch } from "./token_batch.ts";

/** A model that reads texts: a vocabulary, and a context for one block of text. */
export class TextLogits {
  readonly vocabularySize: number;
  readonly #llama: Functions<typeof textSymbols>;
  readonly #vocabulary: Deno.PointerValue;
  readonly #batch: TokenBatch;

  /** @param context made with `makeDirectContext` for a whole text of at most `blockTokens` tokens */
  constructor(
    { libraryPath, llama }: Pick<LlamaLibrary, "libraryPath" | "llama">,
    model: DirectModel,
    private readonly context: Deno.PointerObject,
    blockTokens: number,
  ) {
    this.#llama = Deno.dlopen(libraryPath, textSymbols).symbols;
    this.#vocabulary = llama.llama_model_get_vocab(model);
    this.vocabularySize = this.#llama.llama_vocab_n_tokens(this.#vocabulary);
    this.#batch = new TokenBatch(blockTokens);
  }

  /** The tokens of a text as llama.cpp's perplexity tool splits it: control tokens are plain text. */
  tokenize(text: string): Int32Array {
    const bytes = new TextEncoder().encode(text);
    const tokens = new Int32Array(bytes.length + 2);
    const count = this.#llama.llama_tokenize(
      this.#vocabulary,
      bytes,
      bytes.length,
      tokens,
      tokens.length,
      true,
      false,
    );
    if (count < 0) throw new Error(`llama.cpp could not split a text of ${bytes.length} bytes into tokens`);
    return tokens.slice(0, count);
  }

  /** The token that begins every text; null where the model has none. */
  get beginning(): number | null {
    if (!this.#llama.llama_vocab_get_add_bos(this.#vocabulary)) return null;
    return this.#llama.llama_vocab_bos(this.#vocabulary);
  }

  /** The text of a few tokens; a character that is cut at either end becomes U+FFFD. */
  textOf(tokens: Iterable<number>): string {
    const piece = new Uint8Array(256);
    const bytes: number[] = [];
    for (const token of tokens) {
      const length = this.#llama.llama_token_to_piece(this.#vocabulary, token, piece, piece.length, 0, true);
      bytes.push(...piece.subarray(0, Math.max(0, length)));
    }
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }

  /**
   * Reads a block of text from its start.
   *
   * @param first the first position whose logits are returned
   * @returns the logits after each position from `first` on, one row per position, in llama.cpp's own memory:
   * they are valid until this model reads the next block
   */
  async read(block: Int32Array, first: number): Promise<Float32Array> {
    const llama = this.#llama;
    llama.llama_memory_clear(llama.llama_get_memory(this.context), true);
    this.#batch.clear();
    for (const [at, token] of block.entries()) this.#batch.add(token, at, 0, at >= first);
    const code = await llama.llama_decode(this.context, this.#batch.struct);
    if (code !== 0) throw new Error(`llama.cpp could not evaluate ${block.length} tokens (code ${code})`);
    const logits = llama.llama_get_logits(this.context);
    if (logits === null) throw new Error("llama.cpp gave no logits");
    const size = (block.length - first) * this.vocabularySize;
    return new Float32Array(Deno.UnsafePointerView.getArrayBuffer(logits, size * 4));
  }
}
