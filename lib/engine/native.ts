/** Evaluates tokens with llama.cpp itself: see native_library.ts for why, and when not. */
import type { Token } from "node-llama-cpp";
import { commonStart, type Evaluator, type Picking, type PromptRun } from "./evaluator.ts";
import {
  contextField,
  cString,
  type LlamaLibrary,
  makeThreadpool,
  modelField,
  type Native,
  threadpoolBytes,
  view,
} from "./native_library.ts";

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
    if (code !== 0) {
      // What the context holds now is anybody's guess.
      await this.forget();
      throw new Error(`llama.cpp could not evaluate ${ids.length} tokens (code ${code})`);
    }
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
