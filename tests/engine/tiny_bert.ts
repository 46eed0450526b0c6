/** An embedding model small enough to be made for a test: one layer, made-up weights, a vocabulary of a few words. */
const encoder = new TextEncoder();

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: number) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
const f32 = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const string = (text: string) => join(u64(encoder.encode(text).length), encoder.encode(text));

/** Key and value, with GGUF's numbers for types: 4 uint32, 5 int32, 6 float32, 7 bool, 8 string, 9 array. */
const number = (key: string, value: number) => join(string(key), u32(4), u32(value));
const text = (key: string, value: string) => join(string(key), u32(8), string(value));

const WIDTH = 32;
const INNER = 64;
export const CONTEXT = 64;
const SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const WORDS = ["cat", "dog", "the", "a", "sits", "runs", "market", "fell"];

/** The file's bytes. The same every time. */
export function tinyBert(): Uint8Array<ArrayBuffer> {
  const tokens = [...SPECIAL, ...WORDS.map((word) => `\u2581${word}`)];
  const pairs = [
    text("general.architecture", "bert"),
    number("bert.context_length", CONTEXT),
    number("bert.embedding_length", WIDTH),
    number("bert.feed_forward_length", INNER),
    number("bert.block_count", 1),
    number("bert.attention.head_count", 2),
    join(string("bert.attention.layer_norm_epsilon"), u32(6), f32([1e-12])),
    join(string("bert.attention.causal"), u32(7), Uint8Array.of(0)),
    number("bert.pooling_type", 1),
    text("tokenizer.ggml.model", "bert"),
    join(string("tokenizer.ggml.tokens"), u32(9), u32(8), u64(tokens.length), ...tokens.map(string)),
    join(
      string("tokenizer.ggml.token_type"),
      u32(9),
      u32(5),
      u64(tokens.length),
      ...tokens.map((_, at) => u32(at < SPECIAL.length ? 3 : 1)),
    ),
    number("tokenizer.ggml.token_type_count", 2),
    number("tokenizer.ggml.padding_token_id", 0),
    number("tokenizer.ggml.unknown_token_id", 1),
    number("tokenizer.ggml.bos_token_id", 2),
    number("tokenizer.ggml.seperator_token_id", 3),
    number("tokenizer.ggml.mask_token_id", 4),
  ];
  const matrix = (name: string, rows: number, columns: number) => ({ name, shape: [columns, rows] });
  const vector = (name: string, length: number) => ({ name, shape: [length] });
  const both = (name: string, rows: number, columns: number) => [
    matrix(`${name}.weight`, rows, columns),
    vector(`${name}.bias`, rows),
  ];
  const norm = (name: string) => [vector(`${name}.weight`, WIDTH), vector(`${name}.bias`, WIDTH)];
  const tensors = [
    matrix("token_embd.weight", tokens.length, WIDTH),
    matrix("position_embd.weight", CONTEXT, WIDTH),
    matrix("token_types.weight", 2, WIDTH),
    ...norm("token_embd_norm"),
    ...["q", "k", "v", "output"].flatMap((name) => both(`blk.0.attn_${name}`, WIDTH, WIDTH)),
    ...norm("blk.0.attn_output_norm"),
    ...both("blk.0.ffn_up", INNER, WIDTH),
    ...both("blk.0.ffn_down", WIDTH, INNER),
    ...norm("blk.0.layer_output_norm"),
  ];
  let offset = 0;
  const infos: Uint8Array[] = [];
  const data: Uint8Array[] = [];
  for (const [at, { name, shape }] of tensors.entries()) {
    const count = shape.reduce((product, size) => product * size, 1);
    // Every size here is a multiple of 32 bytes, as the format wants.
    infos.push(join(string(name), u32(shape.length), ...shape.map(u64), u32(0), u64(offset)));
    data.push(f32(Array.from({ length: count }, (_, i) => Math.sin((i + 1) * (at + 1) * 12.9898) / 4)));
    offset += count * 4;
  }
  const head = join(
    encoder.encode("GGUF"),
    u32(3),
    u64(tensors.length),
    u64(pairs.length),
    ...pairs,
    ...infos,
  );
  return join(head, new Uint8Array((32 - head.length % 32) % 32), ...data);
}
