/** The metadata of a GGUF file. */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { isOpenLicense } from "./licenses.ts";
import { statIfThere } from "./files.ts";
import type { Model, Variant } from "./model.ts";

export const ggufFacts = z.object({
  architecture: z.string().nullable(),
  license: z.string().nullable(),
  context_tokens: z.number().nullable(),
  quantization: z.string().nullable(),
  /** Whether the file has a chat template: a model without one was probably not trained to chat. */
  chat_template: z.boolean(),
  /** Bytes of 16-bit keys and values per token of context; null where the metadata is not enough. */
  kv_bytes_per_token: z.number().nullable(),
});
export type GgufFacts = z.infer<typeof ggufFacts>;

/** llama.cpp's name for a part of a split model; a file that claims more parts than this is not a model. */
const SPLIT = /-(\d{5})-of-(\d{5})(?=\.gguf$)/i;
const MOST_PARTS = 500;

/**
 * The names (or paths) of all parts of a split GGUF file, in order; the name alone where it is not split.
 *
 * ```ts
 * const parts = ggufParts("q4-00001-of-00003.gguf");
 * if (parts[2] !== "q4-00003-of-00003.gguf" || ggufParts("q4.gguf").length !== 1) throw new Error(String(parts));
 * ```
 */
export function ggufParts(name: string): string[] {
  const count = Number(SPLIT.exec(name)?.[2] ?? 1);
  if (count < 2 || count > MOST_PARTS) return [name];
  return Array.from({ length: count }, (_, at) => ggufPart(name, at + 1));
}

/** The name of part `number` (from 1) of the split file that `name` is a part of. */
export function ggufPart(name: string, number: number): string {
  return name.replace(
    SPLIT,
    (_, _own: string, all: string) => `-${String(number).padStart(5, "0")}-of-${all}`,
  );
}

/**
 * Reads a GGUF file's metadata: licence, context, quantisation, chat template and the size of its context.
 *
 * @throws {UserError} when the file is not a GGUF file, is truncated or corrupted, or parts of it are missing
 *
 * ```ts ignore
 * const { license, context_tokens } = await readGguf("SmolLM2-135M-Instruct.Q4_1.gguf"); // "apache-2.0", 8192
 * ```
 */
export async function readGguf(path: string): Promise<GgufFacts> {
  const parts = ggufParts(path);
  const there = await Promise.all(parts.map((part) => statIfThere(part)));
  const missing = parts.filter((_, at) => there[at] === null);
  if (parts.length > 1 && missing.length > 0) {
    throw new UserError(
      `${path} is one of ${parts.length} parts of a model, and ${missing.length} are missing ` +
        `(${missing.slice(0, 3).join(", ")}${missing.length > 3 ? " …" : ""}): put all parts into one folder`,
    );
  }
  return await readFacts(parts[0] ?? path);
}

async function readFacts(path: string): Promise<GgufFacts> {
  const { gguf, GGMLFileQuantizationType } = await import("@huggingface/gguf");
  const { size } = await Deno.stat(path);
  const parsed = await gguf(path, { allowLocalFile: true }).catch((error: unknown) => {
    throw new UserError(`${path} is damaged, or not a GGUF file (${reasonOf(error)}); ${REMEDY}`);
  });
  // The parser reads past the end of a file without complaint and returns empty names.
  const named = parsed.tensorInfos.every(({ name }) => name !== "") &&
    // The first part of a split model may hold metadata alone.
    (parsed.tensorInfos.length > 0 || "split.count" in parsed.metadata);
  const ends = parsed.tensorInfos.map(({ offset, shape, dtype }) =>
    Number(offset) + tensorBytes(shape, dtype)
  );
  const whole = Number(parsed.tensorDataOffset) + ends.reduce((far, end) => Math.max(far, end), 0);
  if (!named || whole > size) {
    throw new UserError(`${path} is a GGUF file that was truncated at ${size} bytes; ${REMEDY}`);
  }
  const metadata = new Map<string, unknown>(Object.entries(parsed.metadata));
  const architecture = text(metadata.get("general.architecture"));
  const own = (key: string) => count(metadata.get(`${architecture}.${key}`));
  return {
    architecture,
    license: text(metadata.get("general.license")),
    context_tokens: own("context_length"),
    quantization: GGMLFileQuantizationType[count(metadata.get("general.file_type")) ?? -1] ?? null,
    chat_template: text(metadata.get("tokenizer.chat_template")) !== null,
    kv_bytes_per_token: kvBytesPerToken(own),
  };
}

const REMEDY = "pull the model again, or see `deno task models verify`";

const text = (value: unknown) => typeof value === "string" && value !== "" ? value : null;
const count = (value: unknown) =>
  typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : null;

/** GGML's tensor types (ggml.h and ggml-common.h): number, name, values per block, bytes per block. */
const TYPES = [
  [0, "F32", 1, 4],
  [1, "F16", 1, 2],
  [2, "Q4_0", 32, 18],
  [3, "Q4_1", 32, 20],
  [6, "Q5_0", 32, 22],
  [7, "Q5_1", 32, 24],
  [8, "Q8_0", 32, 34],
  [10, "Q2_K", 256, 84],
  [11, "Q3_K", 256, 110],
  [12, "Q4_K", 256, 144],
  [13, "Q5_K", 256, 176],
  [14, "Q6_K", 256, 210],
  [16, "IQ2_XXS", 256, 66],
  [17, "IQ2_XS", 256, 74],
  [18, "IQ3_XXS", 256, 98],
  [19, "IQ1_S", 256, 50],
  [20, "IQ4_NL", 32, 18],
  [21, "IQ3_S", 256, 110],
  [22, "IQ2_S", 256, 82],
  [23, "IQ4_XS", 256, 136],
  [24, "I8", 1, 1],
  [25, "I16", 1, 2],
  [26, "I32", 1, 4],
  [29, "IQ1_M", 256, 56],
  [30, "BF16", 1, 2],
  [39, "MXFP4", 32, 17],
] as const;
const BLOCKS = new Map(TYPES.map(([type, name, values, bytes]) => [Number(type), { name, values, bytes }]));
const BITS = new Map<string, number>(TYPES.map(([, name, values, bytes]) => [name, bytes / values * 8]));

/** GGML's name of a tensor type. */
export const typeName = (type: number): string => BLOCKS.get(type)?.name ?? `type ${type}`;

/** Bits that one weight takes in a number format such as `Q4_K`; undefined for an unknown one. */
export const bitsPerWeight = (format: string): number | undefined => BITS.get(format);

/** Bytes of a tensor; 0 for a type that is not known. */
export function tensorBytes(shape: readonly (number | bigint)[], type: number): number {
  const { values, bytes } = BLOCKS.get(type) ?? { values: 1, bytes: 0 };
  return shape.reduce<number>((product, side) => product * Number(side), 1) / values * bytes;
}

/** layers × keys and values of a layer × 2 bytes. */
function kvBytesPerToken(own: (key: string) => number | null): number | null {
  const [layers, values] = [own("block_count"), kvValues(own)];
  return layers === null || values === null ? null : layers * values * 2;
}

/** Keys and values that a layer keeps per token, as its metadata has it: KV heads × (key length + value length). */
export function kvValues(own: (key: string) => number | null): number | null {
  const heads = own("attention.head_count");
  const kvHeads = own("attention.head_count_kv") ?? heads;
  const embedding = own("embedding_length");
  const head = heads === null || embedding === null ? null : embedding / heads;
  const key = own("attention.key_length") ?? head;
  const value = own("attention.value_length") ?? head;
  return kvHeads === null || key === null || value === null ? null : kvHeads * (key + value);
}

/**
 * The model with its gaps filled from the metadata of one variant's file: licence, context, size of the
 * context and quantisation. What models.json states stays.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const [model] = parseRegistry('{"a": {"variants": [{"name": "q4"}]}}', "x").models;
 * const [variant] = model?.variants ?? [];
 * if (model === undefined || variant === undefined) throw new Error("not read");
 * const facts = { architecture: "llama", license: "mit", context_tokens: 2048, quantization: "Q4_1",
 *   chat_template: true, kv_bytes_per_token: 512 };
 * const full = fillIn(model, variant, facts);
 * if (full.license.id !== "mit" || !full.license.open || full.contextTokens !== 2048) throw new Error("gaps stay");
 * ```
 */
export function fillIn(model: Model, variant: Variant, facts: GgufFacts): Model {
  const license = facts.license === null || model.license.id !== "unknown"
    ? model.license
    : { ...model.license, id: facts.license, open: isOpenLicense(facts.license) };
  return {
    ...model,
    license,
    contextTokens: model.contextTokens ?? facts.context_tokens,
    kvBytesPerToken: facts.kv_bytes_per_token ?? model.kvBytesPerToken,
    variants: model.variants.map((own) =>
      own === variant ? { ...own, quantization: own.quantization ?? facts.quantization } : own
    ),
  };
}
