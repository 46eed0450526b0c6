/** The model itself: node-llama-cpp's low-level interface, one context, one sequence. */
import {
  type GbnfJsonSchema,
  getLlama,
  InsufficientMemoryError,
  type Llama,
  type LlamaContextSequence,
  LlamaGrammarEvaluationState,
  LlamaLogLevel,
  type LlamaModel,
  type SequenceEvaluateOptions,
  type Token,
} from "node-llama-cpp";
import type { Clock } from "../clock.ts";
import { reasonOf } from "../errors.ts";
import { type ChatTemplate, chatTemplate } from "./chat_template.ts";
import type { EngineCore, Generation, LoadedModel } from "./core.ts";
import { grammarSchema } from "./json_schema.ts";
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
  const runtimeAt = clock();
  const model = await openModel(llama, options, complaints);
  const modelAt = clock();
  const threads = options.threads ?? threadsFor(llama.cpuMathCores);
  const { context, contextTokens } = await openContext(model, options, threads);
  const sequence = context.getSequence();
  await warmUp(model, sequence);
  const template = chatTemplate(model.fileInfo.metadata.tokenizer?.chat_template, {
    bos: model.tokens.bosString ?? "",
    eos: model.tokens.eosString ?? "",
  });
  const info: LoadedModel = {
    modelId: options.modelId,
    alias: options.alias ?? null,
    ...await deviceOf(llama, model, options.gpu),
    chatTemplate: template.kind,
    contextTokens: Math.min(contextTokens, context.contextSize),
    threads,
    runtimeMs: runtimeAt - startedAt,
    modelMs: modelAt - runtimeAt,
    contextMs: clock() - modelAt,
  };
  return new LlamaCore(info, llama, model, sequence, template, hooks);
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

async function openModel(llama: Llama, options: EngineOptions, complaints: string[]): Promise<LlamaModel> {
  try {
    return await llama.loadModel({
      modelPath: options.modelPath,
      ...(options.gpu === "off" ? { gpuLayers: 0 } : {}),
    });
  } catch (cause) {
    if (cause instanceof InsufficientMemoryError) throw new LoadError("memory", reasonOf(cause), { cause });
    const told = complaints.find((line) => line !== "");
    const reason = told ?? `its header can't be read (${reasonOf(cause)})`;
    throw new LoadError("file", reason, { cause });
  }
}

async function openContext(model: LlamaModel, options: EngineOptions, threads: number) {
  const contextTokens = options.contextTokens ?? Math.min(model.trainContextSize, defaultContextTokens);
  if (contextTokens > model.trainContextSize) {
    throw new LoadError(
      "options",
      `a context of ${contextTokens} tokens was asked for, and it was trained for ${model.trainContextSize} at most`,
    );
  }
  try {
    const context = await model.createContext({
      contextSize: contextTokens,
      threads,
      // Without it, a sliding-window model evaluates a repeated long prompt anew.
      swaFullCache: true,
      failedCreationRemedy: false,
      ...(options.flashAttention === undefined ? {} : { flashAttention: options.flashAttention }),
    });
    return { context, contextTokens };
  } catch (cause) {
    const inMemory = cause instanceof InsufficientMemoryError || /memory|RAM/.test(reasonOf(cause));
    throw new LoadError(inMemory ? "memory" : "engine", reasonOf(cause), { cause });
  }
}

/** The weights are mapped, not read: the first evaluation brings them in, and belongs to loading. */
async function warmUp(model: LlamaModel, sequence: LlamaContextSequence): Promise<void> {
  const token = model.tokens.bos ?? model.tokens.eos ?? model.tokenize("a")[0];
  if (token === undefined || token === null) return;
  await sequence.evaluateWithoutGeneratingNewTokens([token]);
  await sequence.clearHistory();
}

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
    private readonly weights: LlamaModel,
    private readonly sequence: LlamaContextSequence,
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
    const tokens = this.weights.tokenize(text, true);
    const { bos, shouldPrependBosToken } = this.weights.tokens;
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

  async #grammar(format: AnswerFormat): Promise<LlamaGrammarEvaluationState | undefined> {
    if (format.kind === "text") return undefined;
    const grammar = format.kind === "json"
      ? await this.llama.getGrammarFor("json")
      : await this.#schemaGrammar(format.schema);
    return new LlamaGrammarEvaluationState({ model: this.weights, grammar });
  }

  async #schemaGrammar(schema: Record<string, unknown>) {
    const { grammar } = await this.llama.createGrammarForJsonSchema<GbnfJsonSchema>(grammarSchema(schema));
    // The library's root asks for four empty lines after the value; the end token is end enough.
    return this.llama.createGrammar({ grammar: grammar.replace(/ "(\\n){4}" \[\\n\]\*/, "") });
  }

  async #run(work: Work, emit: (text: string) => void, signal: AbortSignal): Promise<Generated> {
    const { clock } = this.hooks;
    const startedAt = clock();
    const meterBefore = this.sequence.tokenMeter.getState();
    const rest = await this.#reuse(work.prompt, signal);
    const answer = this.#answer(work, emit);
    const tokens = this.sequence.evaluate(rest, this.#evaluateOptions(work, answer));
    let firstAt = startedAt;
    let lastAt = startedAt;
    let cachedTokens = 0;
    let next = await tokens.next();
    while (next.done !== true) {
      signal.throwIfAborted();
      const now = clock();
      if (answer.count === 0) {
        firstAt = now;
        cachedTokens = this.#cachedTokens(work.prompt, meterBefore);
      }
      const instead = answer.take(next.value);
      if (answer.count > 0) lastAt = now;
      if (answer.finish !== null) break;
      next = instead === undefined ? await tokens.next() : await tokens.next(instead);
    }
    await tokens.return();
    answer.close();
    return {
      finishReason: answer.finish ?? "stop",
      promptTokens: work.prompt.length,
      cachedTokens,
      outputTokens: answer.count,
      promptMs: firstAt - startedAt,
      decodeMs: lastAt - firstAt,
    };
  }

  /** Keeps what the context already holds of this prompt; evaluates the rest, up to the last batch. */
  async #reuse(prompt: readonly Token[], signal: AbortSignal): Promise<Token[]> {
    const held = this.sequence.contextTokens;
    let same = 0;
    // The last token is always evaluated: its logits give the answer's first token.
    while (same < prompt.length - 1 && same < held.length && held[same] === prompt[same]) same++;
    if (same < this.sequence.nextTokenIndex) {
      await this.sequence.eraseContextTokenRanges([{ start: same, end: this.sequence.nextTokenIndex }]);
    }
    const batch = this.sequence.context.batchSize;
    let at = this.sequence.nextTokenIndex;
    for (; prompt.length - at > batch; at += batch) {
      signal.throwIfAborted();
      await this.sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(at, at + batch));
    }
    signal.throwIfAborted();
    return prompt.slice(at);
  }

  /** By the library's own meter, so that a cache that was lost on the way is not counted as one. */
  #cachedTokens(
    prompt: readonly Token[],
    before: ReturnType<LlamaContextSequence["tokenMeter"]["getState"]>,
  ) {
    const used = this.sequence.tokenMeter.diff(before);
    return Math.max(0, prompt.length - used.usedInputTokens - used.usedOutputTokens);
  }

  #evaluateOptions({ job, grammar }: Work, answer: Answer): SequenceEvaluateOptions {
    const { sampling } = job;
    const penalized = sampling.presencePenalty !== 0 || sampling.frequencyPenalty !== 0;
    return {
      temperature: sampling.temperature,
      topP: sampling.topP,
      topK: sampling.topK,
      minP: sampling.minP,
      seed: sampling.seed ?? this.hooks.randomSeed(),
      yieldEogToken: true,
      ...(grammar === undefined ? {} : { grammarEvaluationState: grammar }),
      ...(penalized
        ? {
          repeatPenalty: {
            punishTokens: () => answer.tokens,
            maxPunishTokens: this.model.contextTokens,
            penalty: 1,
            presencePenalty: sampling.presencePenalty,
            frequencyPenalty: sampling.frequencyPenalty,
          },
        }
        : {}),
    };
  }

  #answer(work: Work, emit: (text: string) => void): Answer {
    const { job } = work;
    const templateStops = job.route === "chat" && !job.ignoreEos ? this.template.stops : [];
    return new Answer({
      decoder: new TokenDecoder<Token>(
        (tokens, before) => this.weights.detokenize(tokens, false, before),
        work.prompt,
      ),
      scanner: new StopScanner([...job.stop, ...templateStops]),
      isEnd: (token) => this.weights.isEogToken(token),
      // In place of an end token that is to be ignored: going on after one would leave the answer's turn.
      insteadOfEnd: job.ignoreEos ? this.weights.tokens.nl ?? this.weights.tokenize("\n")[0] ?? null : null,
      maxTokens: work.maxTokens,
      emit,
    });
  }
}

interface Work {
  readonly job: Job;
  readonly prompt: readonly Token[];
  readonly maxTokens: number;
  readonly grammar: LlamaGrammarEvaluationState | undefined;
}

interface AnswerParts {
  readonly decoder: TokenDecoder<Token>;
  readonly scanner: StopScanner;
  readonly isEnd: (token: Token) => boolean;
  readonly insteadOfEnd: Token | null;
  readonly maxTokens: number;
  readonly emit: (text: string) => void;
}

/** Takes token after token until the answer is complete. */
class Answer {
  readonly tokens: Token[] = [];
  finish: "stop" | "length" | null = null;

  constructor(private readonly parts: AnswerParts) {}

  get count(): number {
    return this.tokens.length;
  }

  /** Returns the token to go on with where it is another than the one that was sampled. */
  take(sampled: Token): Token | undefined {
    const { isEnd, insteadOfEnd, decoder, scanner, maxTokens } = this.parts;
    const end = isEnd(sampled);
    if (end && insteadOfEnd === null) {
      this.finish = "stop";
      return undefined;
    }
    const token = end && insteadOfEnd !== null ? insteadOfEnd : sampled;
    this.tokens.push(token);
    const { text, stopped } = scanner.push(decoder.push(token));
    this.#emit(text);
    if (stopped) this.finish = "stop";
    else if (this.tokens.length >= maxTokens) this.finish = "length";
    return token === sampled ? undefined : token;
  }

  /** Hands out what was held back for a character or a stop string that never came. */
  close(): void {
    const { text, stopped } = this.parts.scanner.push(this.parts.decoder.flush());
    this.#emit(stopped ? text : text + this.parts.scanner.flush());
  }

  #emit(text: string): void {
    if (text !== "") this.parts.emit(text);
  }
}
