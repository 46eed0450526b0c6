/**
 * How much memory a model takes while it runs, from its file's header. The terms are llama.cpp's own buffers;
 * the two constants of the engine's process were measured and `deno task bench:fit` measures them again.
 */
import { sumOf } from "../stats/mean.ts";
import { bitsPerWeight } from "./gguf.ts";
import type { GgufLayout, WeightGroup } from "./gguf_layout.ts";

/** The settings of a model that its memory depends on. */
export interface ContextUse {
  /** Tokens of prompt and answer together, per user. */
  readonly contextTokens: number;
  readonly kvCache: "f16" | "q8_0" | "q4_0";
  /** Prompt tokens that are evaluated in one call. */
  readonly batchTokens: number;
  /** Users at once, each with a context of their own. */
  readonly users: number;
  /**
   * Windowed layers keep the whole context too. Podium's engine does so: a repeated long prompt is then found
   * in the cache. By default llama.cpp's own server keeps the window alone.
   */
  readonly fullWindows: boolean;
  readonly mmap: boolean;
}

/** The defaults of Podium's engine. */
export const ENGINE_USE: ContextUse = {
  contextTokens: 4096,
  kvCache: "f16",
  batchTokens: 256,
  users: 1,
  fullWindows: true,
  mmap: true,
};

/** Bytes, by what they are for. */
export interface MemoryParts {
  readonly weights: number;
  /** Weights that llama.cpp keeps a second time, in an order that suits the processor. */
  readonly repacked: number;
  /** The plain copy, for looking tokens up, of an output matrix that is repacked and has no embedding beside it. */
  readonly lookup: number;
  readonly kv: number;
  /** Intermediate results of one call. */
  readonly compute: number;
  /** The engine's process: Deno, llama.cpp, the vocabulary. */
  readonly engine: number;
}

/** Bytes of the engine's process with an empty vocabulary, measured on Linux: 4 kinds of model, ±6 MB. */
const ENGINE_BYTES = 166e6;
/** Bytes per word of the vocabulary, in llama.cpp and in the tokenizer: 49,152 against 262,144 words. */
const VOCABULARY_BYTES = 526;

/**
 * The memory that one model takes.
 *
 * - weights: the file's tensors.
 * - kv: Σ over layers of cells × (keys + values) × bits of the format / 8, as in llama_kv_cache; a windowed
 *   layer has window + batch cells unless `fullWindows`.
 * - compute: batch × 4 bytes × (3 × feed-forward width + 4 × embedding length), the results that are alive at
 *   once in a feed-forward part, and one row of logits. llama.cpp reserves more, which is never touched.
 * - repacked: the formats for which llama.cpp has rows side by side on this processor (ggml-cpu/repack.cpp).
 *
 * ```ts ignore
 * const parts = memoryParts(await readGgufLayout(path), { ...ENGINE_USE, contextTokens: 8192 }, "x86_64");
 * console.log(residentBytes(parts, ENGINE_USE) / 1e6, "MB");
 * ```
 */
export function memoryParts(layout: GgufLayout, use: ContextUse, arch: string): MemoryParts {
  const twice = layout.weights.filter(({ format, part }) =>
    part !== "embedding" && (REPACKED[arch] ?? []).includes(format)
  );
  const tied = !layout.weights.some(({ part }) => part === "embedding");
  const { feedForwardLength, embeddingLength, vocabulary } = layout;
  return {
    weights: bytesOf(layout.weights),
    repacked: bytesOf(twice),
    lookup: tied ? bytesOf(twice.filter(({ part }) => part === "output")) : 0,
    kv: kvCacheBytes(layout, use),
    compute: use.batchTokens * 4 * (3 * feedForwardLength + 4 * embeddingLength) + 4 * vocabulary,
    engine: ENGINE_BYTES + VOCABULARY_BYTES * vocabulary,
  };
}

const bytesOf = (groups: readonly WeightGroup[]) => sumOf(groups.map(({ bytes }) => bytes));

/** ggml_repack_get_optimal_repack_type: processors with AVX2, and with Arm's dot product and matrix instructions. */
const REPACKED: Readonly<Record<string, readonly string[]>> = {
  x86_64: ["Q4_0", "Q4_K", "IQ4_NL", "MXFP4"],
  aarch64: ["Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"],
};

/** Bytes of keys and values of all users. */
export function kvCacheBytes(layout: GgufLayout, use: ContextUse): number {
  const { contextTokens, batchTokens, users, fullWindows, kvCache } = use;
  const bytes = (bitsPerWeight(kvCache.toUpperCase()) ?? 16) / 8;
  const windowCells = Math.min(contextTokens, padded((layout.window ?? contextTokens) + batchTokens));
  const values = layout.kvLayers.map((layer) =>
    layer.values * (layer.windowed && !fullWindows ? windowCells : padded(contextTokens))
  );
  return sumOf(values) * bytes * users;
}

/** llama.cpp rounds a context up to whole blocks of cells. */
const padded = (tokens: number) => Math.ceil(tokens / 256) * 256;

/**
 * Bytes that must stay in memory for the model to run at its speed. The file's own pages of repacked weights
 * are not among them: the system can drop those.
 */
export const neededBytes = (
  { weights, lookup, kv, compute, engine }: MemoryParts,
): number => weights + lookup + kv + compute + engine;

/**
 * Resident size of the engine's process, as the system reports it: with a mapped file it
 * counts repacked weights twice.
 */
export const residentBytes = (parts: MemoryParts, { mmap }: Pick<ContextUse, "mmap">): number =>
  neededBytes(parts) + (mmap ? parts.repacked - parts.lookup : 0);

/**
 * The longest context whose memory stays within `bytes`; at most what the model was trained for. Null
 * where not even 256 tokens fit, and where memory would allow more than 131,072 tokens of a model
 * whose own limit is unknown.
 */
export function largestContext(
  layout: GgufLayout,
  use: ContextUse,
  { bytes, arch }: { readonly bytes: number; readonly arch: string },
): number | null {
  const fits = (contextTokens: number) =>
    neededBytes(memoryParts(layout, { ...use, contextTokens }, arch)) <= bytes;
  const limit = Math.floor((layout.contextTokens ?? 131_072) / 256);
  if (!fits(256)) return null;
  let [low, high] = [1, Math.max(1, limit)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle * 256)) low = middle;
    else high = middle - 1;
  }
  return layout.contextTokens === null && low === limit ? null : low * 256;
}
