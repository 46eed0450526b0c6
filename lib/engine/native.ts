/**
 * llama.cpp called directly, from the very libraries that node-llama-cpp ships and has loaded. On a processor
 * it saves what stands between two tokens: the library makes its compute threads anew for each of them, and
 * hands every step to another thread and back. One call a token and threads that stay are measurably faster.
 *
 * The layouts below are those of the one llama.cpp release that this version of node-llama-cpp carries; where
 * anything is not as expected (`openNative` gives null), the library's own way is taken.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Token } from "node-llama-cpp";
import { commonStart, type Evaluator, type Picking, type PromptRun } from "./evaluator.ts";

/** The release of node-llama-cpp whose llama.cpp the layouts were read from. */
const knownVersion = "3.21.1";

const bytes = (count: number) => ({ struct: Array.from({ length: count / 8 }, () => "u64" as const) });
/** `struct llama_model_params`, `llama_context_params`, `llama_batch`: by size; fields are set by offset. */
const modelParams = bytes(80);
const contextParams = bytes(160);
const batch = bytes(56);
const modelField = { gpuLayers: 16 } as const;
const contextField = {
  nCtx: 0,
  nBatch: 4,
  nUbatch: 8,
  threads: 28,
  threadsBatch: 32,
  flash: 52,
  swaFull: 132,
} as const;
/** `struct ggml_threadpool_params`. */
const threadpoolBytes = 528;
const makeThreadpool = { parameters: ["buffer"], result: "pointer" } as const;

const llamaSymbols = {
  llama_model_default_params: { parameters: [], result: modelParams },
  llama_context_default_params: { parameters: [], result: contextParams },
  llama_model_load_from_file: { parameters: ["buffer", modelParams], result: "pointer", nonblocking: true },
  llama_init_from_model: { parameters: ["pointer", contextParams], result: "pointer", nonblocking: true },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_n_ctx: { parameters: ["pointer"], result: "u32" },
  llama_batch_get_one: { parameters: ["buffer", "i32"], result: batch },
  llama_decode: { parameters: ["pointer", batch], result: "i32", nonblocking: true },
  llama_get_logits_ith: { parameters: ["pointer", "i32"], result: "pointer" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_seq_rm: { parameters: ["pointer", "i32", "i32", "i32"], result: "bool" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
  llama_attach_threadpool: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
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
    const native: Native = {
      llama: Deno.dlopen(path("llama"), llamaSymbols).symbols,
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

const view = (struct: Uint8Array) => new DataView(struct.buffer, struct.byteOffset, struct.byteLength);
const cString = (text: string) => new TextEncoder().encode(text + "\0");

/** What a native context is made with. */
export interface NativeOptions {
  readonly contextTokens: number;
  readonly threads: number;
  readonly flashAttention: boolean | undefined;
}

/** A model in memory. */
export type NativeModel = Deno.PointerObject;

/** Loads the weights for the processor; null where llama.cpp refuses the file (its log says why). */
export async function loadNativeModel({ llama }: Native, modelPath: string): Promise<NativeModel | null> {
  const params = llama.llama_model_default_params();
  view(params).setInt32(modelField.gpuLayers, 0, true);
  return await llama.llama_model_load_from_file(cString(modelPath), params);
}

/** Makes a context over a loaded model; null where llama.cpp can't (memory, most likely). */
export async function makeNativeEvaluator(
  native: Native,
  model: NativeModel,
  options: NativeOptions,
): Promise<NativeEvaluator | null> {
  const { llama } = native;
  const params = llama.llama_context_default_params();
  const fields = view(params);
  fields.setUint32(contextField.nCtx, options.contextTokens, true);
  fields.setInt32(contextField.threads, options.threads, true);
  fields.setInt32(contextField.threadsBatch, options.threads, true);
  fields.setUint8(contextField.swaFull, 1);
  if (options.flashAttention !== undefined) {
    fields.setInt32(contextField.flash, options.flashAttention ? 1 : 0, true);
  }
  const context = await llama.llama_init_from_model(model, params);
  if (context === null) return null;
  keepThreads(native, context, options.threads);
  return new NativeEvaluator(native, model, context);
}

/** Compute threads that live as long as the context, instead of a set for every token. */
function keepThreads({ llama, ggml, base }: Native, context: Deno.PointerObject, threads: number): void {
  if (threads < 2) return;
  const registry = base.ggml_backend_dev_backend_reg(ggml.ggml_backend_dev_by_type(0));
  const make = base.ggml_backend_reg_get_proc_address(registry, cString("ggml_threadpool_new"));
  if (make === null) return;
  const params = new Uint8Array(threadpoolBytes);
  base.ggml_threadpool_params_init(params, threads);
  const typed = Deno.UnsafePointer.create<typeof makeThreadpool>(Deno.UnsafePointer.value(make));
  if (typed === null) return;
  const pool = new Deno.UnsafeFnPointer(typed, makeThreadpool).call(params);
  if (pool !== null) llama.llama_attach_threadpool(context, pool, pool);
}

/** Long prompts are evaluated in pieces, so that a client that goes away is noticed in between. */
const promptPiece = 256;

/** Evaluates on the processor, one native call a token. */
export class NativeEvaluator implements Evaluator {
  readonly contextTokens: number;
  readonly #llama: LlamaLibrary;
  readonly #vocabulary: Deno.PointerValue;
  readonly #vocabularySize: number;
  /** What the context holds. */
  #held: number[] = [];

  constructor(native: Native, model: NativeModel, private readonly context: Deno.PointerObject) {
    this.#llama = native.llama;
    this.contextTokens = this.#llama.llama_n_ctx(context);
    this.#vocabulary = this.#llama.llama_model_get_vocab(model);
    this.#vocabularySize = this.#llama.llama_vocab_n_tokens(this.#vocabulary);
  }

  async prompt(tokens: readonly Token[], picking: Picking, signal: AbortSignal): Promise<PromptRun> {
    const cachedTokens = this.#keep(tokens);
    for (let at = cachedTokens; at < tokens.length; at += promptPiece) {
      signal.throwIfAborted();
      await this.#evaluate(tokens.slice(at, at + promptPiece));
    }
    const picker = this.#picker(picking);
    return {
      first: picker.pick(),
      cachedTokens,
      next: async (token) => {
        await this.#evaluate([token]);
        return picker.pick();
      },
      end: () => Promise.resolve(picker.free()),
    };
  }

  forget(): Promise<void> {
    this.#llama.llama_memory_clear(this.#llama.llama_get_memory(this.context), true);
    this.#held = [];
    return Promise.resolve();
  }

  /** Drops from the context what the prompt does not begin with; gives how much is left. */
  #keep(prompt: readonly number[]): number {
    // The last token is always evaluated: its logits give the answer's first token.
    const same = Math.min(commonStart(this.#held, prompt), prompt.length - 1);
    if (same === this.#held.length) return same;
    const memory = this.#llama.llama_get_memory(this.context);
    if (this.#llama.llama_memory_seq_rm(memory, 0, same, -1)) {
      this.#held.length = same;
      return same;
    }
    // Recurrent models can't go back to a place in the middle.
    void this.forget();
    return 0;
  }

  async #evaluate(tokens: readonly number[]): Promise<void> {
    // The batch points into this array: it must live until the call has returned.
    const ids = Int32Array.from(tokens);
    const code = await this.#llama.llama_decode(
      this.context,
      this.#llama.llama_batch_get_one(ids, ids.length),
    );
    if (code !== 0) throw new Error(`llama.cpp could not evaluate ${ids.length} tokens (code ${code})`);
    for (const id of ids) this.#held.push(id);
  }

  #picker({ sampling, grammar }: Picking): Picker {
    const free = sampling.temperature === 0 && grammar === null && sampling.presencePenalty === 0 &&
      sampling.frequencyPenalty === 0;
    return free ? { pick: () => this.#likeliest(), free: () => {} } : this.#samplerChain(sampling, grammar);
  }

  /** The token of the largest logit; the first one of equals. */
  #likeliest(): Token {
    const pointer = this.#llama.llama_get_logits_ith(this.context, -1);
    if (pointer === null) throw new Error("llama.cpp gave no logits");
    const memory = Deno.UnsafePointerView.getArrayBuffer(pointer, this.#vocabularySize * 4);
    const logits = new Float32Array(memory);
    let best = 0;
    let highest = -Infinity;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id] ?? -Infinity;
      if (logit > highest) {
        highest = logit;
        best = id;
      }
    }
    return asToken(best);
  }

  #samplerChain(sampling: Picking["sampling"], grammar: string | null): Picker {
    const llama = this.#llama;
    const chain = llama.llama_sampler_chain_init(1);
    const add = (sampler: Deno.PointerValue) => llama.llama_sampler_chain_add(chain, sampler);
    if (grammar !== null) {
      const sampler = llama.llama_sampler_init_grammar(this.#vocabulary, cString(grammar), cString("root"));
      if (sampler === null) throw new Error("llama.cpp does not read the grammar");
      add(sampler);
    }
    const { presencePenalty, frequencyPenalty, temperature, seed } = sampling;
    if (presencePenalty !== 0 || frequencyPenalty !== 0) {
      const size = this.#vocabularySize;
      add(llama.llama_sampler_init_penalties(size, this.contextTokens, 1, frequencyPenalty, presencePenalty));
    }
    if (temperature === 0) add(llama.llama_sampler_init_greedy());
    else {
      if (sampling.topK > 0) add(llama.llama_sampler_init_top_k(sampling.topK));
      add(llama.llama_sampler_init_top_p(sampling.topP, 1n));
      add(llama.llama_sampler_init_min_p(sampling.minP, 1n));
      add(llama.llama_sampler_init_temp(temperature));
      add(llama.llama_sampler_init_dist(seed >>> 0));
    }
    return {
      pick: () => asToken(llama.llama_sampler_sample(chain, this.context, -1)),
      free: () => llama.llama_sampler_free(chain),
    };
  }
}

function asToken(id: number): Token {
  if (!isToken(id)) throw new Error("llama.cpp could not pick a token");
  return id;
}

const isToken = (id: number): id is Token => id >= 0;

interface Picker {
  pick(): Token;
  free(): void;
}
