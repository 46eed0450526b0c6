/** Loads a model file and answers jobs with it. */
import {
  type GbnfJsonSchema,
  getLlama,
  InsufficientMemoryError,
  type Llama,
  LlamaLogLevel,
  type LlamaModel,
  type Token,
} from "node-llama-cpp";
import type { Clock } from "../clock.ts";
import { reasonOf } from "../errors.ts";
import { Answer } from "./answer.ts";
import { type ChatTemplate, chatTemplate } from "./chat_template.ts";
import type { EngineCore, Generation, LoadedModel } from "./core.ts";
import { type Evaluator, LibraryEvaluator, type Picking } from "./evaluator.ts";
import { grammarSchema } from "./json_schema.ts";
import { loadNativeModel, makeNativeEvaluator, type Native, openNative } from "./native.ts";
import { type EngineOptions, LoadError } from "./options.ts";
import { type AnswerFormat, ApiError, type Generated, type Job } from "./protocol.ts";
import { StopScanner, TokenDecoder } from "./text.ts";
import { threadsFor } from "./threads.ts";

const defaultContextTokens = 4096;

/** What the model is handed from outside. */
export interface ModelHooks {
  readonly clock: Clock;
  /** A whole number for requests that name no seed. */
  readonly randomSeed: () => number;
}

/**
 * Loads a GGUF file and answers jobs with it, one at a time.
 *
 * @throws {LoadError} where the device, the file, the memory or an option does not allow it
 *
 * ```ts ignore
 * const core = await loadModel(options, { clock: () => performance.now(), randomSeed: () => 1 });
 * const run = await core.prepare(parseCompletion({ model: "m", prompt: "Once" }));
 * await run((text) => console.log(text), new AbortController().signal);
 * ```
 */
export async function loadModel(options: EngineOptions, hooks: ModelHooks): Promise<EngineCore> {
  const { clock } = hooks;
  const startedAt = clock();
  const complaints: string[] = [];
  const llama = await openRuntime(options, complaints);
  const native = llama.gpu === false && options.direct !== false ? await openNative() : null;
  const runtimeAt = clock();
  // Called directly, llama.cpp holds the weights itself; the library then reads words and metadata only.
  const words = await openModel(llama, options, complaints, native !== null);
  const size = sizeOf(words, llama, options);
  if (native !== null) await checkMemory(llama, words);
  const weights = native === null ? null : await openWeights(native, options, complaints);
  const modelAt = clock();
  const evaluator = weights === null
    ? await libraryEvaluator(llama, words, size, options)
    : await nativeEvaluator(weights, size, options);
  await warmUp(words, evaluator);
  const template = chatTemplate(words.fileInfo.metadata.tokenizer?.chat_template, {
    bos: words.tokens.bosString ?? "",
    eos: words.tokens.eosString ?? "",
  });
  const info: LoadedModel = {
    modelId: options.modelId,
    alias: options.alias ?? null,
    ...await deviceOf(llama, words, options.gpu),
    chatTemplate: template.kind,
    ...size,
    direct: native !== null,
    runtimeMs: runtimeAt - startedAt,
    modelMs: modelAt - runtimeAt,
    contextMs: clock() - modelAt,
  };
  return new LlamaCore(info, llama, words, evaluator, template, hooks);
}

async function openRuntime(options: EngineOptions, complaints: string[]): Promise<Llama> {
  const wanted = options.gpu === "off" ? false : options.gpu;
  const llama = await getLlama({
    gpu: wanted,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    // The one context of this process is the only one to share threads with.
    maxThreads: 0,
    logLevel: LlamaLogLevel.error,
    logger: (_level, message) => complaints.push(message.trim()),
  }).catch((cause: unknown) => {
    if (wanted === false || wanted === "auto") throw cause;
    throw noDevice(wanted, cause);
  });
  if (wanted !== "auto" && llama.gpu !== wanted) throw noDevice(options.gpu);
  return llama;
}

function noDevice(gpu: string, cause?: unknown): LoadError {
  return new LoadError(
    "device",
    `--gpu ${gpu}: no ${gpu} device or driver was found on this machine; ` +
      "use --gpu auto to take what there is, or --gpu off for the processor",
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
      ...(options.gpu === "off" ? { gpuLayers: 0 } : {}),
    });
  } catch (cause) {
    if (cause instanceof InsufficientMemoryError) throw new LoadError("memory", reasonOf(cause), { cause });
    throw new LoadError("file", await told(complaints) ?? `its header can't be read (${reasonOf(cause)})`, {
      cause,
    });
  }
}

/** llama.cpp's own first complaint; its log comes a little later than the failure itself. */
async function told(complaints: readonly string[]): Promise<string | undefined> {
  for (let turn = 0; turn < 10 && complaints.length === 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return complaints.find((line) => line !== "");
}

interface Size {
  readonly contextTokens: number;
  readonly threads: number;
}

function sizeOf(words: LlamaModel, llama: Llama, options: EngineOptions): Size {
  const trained = words.fileInsights.trainContextSize ?? defaultContextTokens;
  const contextTokens = options.contextTokens ?? Math.min(trained, defaultContextTokens);
  if (contextTokens > trained) {
    throw new LoadError(
      "options",
      `a context of ${contextTokens} tokens was asked for, and it was trained for ${trained} at most`,
    );
  }
  return { contextTokens, threads: options.threads ?? threadsFor(llama.cpuMathCores) };
}

/** The library checks this itself; called directly, llama.cpp would be ended by the system instead. */
async function checkMemory(llama: Llama, words: LlamaModel): Promise<void> {
  const { total } = await llama.getRamState();
  const needed = words.fileInsights.modelSize;
  if (needed <= total) return;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new LoadError("memory", `its weights alone take ${gb(needed)}, and there are ${gb(total)}`);
}

async function openWeights(native: Native, { modelPath }: EngineOptions, complaints: string[]) {
  const model = await loadNativeModel(native, modelPath);
  if (model === null) throw new LoadError("file", await told(complaints) ?? "llama.cpp can't read it");
  return { native, model };
}

async function nativeEvaluator(
  { native, model }: Awaited<ReturnType<typeof openWeights>>,
  size: Size,
  { flashAttention }: EngineOptions,
): Promise<Evaluator> {
  const evaluator = await makeNativeEvaluator(native, model, { ...size, flashAttention });
  if (evaluator !== null) return evaluator;
  throw new LoadError("memory", `no room for a context of ${size.contextTokens} tokens`);
}

async function libraryEvaluator(
  llama: Llama,
  model: LlamaModel,
  size: Size,
  { flashAttention }: EngineOptions,
) {
  try {
    const context = await model.createContext({
      contextSize: size.contextTokens,
      threads: size.threads,
      // Without it, a sliding-window model evaluates a repeated long prompt anew.
      swaFullCache: true,
      failedCreationRemedy: false,
      ...(flashAttention === undefined ? {} : { flashAttention }),
    });
    return new LibraryEvaluator(size.contextTokens, llama, model, context.getSequence());
  } catch (cause) {
    const inMemory = cause instanceof InsufficientMemoryError || /memory|RAM/.test(reasonOf(cause));
    throw new LoadError(inMemory ? "memory" : "engine", reasonOf(cause), { cause });
  }
}

/** The weights are mapped, not read: the first evaluation brings them in, and belongs to loading. */
async function warmUp(words: LlamaModel, evaluator: Evaluator): Promise<void> {
  const token = words.tokens.bos ?? words.tokens.eos ?? words.tokenize("a")[0];
  if (token === undefined) return;
  const run = await evaluator.prompt([token], greedy, new AbortController().signal);
  await run.end();
  await evaluator.forget();
}

const greedy: Picking = {
  sampling: { temperature: 0, topP: 1, topK: 1, minP: 0, seed: 0, presencePenalty: 0, frequencyPenalty: 0 },
  grammar: null,
};

async function deviceOf(llama: Llama, model: LlamaModel, asked: EngineOptions["gpu"]) {
  if (llama.gpu === false || model.gpuLayers === 0) {
    const note = asked === "auto" ? "no usable GPU was found, the processor runs it" : null;
    return { device: "cpu", deviceNote: note };
  }
  const names = [...new Set(await llama.getGpuDeviceNames())].join(", ");
  const layers = model.fileInsights.totalLayers;
  const note = model.gpuLayers < layers
    ? `${model.gpuLayers} of ${layers} layers fit on the GPU, the processor runs the rest`
    : null;
  return { device: `${llama.gpu}: ${names}`, deviceNote: note };
}

class LlamaCore implements EngineCore {
  constructor(
    readonly model: LoadedModel,
    private readonly llama: Llama,
    private readonly words: LlamaModel,
    private readonly evaluator: Evaluator,
    private readonly template: ChatTemplate,
    private readonly hooks: ModelHooks,
  ) {}

  async prepare(job: Job): Promise<Generation> {
    const prompt = this.#tokenize(job);
    const room = this.model.contextTokens - 1 - prompt.length;
    if (room < 1) {
      throw new ApiError(
        400,
        `the prompt has ${prompt.length} tokens, and this model's context holds ${this.model.contextTokens} ` +
          "with the answer: shorten the prompt or start the engine with a longer context",
        { param: job.route === "chat" ? "messages" : "prompt", code: "context_length_exceeded" },
      );
    }
    const grammar = await this.#grammar(job.format);
    const maxTokens = Math.min(job.maxTokens ?? room, room);
    return (emit, signal) => this.#run({ job, prompt, maxTokens, grammar }, emit, signal);
  }

  #tokenize(job: Job): Token[] {
    const text = job.input.kind === "text" ? job.input.text : this.#render(job.input.messages);
    const tokens = this.words.tokenize(text, true);
    const { bos, shouldPrependBosToken } = this.words.tokens;
    if (bos !== null && tokens[0] !== bos && (shouldPrependBosToken || tokens.length === 0)) {
      tokens.unshift(bos);
    }
    if (tokens.length > 0) return tokens;
    throw new ApiError(400, "the prompt is empty, and this model can't start from nothing", {
      param: "prompt",
    });
  }

  #render(messages: Parameters<ChatTemplate["render"]>[0]): string {
    try {
      return this.template.render(messages);
    } catch (error) {
      throw new ApiError(400, `this model's chat template refuses the messages: ${reasonOf(error)}`, {
        param: "messages",
      });
    }
  }

  async #grammar(format: AnswerFormat): Promise<string | null> {
    if (format.kind === "text") return null;
    if (format.kind === "json") return (await this.llama.getGrammarFor("json")).grammar;
    const { grammar } = await this.llama.createGrammarForJsonSchema<GbnfJsonSchema>(
      grammarSchema(format.schema),
    );
    // The library's root asks for four empty lines after the value; the end token is end enough.
    return grammar.replace(/ "(\\n){4}" \[\\n\]\*/, "");
  }

  async #run(work: Work, emit: (text: string) => void, signal: AbortSignal): Promise<Generated> {
    const { clock } = this.hooks;
    const startedAt = clock();
    const answer = this.#answer(work, emit);
    const run = await this.evaluator.prompt(work.prompt, this.#picking(work), signal);
    try {
      const firstAt = clock();
      let lastAt = firstAt;
      let token = answer.take(run.first);
      while (token !== null) {
        signal.throwIfAborted();
        const picked = await run.next(token);
        const before = answer.count;
        const now = clock();
        token = answer.take(picked);
        if (answer.count > before) lastAt = now;
      }
      answer.close();
      return {
        finishReason: answer.finish ?? "stop",
        promptTokens: work.prompt.length,
        cachedTokens: run.cachedTokens,
        outputTokens: answer.count,
        promptMs: firstAt - startedAt,
        decodeMs: lastAt - firstAt,
      };
    } finally {
      await run.end();
    }
  }

  #picking({ job, grammar }: Work): Picking {
    return { sampling: { ...job.sampling, seed: job.sampling.seed ?? this.hooks.randomSeed() }, grammar };
  }

  #answer(work: Work, emit: (text: string) => void): Answer<Token> {
    const { job } = work;
    const templateStops = job.route === "chat" && !job.ignoreEos ? this.template.stops : [];
    return new Answer<Token>({
      decoder: new TokenDecoder<Token>(
        (tokens, before) => this.words.detokenize(tokens, false, before),
        work.prompt,
      ),
      scanner: new StopScanner([...job.stop, ...templateStops]),
      isEnd: (token) => this.words.isEogToken(token),
      // In place of an end token that is to be ignored: going on after one would leave the answer's turn.
      insteadOfEnd: job.ignoreEos && work.grammar === null
        ? this.words.tokens.nl ?? this.words.tokenize("\n")[0] ?? null
        : null,
      maxTokens: work.maxTokens,
      emit,
    });
  }
}

interface Work {
  readonly job: Job;
  readonly prompt: readonly Token[];
  readonly maxTokens: number;
  readonly grammar: string | null;
}
