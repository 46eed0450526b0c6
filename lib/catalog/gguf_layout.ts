/** What a GGUF file's header says about its weights and about the memory that a context takes: no weight is read. */
import type { Fetch } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import { sumOf } from "../stats/mean.ts";
import { ggufParts, kvValues, tensorBytes, typeName } from "./gguf.ts";

/** Weights with the same use and the same format. */
export interface WeightGroup {
  /**
   * `layers`: read for every token; `experts`: only those that the router chooses are read; `output`: read
   * once per generated token; `embedding`: one row per token.
   */
  readonly part: "layers" | "experts" | "output" | "embedding";
  /** GGML's name of the number format: `Q4_K`, `F16` … */
  readonly format: string;
  readonly bytes: number;
  /** How many weights there are. */
  readonly values: number;
}

/** The keys and values that one layer keeps per token. */
export interface KvLayer {
  /** Numbers per token, keys and values together. */
  readonly values: number;
  /** It attends only to the latest tokens (a sliding window). */
  readonly windowed: boolean;
}

/** The shape of a model in a GGUF file, as far as memory and speed depend on it. */
export interface GgufLayout {
  readonly architecture: string;
  readonly fileBytes: number;
  readonly contextTokens: number | null;
  readonly weights: readonly WeightGroup[];
  readonly layers: number;
  /** One element per layer that keeps keys and values; layers with a state of fixed size are left out. */
  readonly kvLayers: readonly KvLayer[];
  /** Tokens that a windowed layer attends to; null where no layer is windowed. */
  readonly window: number | null;
  readonly embeddingLength: number;
  /** Width of the feed-forward part that one token passes through, all chosen experts together. */
  readonly feedForwardLength: number;
  /** Attention heads × (key length + value length), summed over the layers with attention. */
  readonly attentionWidth: number;
  readonly vocabulary: number;
  readonly experts: { readonly count: number; readonly used: number } | null;
  /** Some layers keep a state of fixed size instead of keys and values. */
  readonly recurrent: boolean;
  readonly license: string | null;
  readonly chatTemplate: string | null;
}

/** How a header that is not on this machine is read: `fetch` is called with byte ranges. */
export interface RemoteHeader {
  readonly fetch: Fetch;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Reads the headers of all parts of a GGUF file, a local one by its path or one at a URL by byte ranges (2 MB
 * each, about as much as the vocabulary takes).
 *
 * @throws {UserError} when there is no such file, or it is not a GGUF file
 *
 * ```ts ignore
 * const layout = await readGgufLayout("SmolLM2-135M-Instruct.Q4_1.gguf");
 * console.log(layout.layers, layout.kvLayers[0]?.values); // 30, 384
 * ```
 */
export async function readGgufLayout(pathOrUrl: string, remote?: RemoteHeader): Promise<GgufLayout> {
  const { gguf } = await import("@huggingface/gguf");
  const parts = ggufParts(pathOrUrl);
  const headers: Header[] = [];
  for (const part of parts) {
    try {
      const parsed = remote === undefined ? await gguf(part, { allowLocalFile: true }) : await gguf(part, {
        fetch: (input, init) => remote.fetch(String(input), init),
        additionalFetchHeaders: { ...remote.headers },
      });
      headers.push({
        metadata: new Map<string, unknown>(Object.entries(parsed.metadata)),
        tensors: parsed.tensorInfos.map(({ name, shape, dtype }) => ({
          name,
          shape: shape.map(Number),
          type: Number(dtype),
        })),
        offset: Number(parsed.tensorDataOffset),
      });
    } catch (error) {
      throw new UserError(`the header of ${part} can't be read: ${reasonOf(error)}; give a GGUF file`);
    }
  }
  return layoutOf(headers);
}

/** One part's header, as the parser gives it. */
export interface Header {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly type: number;
  }[];
  /** Where the weights begin. */
  readonly offset: number;
}

/**
 * Which layers llama.cpp takes as windowed where the file doesn't say: every nth attends
 * to everything (src/models).
 */
const WINDOW_PERIODS: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3: 6,
  gemma3n: 5,
  "gpt-oss": 2,
  cohere2: 4,
  exaone4: 4,
  llama4: 4,
  olmo2: 4,
};

/** Puts the headers of all parts of a model together. */
export function layoutOf(headers: readonly Header[]): GgufLayout {
  const metadata = headers[0]?.metadata ?? new Map();
  const tensors = headers.flatMap((header) => header.tensors);
  const architecture = text(metadata.get("general.architecture")) ?? "unknown";
  const own: Own = (key) => number(metadata.get(`${architecture}.${key}`));
  const layers = own("block_count") ?? 0;
  const experts = expertsOf(own("expert_count"), own("expert_used_count"));
  const window = own("attention.sliding_window");
  const pattern = metadata.get(`${architecture}.attention.sliding_window_pattern`);
  const isWindowed = windowedLayers(pattern, WINDOW_PERIODS[architecture]);
  const kvLayers = kvLayersOf(tensors, layers, own, (layer) => window !== null && isWindowed(layer));
  const embeddingLength = own("embedding_length") ?? 0;
  const vocabulary = listLength(metadata.get("tokenizer.ggml.tokens")) ?? own("vocab_size") ?? 0;
  return {
    architecture,
    fileBytes: sumOf(headers.map(({ offset }) => offset)) +
      sumOf(tensors.map(({ shape, type }) => tensorBytes(shape, type))),
    contextTokens: own("context_length"),
    weights: groupsOf(tensors),
    layers,
    kvLayers,
    window: kvLayers.some(({ windowed }) => windowed) ? window : null,
    embeddingLength,
    feedForwardLength: feedForwardOf(own, experts),
    attentionWidth: attentionWidthOf(own, embeddingLength, kvLayers.length),
    vocabulary,
    experts,
    recurrent: kvLayers.length < layers,
    license: text(metadata.get("general.license")),
    chatTemplate: text(metadata.get("tokenizer.chat_template")),
  };
}

const text = (value: unknown) => typeof value === "string" && value !== "" ? value : null;
const number = (value: unknown): number | null => {
  if (Array.isArray(value)) {
    return value.reduce((most: number | null, one) => larger(most, number(one)), null);
  }
  return typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : null;
};
const larger = (a: number | null, b: number | null) => a === null ? b : b === null ? a : Math.max(a, b);
const listLength = (value: unknown) => Array.isArray(value) ? value.length : null;

function expertsOf(count: number | null, used: number | null) {
  return count === null || used === null || count === 0 ? null : { count, used: Math.min(used, count) };
}

/** A figure of the model's own architecture. */
type Own = (key: string) => number | null;

function feedForwardOf(own: Own, experts: GgufLayout["experts"]): number {
  const dense = own("feed_forward_length") ?? 0;
  if (experts === null) return dense;
  const single = own("expert_feed_forward_length") ?? dense;
  return single * experts.used + (own("expert_shared_feed_forward_length") ?? 0);
}

function attentionWidthOf(own: Own, embeddingLength: number, layers: number): number {
  const heads = own("attention.head_count") ?? 0;
  if (heads === 0) return 0;
  const head = embeddingLength / heads;
  return layers * heads *
    ((own("attention.key_length") ?? head) + (own("attention.value_length") ?? head));
}

type Tensor = Header["tensors"][number];

/**
 * A layer keeps as many numbers per token as the matrices that make its keys and values have rows. So grouped
 * heads, layers of different sizes and layers without attention need no table of architectures.
 */
function kvLayersOf(
  tensors: readonly Tensor[],
  layers: number,
  own: Own,
  windowed: (layer: number) => boolean,
): KvLayer[] {
  const rows = new Map(tensors.map(({ name, shape }) => [name, shape[1] ?? 0]));
  // For a model whose queries, keys and values share a matrix.
  const fromHeads = kvValues(own);
  const shared = own("attention.shared_kv_layers") ?? 0;
  const found: KvLayer[] = [];
  for (let layer = 0; layer < layers - shared; layer++) {
    const keys = rows.get(`blk.${layer}.attn_k.weight`);
    const values = rows.get(`blk.${layer}.attn_v.weight`) ?? keys;
    const joined = rows.has(`blk.${layer}.attn_qkv.weight`) && !rows.has(`blk.${layer}.ssm_out.weight`);
    const latent = rows.get(`blk.${layer}.attn_kv_a_mqa.weight`);
    const kept = keys !== undefined && values !== undefined
      ? keys + values
      : latent ?? (joined ? fromHeads : null);
    if (kept !== null) found.push({ values: kept, windowed: windowed(layer) });
  }
  return found;
}

/** @param pattern a flag per layer, or n where every nth layer attends to everything; otherwise n is `usual` */
function windowedLayers(pattern: unknown, usual: number | undefined): (layer: number) => boolean {
  if (Array.isArray(pattern)) return (layer) => Boolean(pattern[layer]);
  const period = number(pattern) ?? usual;
  return (layer) => period !== undefined && layer % period < period - 1;
}

/** `token_embd` is the output matrix as well where a file has no `output.weight`. */
function groupsOf(tensors: readonly Tensor[]): WeightGroup[] {
  const tied = !tensors.some(({ name }) => name === "output.weight");
  const groups = new Map<string, WeightGroup>();
  for (const { name, shape, type } of tensors) {
    const part = partOf(name, tied);
    const format = typeName(type);
    const before = groups.get(`${part} ${format}`);
    groups.set(`${part} ${format}`, {
      part,
      format,
      bytes: (before?.bytes ?? 0) + tensorBytes(shape, type),
      values: (before?.values ?? 0) + shape.reduce((product, side) => product * side, 1),
    });
  }
  return [...groups.values()];
}

function partOf(name: string, tied: boolean): WeightGroup["part"] {
  if (name === "token_embd.weight") return tied ? "output" : "embedding";
  if (name === "output.weight") return "output";
  if (/^per_layer_token_embd/.test(name)) return "embedding";
  return /_exps\./.test(name) ? "experts" : "layers";
}

/**
 * Bytes of weights that one generated token reads, by number format: of the experts, the
 * share that the router chooses.
 */
export function bytesPerToken({ weights, experts }: GgufLayout): Map<string, number> {
  return sumByFormat(weights, ({ part, bytes }) => readShare(part, experts) * bytes);
}

/** What `valuesPerPromptToken` adds to the format of weights that a router chooses. */
export const EXPERTS = " experts";

/**
 * Weights that one prompt token is multiplied with, by number format; the output matrix
 * serves the last token alone.
 */
export function valuesPerPromptToken({ weights, experts }: GgufLayout): Map<string, number> {
  return sumByFormat(
    weights.map((group) => group.part === "experts" ? { ...group, format: group.format + EXPERTS } : group),
    ({ part, values }) => part === "output" ? 0 : readShare(part, experts) * values,
  );
}

const readShare = (part: WeightGroup["part"], experts: GgufLayout["experts"]) =>
  part === "embedding" ? 0 : part === "experts" && experts !== null ? experts.used / experts.count : 1;

function sumByFormat(
  weights: readonly WeightGroup[],
  amount: (group: WeightGroup) => number,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const group of weights) {
    const own = amount(group);
    if (own > 0) sums.set(group.format, (sums.get(group.format) ?? 0) + own);
  }
  return sums;
}
