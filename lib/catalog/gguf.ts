/** What a GGUF file says about itself. */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";

export const ggufFacts = z.object({
  architecture: z.string().nullable(),
  license: z.string().nullable(),
  context_tokens: z.number().nullable(),
  quantization: z.string().nullable(),
  /** Whether a chat template is inside: without one the model was hardly taught to chat. */
  chat_template: z.boolean(),
  /** Bytes of 16-bit keys and values a token of context takes; null where the file does not say enough. */
  kv_bytes_per_token: z.number().nullable(),
});
export type GgufFacts = z.infer<typeof ggufFacts>;

/**
 * Reads a GGUF file's metadata: licence, context, quantisation, chat template and the size of its context.
 *
 * @throws {UserError} where the file is no GGUF file, or is cut short or corrupted
 */
export async function readGguf(path: string): Promise<GgufFacts> {
  const { gguf, GGMLFileQuantizationType } = await import("@huggingface/gguf");
  const { size } = await Deno.stat(path);
  const parsed = await gguf(path, { allowLocalFile: true }).catch((error: unknown) => {
    throw new UserError(`${path} is not a whole GGUF file: ${reasonOf(error)}; ${REMEDY}`);
  });
  // The parser reads past the end of a file without complaint and gives empty names back.
  const named = parsed.tensorInfos.length > 0 && parsed.tensorInfos.every(({ name }) => name !== "");
  const furthest = parsed.tensorInfos.reduce((far, { offset }) => offset > far ? offset : far, 0n);
  if (!named || Number(parsed.tensorDataOffset + furthest) >= size) {
    throw new UserError(`${path} is a GGUF file that was cut short at ${size} bytes; ${REMEDY}`);
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

/** layers × KV heads × (key length + value length) × 2 bytes. */
function kvBytesPerToken(own: (key: string) => number | null): number | null {
  const layers = own("block_count");
  const heads = own("attention.head_count");
  const kvHeads = own("attention.head_count_kv") ?? heads;
  const embedding = own("embedding_length");
  const head = heads === null || embedding === null ? null : embedding / heads;
  const key = own("attention.key_length") ?? head;
  const value = own("attention.value_length") ?? head;
  if (layers === null || kvHeads === null || key === null || value === null) return null;
  return layers * kvHeads * (key + value) * 2;
}
