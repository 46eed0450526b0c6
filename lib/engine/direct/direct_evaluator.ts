/** Evaluates tokens with llama.cpp itself: see native_library.ts for why, and when not. */
import type { Token } from "node-llama-cpp";
import {
  cell,
  cellsOf,
  type DecodeOrder,
  type DecodeSetup,
  type OrderDone,
  sharedMemory,
  tell,
} from "./decode_shared.ts";
import type { Evaluator, Picking, PromptRun } from "../evaluator.ts";
import {
  contextField,
  cString,
  makeThreadpool,
  modelField,
  type Native,
  threadpoolBytes,
  view,
} from "./llama_library.ts";

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
  return new NativeEvaluator({
    kind: "setup",
    libraryPath: native.libraryPath,
    contextAddress: Deno.UnsafePointer.value(context),
    vocabularyAddress: Deno.UnsafePointer.value(llama.llama_model_get_vocab(model)),
    contextTokens: llama.llama_n_ctx(context),
    memory: sharedMemory(llama.llama_n_ctx(context)),
  });
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

/** Evaluates on the processor, in a thread of its own (decode_thread.ts) that this one reads from. */
export class NativeEvaluator implements Evaluator {
  readonly contextTokens: number;
  readonly #shared;
  readonly #thread: Worker;

  constructor(setup: DecodeSetup) {
    this.contextTokens = setup.contextTokens;
    this.#shared = cellsOf(setup.memory);
    this.#thread = new Worker(new URL("./decode_thread.ts", import.meta.url), { type: "module" });
    this.#thread.postMessage(setup);
  }

  async prompt(tokens: readonly Token[], picking: Picking, signal: AbortSignal): Promise<PromptRun> {
    signal.throwIfAborted();
    const done = this.#order({ kind: "answer", prompt: tokens, picking });
    const stop = () => Atomics.store(this.#shared.numbers, cell.stop, 1);
    signal.addEventListener("abort", stop, { once: true });
    let taken = 0;
    const next = async () => {
      const token = await this.#tokenAt(taken++);
      if (token !== null) return token;
      await done;
      signal.throwIfAborted();
      throw new Error("the model gave no further token");
    };
    return {
      first: await next(),
      cachedTokens: Atomics.load(this.#shared.numbers, cell.cached),
      next,
      end: async () => {
        stop();
        signal.removeEventListener("abort", stop);
        await done;
      },
    };
  }

  forget(): Promise<void> {
    return this.#order({ kind: "forget" });
  }

  /** The answer's token at this place as soon as it is there; null where the answer is over before. */
  async #tokenAt(place: number): Promise<Token | null> {
    const { numbers, tokens } = this.#shared;
    for (;;) {
      const changes = Atomics.load(numbers, cell.changes);
      if (place < Atomics.load(numbers, cell.picked)) return asToken(tokens[place]);
      if (Atomics.load(numbers, cell.over) === 1) return null;
      await Atomics.waitAsync(numbers, cell.changes, changes).value;
    }
  }

  /** One at a time; rejects with what went wrong in the thread. */
  #order(order: DecodeOrder): Promise<void> {
    for (const place of [cell.picked, cell.over, cell.stop]) Atomics.store(this.#shared.numbers, place, 0);
    const done = new Promise<void>((resolve, reject) => {
      this.#thread.onmessage = ({ data: { fault } }: MessageEvent<OrderDone>) =>
        fault === null ? resolve() : reject(new Error(fault));
      this.#thread.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`the decoding thread ended: ${event.message}`));
        tell(this.#shared, cell.over, 1);
      };
    });
    // Whoever waits for a token is told first; the rejection is not lost, `next` and `end` await it.
    done.catch(() => {});
    this.#thread.postMessage(order);
    return done;
  }
}

function asToken(id: number | undefined): Token {
  if (id === undefined || !isToken(id)) throw new Error("the decoding thread gave no token");
  return id;
}

const isToken = (id: number): id is Token => id >= 0;
