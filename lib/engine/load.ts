/** Loads a model file: the runtime, the device, the weights, the context. */
import {
  getLlama,
  InsufficientMemoryError,
  type Llama,
  LlamaLogLevel,
  type LlamaModel,
} from "node-llama-cpp";
import { basename } from "node:path";
import { reasonOf } from "../errors.ts";
import { chatTemplate } from "./chat_template.ts";
import type { LoadedModel, TextGenerator } from "../openai/model_server.ts";
import { loadDirectModel, makeDirectEvaluators } from "./direct/direct_evaluator.ts";
import { type LlamaLibrary, type OpenedLibrary, openLlamaLibrary } from "./direct/llama_library.ts";
import { EmbeddingCore, isEmbeddingModel } from "./embedding_core.ts";
import type { Evaluator, Picking } from "./evaluator.ts";
import { LibraryEvaluator } from "./library_evaluator.ts";
import { LlamaCore, type ModelHooks } from "./llama_core.ts";
import { defaultThreads, type EngineOptions, LoadError } from "./options.ts";

const defaultContextTokens = 4096;

/**
 * Loads a GGUF file and answers jobs with it, `options.parallel` at a time.
 *
 * @throws {LoadError} where the device, the file, the memory or an option does not allow it
 *
 * ```ts ignore
 * const core = await loadModel(options, { clock: () => performance.now(), randomSeed: () => 1 });
 * const run = await core.prepare(parseCompletion({ model: "m", prompt: "Once" }));
 * await run((text) => console.log(text), new AbortController().signal);
 * ```
 */
export async function loadModel(
  options: EngineOptions,
  hooks: ModelHooks,
): Promise<TextGenerator<LoadedModel>> {
  const { clock } = hooks;
  const startedAt = clock();
  const complaints: string[] = [];
  const llama = await openRuntime(options, complaints);
  const opened = await openDirectly(llama, options);
  const settings = settingsOf(options, opened.kind === "open" ? "direct" : "library");
  const runtimeAt = clock();
  // Called directly, llama.cpp holds the weights itself; node-llama-cpp then reads words and metadata only.
  const words = await openModel(llama, options, complaints, opened.kind === "open");
  if (isEmbeddingModel(words)) {
    await words.dispose();
    return await loadEmbeddingModel(llama, options, { complaints, startedAt, runtimeAt, clock });
  }
  const size = sizeOf(words, llama, options);
  if (opened.kind === "open") await checkMemory(llama, words);
  const weights = opened.kind === "open" ? await openWeights(opened.library, options, complaints) : null;
  const modelAt = clock();
  const evaluators = weights === null
    ? await libraryEvaluators(llama, words, { ...size, ...settings }, options)
    : await directEvaluators(weights, { ...size, ...settings }, options);
  await warmUp(words, evaluators);
  const source = words.fileInfo.metadata.tokenizer?.chat_template;
  const specialTokens = { bos: words.tokens.bosString ?? "", eos: words.tokens.eosString ?? "" };
  const { template, note } = chatTemplate(source, specialTokens, basename(options.modelPath));
  const info: LoadedModel = {
    modelId: options.modelId,
    alias: options.alias ?? null,
    ...await deviceOf(llama, words, options.gpu),
    chatTemplate: template.kind,
    chatTemplateNote: note,
    ...size,
    direct: opened.kind === "open",
    directNote: opened.kind === "open" ? null : opened.reason,
    settings,
    runtimeMs: runtimeAt - startedAt,
    modelMs: modelAt - runtimeAt,
    contextMs: clock() - modelAt,
  };
  return new LlamaCore(info, llama, words, evaluators, template, hooks);
}

/** An embedding model is evaluated by node-llama-cpp, on every device. */
async function loadEmbeddingModel(
  llama: Llama,
  options: EngineOptions,
  { complaints, startedAt, runtimeAt, clock }: {
    complaints: string[];
    startedAt: number;
    runtimeAt: number;
    clock: ModelHooks["clock"];
  },
): Promise<TextGenerator<LoadedModel>> {
  const model = await openModel(llama, options, complaints, false);
  const modelAt = clock();
  const size = sizeOf(model, llama, options);
  const context = await model.createEmbeddingContext({
    contextSize: size.contextTokens,
    threads: size.threads,
  });
  const info: LoadedModel = {
    modelId: options.modelId,
    alias: options.alias ?? null,
    ...await deviceOf(llama, model, options.gpu),
    chatTemplate: "plain",
    chatTemplateNote: null,
    ...size,
    direct: false,
    directNote: "it is an embedding model",
    settings: { ...settingsOf(options, "library"), parallel: 1 },
    runtimeMs: runtimeAt - startedAt,
    modelMs: modelAt - runtimeAt,
    contextMs: clock() - modelAt,
  };
  return new EmbeddingCore(info, model, context);
}

async function openDirectly(llama: Llama, { direct }: EngineOptions): Promise<OpenedLibrary> {
  if (direct === false) return { kind: "refused", reason: "it was switched off" };
  if (llama.gpu !== false) return { kind: "refused", reason: "only a processor is used directly" };
  return await openLlamaLibrary();
}

/** Opens llama.cpp and the requested device. */
export async function openRuntime(options: Pick<EngineOptions, "gpu">, complaints: string[]): Promise<Llama> {
  const wanted = options.gpu === "off" ? false : options.gpu;
  const llama = await getLlama({
    gpu: wanted,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    // This process has one context, so its threads are not shared.
    maxThreads: 0,
    logLevel: LlamaLogLevel.error,
    logger: (_level, message) => complaints.push(message.trim()),
  }).catch((cause: unknown) => {
    if (wanted === false || wanted === "auto") throw cause;
    throw noDevice(wanted, cause);
  });
  if (wanted !== false && wanted !== "auto" && llama.gpu !== wanted) throw noDevice(wanted);
  return llama;
}

function noDevice(gpu: string, cause?: unknown): LoadError {
  return new LoadError(
    "device",
    `--gpu ${gpu}: no ${gpu} device or driver was found on this machine; ` +
      "use --gpu auto to take what is there, or --gpu off for the processor",
    { cause },
  );
}

async function openModel(
  llama: Llama,
  options: EngineOptions,
  complaints: string[],
  vocabOnly: boolean,
): Promise<LlamaModel> {
  try {
    return await llama.loadModel({
      modelPath: options.modelPath,
      vocabOnly,
      ...(options.mmap === undefined ? {} : { useMmap: options.mmap }),
      ...(options.gpu === "off" ? { gpuLayers: 0 } : {}),
    });
  } catch (cause) {
    if (cause instanceof InsufficientMemoryError) throw new LoadError("memory", reasonOf(cause), { cause });
    throw new LoadError(
      "file",
      await firstComplaint(complaints) ?? `its header can't be read (${reasonOf(cause)})`,
      {
        cause,
      },
    );
  }
}

/** llama.cpp's first complaint; its log comes a little later than the failure itself. */
async function firstComplaint(complaints: readonly string[]): Promise<string | undefined> {
  for (let turn = 0; turn < 10 && complaints.length === 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return complaints.find((line) => line !== "");
}

interface Size {
  readonly contextTokens: number;
  readonly threads: number;
}

/** Prompt tokens that are evaluated in one call by default; node-llama-cpp's own default is 512. */
const defaultBatchTokens = { direct: 256, library: 512 } as const;

interface Settings {
  readonly kvCache: "f16" | "q8_0" | "q4_0";
  readonly batchTokens: number;
  readonly mmap: boolean;
  readonly parallel: number;
}

/** What a context runs with, given or by default. */
export function settingsOf(
  { kvCache = "f16", mmap = true, parallel = 1, ...others }: EngineOptions,
  way: keyof typeof defaultBatchTokens,
): Settings {
  if (kvCache !== "f16" && others.flashAttention === false) {
    throw new LoadError("options", `a KV cache of ${kvCache} needs flash attention, and it is switched off`);
  }
  return { kvCache, batchTokens: others.batchTokens ?? defaultBatchTokens[way], mmap, parallel };
}

/** A quantised KV cache needs flash attention; otherwise llama.cpp decides, unless the option is given. */
export const flashAttentionOf = ({ flashAttention, kvCache = "f16" }: EngineOptions) =>
  kvCache === "f16" ? flashAttention : true;

function sizeOf(words: LlamaModel, llama: Llama, options: EngineOptions): Size {
  const trained = words.fileInsights.trainContextSize ?? defaultContextTokens;
  const contextTokens = options.contextTokens ?? Math.min(trained, defaultContextTokens);
  if (contextTokens > trained) {
    throw new LoadError(
      "options",
      `it was trained for a context of ${trained} tokens at most, and ${contextTokens} were requested`,
    );
  }
  return { contextTokens, threads: options.threads ?? defaultThreads(llama.cpuMathCores) };
}

/** node-llama-cpp checks this itself; called directly, llama.cpp would be ended by the system instead. */
async function checkMemory(llama: Llama, words: LlamaModel): Promise<void> {
  const { total } = await llama.getRamState();
  const needed = words.fileInsights.modelSize;
  if (needed <= total) return;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new LoadError("memory", `its weights alone take ${gb(needed)}, and there are ${gb(total)}`);
}

async function openWeights(library: LlamaLibrary, { modelPath, mmap }: EngineOptions, complaints: string[]) {
  const model = await loadDirectModel(library, modelPath, mmap);
  if (model === null) {
    throw new LoadError("file", await firstComplaint(complaints) ?? "llama.cpp can't read it");
  }
  return { library, model };
}

async function directEvaluators(
  { library, model }: Awaited<ReturnType<typeof openWeights>>,
  settings: Size & Settings,
  options: EngineOptions,
): Promise<Evaluator[]> {
  const flashAttention = flashAttentionOf(options);
  const evaluators = await makeDirectEvaluators(library, model, { ...settings, flashAttention });
  if (evaluators !== null) return evaluators;
  const { contextTokens, parallel } = settings;
  const times = parallel === 1 ? "" : `${parallel} × `;
  throw new LoadError("memory", `no room for a context of ${times}${contextTokens} tokens`);
}

const kvType = { f16: "F16", q8_0: "Q8_0", q4_0: "Q4_0" } as const;

async function libraryEvaluators(
  llama: Llama,
  model: LlamaModel,
  size: Size & Settings,
  options: EngineOptions,
): Promise<Evaluator[]> {
  const flashAttention = flashAttentionOf(options);
  try {
    const context = await model.createContext({
      contextSize: size.contextTokens,
      sequences: size.parallel,
      threads: size.threads,
      batchSize: Math.min(size.batchTokens, size.contextTokens),
      experimentalKvCacheKeyType: kvType[size.kvCache],
      experimentalKvCacheValueType: kvType[size.kvCache],
      // Without it, a sliding-window model evaluates a repeated long prompt again.
      swaFullCache: true,
      failedCreationRemedy: false,
      ...(flashAttention === undefined ? {} : { flashAttention }),
    });
    return Array.from(
      { length: size.parallel },
      () => new LibraryEvaluator(size.contextTokens, llama, model, context.getSequence()),
    );
  } catch (cause) {
    const inMemory = cause instanceof InsufficientMemoryError || /memory|RAM/.test(reasonOf(cause));
    throw new LoadError(inMemory ? "memory" : "engine", reasonOf(cause), { cause });
  }
}

/** The weights are mapped, not read: the first evaluation reads them, and so counts as loading. */
async function warmUp(words: LlamaModel, [evaluator]: readonly Evaluator[]): Promise<void> {
  const token = words.tokens.bos ?? words.tokens.eos ?? words.tokenize("a")[0];
  if (token === undefined || evaluator === undefined) return;
  const run = await evaluator.prompt([token], greedy, new AbortController().signal);
  await run.end();
  await evaluator.forget();
}

const greedy: Picking = {
  sampling: { temperature: 0, topP: 1, topK: 1, minP: 0, seed: 0, presencePenalty: 0, frequencyPenalty: 0 },
  grammar: null,
  insteadOfEnd: null,
  maxTokens: 1,
  logprobs: null,
};

async function deviceOf(llama: Llama, model: LlamaModel, requested: EngineOptions["gpu"]) {
  if (llama.gpu === false || model.gpuLayers === 0) {
    const note = requested === "auto" ? "no usable GPU was found; the processor runs it" : null;
    return { device: "cpu", deviceNote: note };
  }
  const names = [...new Set(await llama.getGpuDeviceNames())].join(", ");
  const layers = model.fileInsights.totalLayers;
  const note = model.gpuLayers < layers
    ? `${model.gpuLayers} of ${layers} layers fit on the GPU; the processor runs the rest`
    : null;
  return { device: `${llama.gpu}: ${names}`, deviceNote: note };
}
