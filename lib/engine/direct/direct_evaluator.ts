/** Evaluates tokens by calling llama.cpp directly: llama_library.ts says why, and when it can't. */
import type { Token } from "node-llama-cpp";
import {
  cell,
  cellsOf,
  type DecodeOrder,
  type DecodeSetup,
  LOGPROB_CELLS,
  type OrderDone,
  type SharedCells,
  sharedMemory,
  tell,
} from "./decode_shared.ts";
import type { Evaluator, PickedLogprob, Picking, PromptRun } from "../evaluator.ts";
import { type LlamaLibrary, threadpoolParams } from "./llama_library.ts";
import {
  contextFields,
  cString,
  ggmlTypes,
  loadModes,
  makeThreadpool,
  modelFields,
  writeField,
} from "./llama_symbols.ts";

/** What a context is made with. */
export interface DirectOptions {
  /** How many tokens each sequence holds. */
  readonly contextTokens: number;
  /** Answers that can be made at once, one per sequence. */
  readonly parallel: number;
  /** Compute threads. */
  readonly threads: number;
  /** Undefined: llama.cpp decides. */
  readonly flashAttention: boolean | undefined;
  readonly kvCache: "f16" | "q8_0" | "q4_0";
  /** Prompt tokens that are evaluated in one call. */
  readonly batchTokens: number;
}

/** A model in memory. */
export type DirectModel = Deno.PointerObject;

/** Loads the weights for the processor; null where llama.cpp refuses the file (its log says why). */
export async function loadDirectModel(
  { llama }: LlamaLibrary,
  modelPath: string,
  mmap: boolean | undefined,
): Promise<DirectModel | null> {
  const params = llama.llama_model_default_params();
  writeField(params, modelFields.n_gpu_layers, 0);
  if (mmap !== undefined) writeField(params, modelFields.load_mode, mmap ? loadModes.mmap : loadModes.none);
  return await llama.llama_model_load_from_file(cString(modelPath), params);
}

/**
 * Makes a context over a loaded model; null where llama.cpp can't, usually for lack of memory.
 *
 * @param wholeText evaluates as many tokens as the context holds in one call, in pieces of `batchTokens`
 */
export async function makeDirectContext(
  library: LlamaLibrary,
  model: DirectModel,
  options: DirectOptions,
  wholeText = false,
): Promise<Deno.PointerObject | null> {
  const { llama } = library;
  const params = llama.llama_context_default_params();
  writeField(params, contextFields.n_ctx, options.contextTokens * options.parallel);
  writeField(params, contextFields.n_seq_max, options.parallel);
  writeField(params, contextFields.n_threads, options.threads);
  writeField(params, contextFields.n_threads_batch, options.threads);
  writeField(params, contextFields.type_k, ggmlTypes[options.kvCache]);
  writeField(params, contextFields.type_v, ggmlTypes[options.kvCache]);
  if (wholeText) {
    writeField(params, contextFields.n_batch, options.contextTokens);
    writeField(params, contextFields.n_ubatch, Math.min(options.batchTokens, options.contextTokens));
  } else if (options.batchTokens > contextFields.n_ubatch.initial) {
    writeField(params, contextFields.n_batch, options.batchTokens);
    writeField(params, contextFields.n_ubatch, options.batchTokens);
  }
  // Without it, a sliding-window model evaluates a repeated long prompt again.
  writeField(params, contextFields.swa_full, 1);
  if (options.flashAttention !== undefined) {
    writeField(params, contextFields.flash_attn_type, options.flashAttention ? 1 : 0);
  }
  const context = await llama.llama_init_from_model(model, params);
  if (context !== null) keepThreads(library, context, options.threads);
  return context;
}

/** Makes the evaluators of a loaded model, one per sequence; null as `makeDirectContext`. */
export async function makeDirectEvaluators(
  library: LlamaLibrary,
  model: DirectModel,
  options: DirectOptions,
): Promise<DirectEvaluator[] | null> {
  const { llama } = library;
  const context = await makeDirectContext(library, model, options);
  if (context === null) return null;
  const contextTokens = llama.llama_n_ctx_seq(context);
  const setup: DecodeSetup = {
    kind: "setup",
    libraryPath: library.libraryPath,
    contextAddress: Deno.UnsafePointer.value(context),
    vocabularyAddress: Deno.UnsafePointer.value(llama.llama_model_get_vocab(model)),
    contextTokens,
    batchTokens: options.batchTokens,
    memories: Array.from({ length: options.parallel }, () => sharedMemory(contextTokens)),
    sent: new SharedArrayBuffer(4),
  };
  const thread = new DecodeWorker(setup);
  return setup.memories.map((memory, sequence) =>
    new DirectEvaluator(contextTokens, sequence, cellsOf(memory), thread)
  );
}

/** Gives the context compute threads that live as long as it does, instead of new ones per token. */
function keepThreads(
  { llama, ggml, base }: LlamaLibrary,
  context: Deno.PointerObject,
  threads: number,
): void {
  if (threads < 2) return;
  const registry = base.ggml_backend_dev_backend_reg(ggml.ggml_backend_dev_by_type(0));
  const make = base.ggml_backend_reg_get_proc_address(registry, cString("ggml_threadpool_new"));
  if (make === null) return;
  const typed = Deno.UnsafePointer.create<typeof makeThreadpool>(Deno.UnsafePointer.value(make));
  if (typed === null) return;
  const pool = new Deno.UnsafeFnPointer(typed, makeThreadpool).call(threadpoolParams(base, threads));
  if (pool !== null) llama.llama_attach_threadpool(context, pool, pool);
}

/** The thread that decodes (decode_thread.ts), and its pending orders. */
class DecodeWorker {
  readonly #thread: Worker;
  readonly #sent;
  readonly #open = new Map<number, { resolve: () => void; reject: (fault: Error) => void }>();

  constructor(setup: DecodeSetup) {
    this.#sent = new Int32Array(setup.sent);
    this.#thread = new Worker(new URL("./decode_thread.ts", import.meta.url), { type: "module" });
    this.#thread.onmessage = ({ data: { sequence, fault } }: MessageEvent<OrderDone>) => {
      const order = this.#open.get(sequence);
      this.#open.delete(sequence);
      if (fault === null) order?.resolve();
      else order?.reject(new Error(fault));
    };
    this.#thread.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of this.#open.values()) {
        reject(new Error(`the decoding thread ended: ${event.message}`));
      }
      this.#open.clear();
      for (const memory of setup.memories) tell(cellsOf(memory), cell.over, 1);
    };
    this.#thread.postMessage(setup);
  }

  /** Carries out an order; rejects with the thread's error. */
  order(order: DecodeOrder): Promise<void> {
    const done = new Promise<void>((resolve, reject) => this.#open.set(order.sequence, { resolve, reject }));
    // The rejection is not lost: `next` and `end` await it.
    done.catch(() => {});
    Atomics.add(this.#sent, 0, 1);
    this.#thread.postMessage(order);
    return done;
  }
}

/** Evaluates on the processor, in one sequence of a context, whose thread's tokens this one reads. */
class DirectEvaluator implements Evaluator {
  readonly givesLogprobs = true;

  constructor(
    readonly contextTokens: number,
    private readonly sequence: number,
    private readonly shared: SharedCells,
    private readonly thread: DecodeWorker,
  ) {}

  async prompt(tokens: readonly Token[], picking: Picking, signal: AbortSignal): Promise<PromptRun> {
    signal.throwIfAborted();
    const { sequence, shared: { numbers } } = this;
    const done = this.#order({ kind: "answer", sequence, prompt: tokens, picking });
    const stop = () => Atomics.store(numbers, cell.stop, 1);
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
      cachedTokens: Atomics.load(numbers, cell.cached),
      next,
      logprobs: (index) => picking.logprobs === null ? null : this.#logprobsAt(index, picking.logprobs),
      end: async () => {
        stop();
        signal.removeEventListener("abort", stop);
        await done;
      },
    };
  }

  forget(): Promise<void> {
    return this.#order({ kind: "forget", sequence: this.sequence });
  }

  #logprobsAt(index: number, count: number): PickedLogprob {
    const from = index * LOGPROB_CELLS;
    const [logprob = NaN, ...pairs] = this.shared.logprobs.subarray(from, from + 1 + 2 * count);
    const top = Array.from({ length: count }, (_, at) => ({
      token: asToken(pairs[2 * at]),
      logprob: pairs[2 * at + 1] ?? NaN,
    }));
    return { logprob, top };
  }

  /** The answer's token at this index, once it is picked; null where the answer ends before it. */
  async #tokenAt(index: number): Promise<Token | null> {
    const { numbers, tokens } = this.shared;
    for (;;) {
      const changes = Atomics.load(numbers, cell.changes);
      if (index < Atomics.load(numbers, cell.picked)) return asToken(tokens[index]);
      if (Atomics.load(numbers, cell.over) === 1) return null;
      await Atomics.waitAsync(numbers, cell.changes, changes).value;
    }
  }

  #order(order: DecodeOrder): Promise<void> {
    for (const index of [cell.picked, cell.over, cell.stop]) Atomics.store(this.shared.numbers, index, 0);
    return this.thread.order(order);
  }
}

function asToken(id: number | undefined): Token {
  if (id === undefined || !isToken(id)) throw new Error("the decoding thread gave no token");
  return id;
}

const isToken = (id: number): id is Token => id >= 0;
