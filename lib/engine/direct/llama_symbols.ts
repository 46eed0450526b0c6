/**
 * The part of llama.cpp's C interface that is called directly: its functions, and the offsets of its structs'
 * fields in the one release that the installed node-llama-cpp contains. llama_library.ts checks all of it.
 */

/** The release of node-llama-cpp whose llama.cpp these layouts were read from. */
export const KNOWN_RELEASE = "3.21.1";

const struct = (bytes: number) => ({ struct: Array.from({ length: bytes / 8 }, () => "u64" as const) });
const modelParams = struct(80);
const contextParams = struct(160);
const batch = struct(56);

/** One field of a struct: its offset in bytes, its C type, and its value in llama.cpp's defaults. */
export interface Field {
  readonly offset: number;
  readonly type: "u32" | "i32" | "u8";
  readonly initial: number;
}

/** Fields of `struct llama_model_params`. */
export const modelFields = {
  n_gpu_layers: { offset: 16, type: "i32", initial: -1 },
  split_mode: { offset: 20, type: "i32", initial: 1 },
  load_mode: { offset: 24, type: "i32", initial: -1 },
  lazy_mode: { offset: 28, type: "i32", initial: 1 },
} as const satisfies Record<string, Field>;

/**
 * Fields of `struct llama_context_params`. Some are never written: they are checked because their neighbours
 * are written, and a field that holds the same value as the next one could be mistaken for it.
 */
export const contextFields = {
  n_ctx: { offset: 0, type: "u32", initial: 512 },
  n_batch: { offset: 4, type: "u32", initial: 2048 },
  n_ubatch: { offset: 8, type: "u32", initial: 512 },
  n_seq_max: { offset: 12, type: "u32", initial: 1 },
  n_rs_seq: { offset: 16, type: "u32", initial: 0 },
  n_threads: { offset: 28, type: "i32", initial: 4 },
  n_threads_batch: { offset: 32, type: "i32", initial: 4 },
  flash_attn_type: { offset: 52, type: "i32", initial: -1 },
  defrag_thold: { offset: 84, type: "u32", initial: 0xbf800000 },
  type_k: { offset: 104, type: "i32", initial: 1 },
  type_v: { offset: 108, type: "i32", initial: 1 },
  abort_callback: { offset: 112, type: "u32", initial: 0 },
  embeddings: { offset: 128, type: "u8", initial: 0 },
  offload_kqv: { offset: 129, type: "u8", initial: 1 },
  no_perf: { offset: 130, type: "u8", initial: 1 },
  op_offload: { offset: 131, type: "u8", initial: 1 },
  swa_full: { offset: 132, type: "u8", initial: 1 },
  kv_unified: { offset: 133, type: "u8", initial: 0 },
} as const satisfies Record<string, Field>;

/** Values of `enum ggml_type`. */
export const ggmlTypes = { f16: 1, q4_0: 2, q8_0: 8 } as const;
/** Values of `enum llama_load_mode`. */
export const loadModes = { none: 0, mmap: 1 } as const;

/** `struct ggml_threadpool_params`: its size, and the field that shows whether its layout is known. */
export const threadpool = { bytes: 528, n_threads: 512 } as const;
/** `ggml_threadpool_new`, which is found by name at run time. */
export const makeThreadpool = { parameters: ["buffer"], result: "pointer" } as const;

/** Functions for loading a model and making a context. */
export const loadSymbols = {
  llama_model_default_params: { parameters: [], result: modelParams },
  llama_context_default_params: { parameters: [], result: contextParams },
  llama_model_load_from_file: { parameters: ["buffer", modelParams], result: "pointer", nonblocking: true },
  llama_init_from_model: { parameters: ["pointer", contextParams], result: "pointer", nonblocking: true },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_n_ctx_seq: { parameters: ["pointer"], result: "u32" },
  llama_attach_threadpool: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
} as const;

/** Samplers: functions that pick a token, or change the logits that another one picks from. */
export const samplerSymbols = {
  llama_sampler_apply: { parameters: ["pointer", "buffer"], result: "void" },
  llama_sampler_accept: { parameters: ["pointer", "i32"], result: "void" },
  llama_sampler_free: { parameters: ["pointer"], result: "void" },
  llama_sampler_init_greedy: { parameters: [], result: "pointer" },
  llama_sampler_init_logit_bias: { parameters: ["i32", "i32", "buffer"], result: "pointer" },
} as const;

/** A batch of llama.cpp's own, by which the layout of batches is checked. */
export const batchSymbols = {
  llama_batch_init: { parameters: ["i32", "i32", "i32"], result: batch },
  llama_batch_free: { parameters: [batch], result: "void" },
} as const;

/** Functions that compare two models' logits over a text; the slow one, `llama_decode`, doesn't block. */
export const textSymbols = {
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_vocab_bos: { parameters: ["pointer"], result: "i32" },
  llama_vocab_get_add_bos: { parameters: ["pointer"], result: "bool" },
  llama_tokenize: {
    parameters: ["pointer", "buffer", "i32", "buffer", "i32", "bool", "bool"],
    result: "i32",
  },
  llama_token_to_piece: { parameters: ["pointer", "i32", "buffer", "i32", "i32", "bool"], result: "i32" },
  llama_decode: { parameters: ["pointer", batch], result: "i32", nonblocking: true },
  llama_get_logits: { parameters: ["pointer"], result: "pointer" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
} as const;

/** Functions for decoding: all of them block, and belong in the decoding thread. */
export const decodeSymbols = {
  ...samplerSymbols,
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_vocab_is_eog: { parameters: ["pointer", "i32"], result: "bool" },
  llama_decode: { parameters: ["pointer", batch], result: "i32" },
  llama_get_logits_ith: { parameters: ["pointer", "i32"], result: "pointer" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_seq_rm: { parameters: ["pointer", "i32", "i32", "i32"], result: "bool" },
  llama_sampler_chain_init: { parameters: ["u8"], result: "pointer" },
  llama_sampler_chain_add: { parameters: ["pointer", "pointer"], result: "void" },
  llama_sampler_init_dist: { parameters: ["u32"], result: "pointer" },
  llama_sampler_init_temp: { parameters: ["f32"], result: "pointer" },
  llama_sampler_init_top_k: { parameters: ["i32"], result: "pointer" },
  llama_sampler_init_top_p: { parameters: ["f32", "usize"], result: "pointer" },
  llama_sampler_init_min_p: { parameters: ["f32", "usize"], result: "pointer" },
  llama_sampler_init_penalties: { parameters: ["i32", "i32", "f32", "f32", "f32"], result: "pointer" },
  llama_sampler_sample: { parameters: ["pointer", "pointer", "i32"], result: "i32" },
  llama_sampler_init_grammar: { parameters: ["pointer", "buffer", "buffer"], result: "pointer" },
} as const;

/** Functions of ggml's libraries: for threads that live as long as the context. */
export const ggmlSymbols = {
  ggml_backend_dev_by_type: { parameters: ["i32"], result: "pointer" },
} as const;
/** The same of `ggml-base`. */
export const baseSymbols = {
  ggml_threadpool_params_init: { parameters: ["buffer", "i32"], result: "void" },
  ggml_backend_dev_backend_reg: { parameters: ["pointer"], result: "pointer" },
  ggml_backend_reg_get_proc_address: { parameters: ["pointer", "buffer"], result: "pointer" },
} as const;

/** The functions of a symbol table, ready to be called. */
export type Functions<T extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<T>["symbols"];
/** The functions that the decoding thread calls. */
export type DecodeLibrary = Functions<typeof decodeSymbols>;

const viewOf = (struct: Uint8Array) => new DataView(struct.buffer, struct.byteOffset, struct.byteLength);

/** Reads a field of a struct that llama.cpp returned by value. */
export function readField(struct: Uint8Array, { offset, type }: Field): number {
  const view = viewOf(struct);
  if (type === "u8") return view.getUint8(offset);
  return type === "u32" ? view.getUint32(offset, true) : view.getInt32(offset, true);
}

/** Writes a field of a struct that llama.cpp returned by value. */
export function writeField(struct: Uint8Array, { offset, type }: Field, value: number): void {
  const view = viewOf(struct);
  if (type === "u8") view.setUint8(offset, value);
  else if (type === "u32") view.setUint32(offset, value, true);
  else view.setInt32(offset, value, true);
}

/** Text as C takes it. */
export const cString = (text: string) => new TextEncoder().encode(text + "\0");
