/**
 * llama.cpp called directly, from the very libraries that node-llama-cpp ships and has loaded. On a processor
 * it saves what stands between two tokens: the library makes its compute threads anew for each of them, and
 * hands every step to another thread and back. Threads that stay, one of which does nothing but decode
 * (decode_thread.ts), are measurably faster.
 *
 * The layouts below are those of the one llama.cpp release that this version of node-llama-cpp carries; where
 * anything is not as expected (`openNative` gives null), the library's own way is taken.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The release of node-llama-cpp whose llama.cpp the layouts were read from. */
const knownVersion = "3.21.1";

const bytes = (count: number) => ({ struct: Array.from({ length: count / 8 }, () => "u64" as const) });
/** `struct llama_model_params`, `llama_context_params`, `llama_batch`: by size; fields are set by offset. */
const modelParams = bytes(80);
const contextParams = bytes(160);
const batch = bytes(56);
export const modelField = { gpuLayers: 16 } as const;
export const contextField = {
  nCtx: 0,
  nBatch: 4,
  nUbatch: 8,
  threads: 28,
  threadsBatch: 32,
  flash: 52,
  swaFull: 132,
} as const;
/** `struct ggml_threadpool_params`. */
export const threadpoolBytes = 528;
export const makeThreadpool = { parameters: ["buffer"], result: "pointer" } as const;

/** What loading a model and making a context takes. */
const llamaSymbols = {
  llama_model_default_params: { parameters: [], result: modelParams },
  llama_context_default_params: { parameters: [], result: contextParams },
  llama_model_load_from_file: { parameters: ["buffer", modelParams], result: "pointer", nonblocking: true },
  llama_init_from_model: { parameters: ["pointer", contextParams], result: "pointer", nonblocking: true },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_n_ctx: { parameters: ["pointer"], result: "u32" },
  llama_attach_threadpool: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
} as const;
/** What decoding takes: all of it blocks, and belongs into the thread that does nothing else. */
export const decodeSymbols = {
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_vocab_is_eog: { parameters: ["pointer", "i32"], result: "bool" },
  llama_batch_get_one: { parameters: ["buffer", "i32"], result: batch },
  llama_decode: { parameters: ["pointer", batch], result: "i32" },
  llama_get_logits_ith: { parameters: ["pointer", "i32"], result: "pointer" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_seq_rm: { parameters: ["pointer", "i32", "i32", "i32"], result: "bool" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
  llama_sampler_chain_init: { parameters: ["u8"], result: "pointer" },
  llama_sampler_chain_add: { parameters: ["pointer", "pointer"], result: "void" },
  llama_sampler_sample: { parameters: ["pointer", "pointer", "i32"], result: "i32" },
  llama_sampler_free: { parameters: ["pointer"], result: "void" },
  llama_sampler_init_greedy: { parameters: [], result: "pointer" },
  llama_sampler_init_dist: { parameters: ["u32"], result: "pointer" },
  llama_sampler_init_temp: { parameters: ["f32"], result: "pointer" },
  llama_sampler_init_top_k: { parameters: ["i32"], result: "pointer" },
  llama_sampler_init_top_p: { parameters: ["f32", "usize"], result: "pointer" },
  llama_sampler_init_min_p: { parameters: ["f32", "usize"], result: "pointer" },
  llama_sampler_init_penalties: { parameters: ["i32", "i32", "f32", "f32", "f32"], result: "pointer" },
  llama_sampler_init_grammar: { parameters: ["pointer", "buffer", "buffer"], result: "pointer" },
} as const;
const ggmlSymbols = { ggml_backend_dev_by_type: { parameters: ["i32"], result: "pointer" } } as const;
const baseSymbols = {
  ggml_threadpool_params_init: { parameters: ["buffer", "i32"], result: "void" },
  ggml_backend_dev_backend_reg: { parameters: ["pointer"], result: "pointer" },
  ggml_backend_reg_get_proc_address: { parameters: ["pointer", "buffer"], result: "pointer" },
} as const;

type LlamaLibrary = Deno.DynamicLibrary<typeof llamaSymbols>["symbols"];

/** The opened libraries. */
export interface Native {
  readonly llama: LlamaLibrary;
  /** Where `llama` was opened from, for the thread that decodes. */
  readonly libraryPath: string;
  readonly ggml: Deno.DynamicLibrary<typeof ggmlSymbols>["symbols"];
  readonly base: Deno.DynamicLibrary<typeof baseSymbols>["symbols"];
}

/**
 * Opens the libraries that node-llama-cpp uses on this processor; null where there are none, or others than
 * expected. They must have been loaded by `getLlama` before.
 */
export async function openNative(): Promise<Native | null> {
  try {
    const folder = await libraryFolder();
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const path = (library: string) => {
      const pattern = new RegExp(`^(lib)?${library}(\\.v[\\d.]+\\d)?\\.(so|dylib|dll)$`);
      const name = names.find((one) => pattern.test(one));
      if (name === undefined) throw new Deno.errors.NotFound(library);
      return join(folder, name);
    };
    const libraryPath = path("llama");
    const native: Native = {
      llama: Deno.dlopen(libraryPath, llamaSymbols).symbols,
      libraryPath,
      ggml: Deno.dlopen(path("ggml"), ggmlSymbols).symbols,
      base: Deno.dlopen(path("ggml-base"), baseSymbols).symbols,
    };
    return hasKnownLayout(native.llama) ? native : null;
  } catch {
    // Another platform, release or file layout: the library's own way works everywhere.
    return null;
  }
}

async function libraryFolder(): Promise<string> {
  const require = createRequire(import.meta.resolve("node-llama-cpp"));
  const os = { linux: "linux", windows: "win", darwin: "mac" }[String(Deno.build.os)];
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const folder = dirname(dirname(require.resolve(`@node-llama-cpp/${os}-${arch}`)));
  const { version } = JSON.parse(await Deno.readTextFile(join(folder, "package.json")));
  if (version !== knownVersion) throw new Deno.errors.NotFound(`llama.cpp of ${knownVersion}`);
  return join(folder, "bins", `${os}-${arch}`);
}

/** The defaults that llama.cpp documents must stand where we are going to write. */
function hasKnownLayout(llama: LlamaLibrary): boolean {
  const context = view(llama.llama_context_default_params());
  const model = view(llama.llama_model_default_params());
  const { nCtx, nBatch, nUbatch, threads, threadsBatch, flash } = contextField;
  return context.getUint32(nCtx, true) === 512 && context.getUint32(nBatch, true) === 2048 &&
    context.getUint32(nUbatch, true) === 512 && context.getInt32(threads, true) === 4 &&
    context.getInt32(threadsBatch, true) === 4 && context.getInt32(flash, true) === -1 &&
    model.getInt32(modelField.gpuLayers, true) === -1;
}

/** A struct that llama.cpp returned by value, to be read and written by offset. */
export const view = (struct: Uint8Array) => new DataView(struct.buffer, struct.byteOffset, struct.byteLength);
/** Text as C wants it. */
export const cString = (text: string) => new TextEncoder().encode(text + "\0");
