/** Answers jobs with a loaded model: prompt, tokens, text. */
import type { GbnfJsonSchema, Llama, LlamaModel, Token } from "node-llama-cpp";
import type { Clock } from "../clock.ts";
import { reasonOf } from "../errors.ts";
import { Answer } from "./answer.ts";
import { ApiError } from "../openai/api_error.ts";
import { type ChatTemplate, type PromptPart, renderParts } from "./chat_template.ts";
import type { Generation, LoadedModel, TextGenerator } from "../openai/model_server.ts";
import type { Evaluator, Picking } from "./evaluator.ts";
import { grammarSchema, unbuildableSchema } from "./json_schema.ts";
import type { Generated } from "../openai/answer.ts";
import type { AnswerRequest, RequestedFormat } from "../openai/request.ts";
import { StopScanner, TokenDecoder } from "../openai/streamed_text.ts";

/** What the model takes from its caller. */
export interface ModelHooks {
  readonly clock: Clock;
  /** A whole number, for requests without a seed. */
  readonly randomSeed: () => number;
}

/** A model's vocabulary, chat template and metadata, and what evaluates its tokens. */
export class LlamaCore implements TextGenerator<LoadedModel> {
  constructor(
    readonly model: LoadedModel,
    private readonly llama: Llama,
    private readonly words: LlamaModel,
    private readonly evaluator: Evaluator,
    private readonly template: ChatTemplate,
    private readonly hooks: ModelHooks,
  ) {}

  async prepare(job: AnswerRequest): Promise<Generation> {
    const prompt = this.#tokenize(job);
    const room = this.model.contextTokens - 1 - prompt.length;
    if (room < 1) {
      throw new ApiError(
        400,
        `the prompt has ${prompt.length} tokens, and this model's context holds ${this.model.contextTokens} ` +
          "with the answer: shorten the prompt, or start the engine with a longer context",
        { param: job.route === "chat" ? "messages" : "prompt", code: "context_length_exceeded" },
      );
    }
    const grammar = await this.#grammar(job.format);
    const maxTokens = Math.min(job.maxTokens ?? room, room);
    return (emit, signal) => this.#run({ job, prompt, maxTokens, grammar }, emit, signal);
  }

  #tokenize(job: AnswerRequest): Token[] {
    const parts = job.input.kind === "text"
      ? [{ text: job.input.text, isTemplate: true }]
      : this.#render(job.input.messages);
    const tokens = parts.flatMap(({ text, isTemplate }, index) =>
      this.words.tokenize(text, isTemplate, index === 0 ? undefined : "trimLeadingSpace")
    );
    const { bos, shouldPrependBosToken } = this.words.tokens;
    if (bos !== null && tokens[0] !== bos && (shouldPrependBosToken || tokens.length === 0)) {
      tokens.unshift(bos);
    }
    if (tokens.length > 0) return tokens;
    throw new ApiError(400, "the prompt is empty, and this model needs at least one token to start from", {
      param: "prompt",
    });
  }

  #render(messages: Parameters<ChatTemplate["render"]>[0]): PromptPart[] {
    const specialTexts = (content: string) =>
      this.words.tokenize(content, true)
        .filter((token) => this.words.isSpecialToken(token))
        .map((token) => this.words.detokenize([token], true));
    try {
      return renderParts(this.template, messages, specialTexts);
    } catch (error) {
      throw new ApiError(400, `this model's chat template refuses the messages: ${reasonOf(error)}`, {
        param: "messages",
      });
    }
  }

  async #grammar(format: RequestedFormat): Promise<string | null> {
    if (format.kind === "text") return null;
    if (format.kind === "json") return (await this.llama.getGrammarFor("json")).grammar;
    const schema = grammarSchema(format.schema);
    const { grammar } = await this.llama.createGrammarForJsonSchema<GbnfJsonSchema>(schema).catch(() => {
      throw unbuildableSchema();
    });
    // node-llama-cpp's root demands four empty lines after the value; the end token ends it just as well.
    return grammar.replace(/ "(\\n){4}" \[\\n\]\*/, "");
  }

  async #run(work: Work, emit: (text: string) => void, signal: AbortSignal): Promise<Generated> {
    const { clock } = this.hooks;
    const startedAt = clock();
    const answer = this.#answer(work, emit);
    const run = await this.evaluator.prompt(work.prompt, this.#picking(work), signal);
    const firstAt = clock();
    let lastAt = firstAt;
    let coming: Promise<Token> | null = null;
    try {
      for (let token = run.first;; token = await coming) {
        if (!answer.accept(token)) break;
        lastAt = clock();
        signal.throwIfAborted();
        // The next token is computed while the text of this one is decoded and sent.
        coming = answer.full ? null : run.next();
        answer.say(token);
        if (coming === null || answer.finish !== null) break;
      }
      answer.close();
    } finally {
      // The next run may only begin when nothing of this one is being computed.
      await coming?.catch(() => {});
      await run.end();
    }
    return {
      finishReason: answer.finish ?? "stop",
      promptTokens: work.prompt.length,
      cachedTokens: run.cachedTokens,
      outputTokens: answer.count,
      promptMs: firstAt - startedAt,
      decodeMs: lastAt - firstAt,
    };
  }

  #picking({ job, grammar, maxTokens }: Work): Picking {
    return {
      sampling: { ...job.sampling, seed: job.sampling.seed ?? this.hooks.randomSeed() },
      grammar,
      // An ignored end token is replaced: continuing after it would leave the assistant's turn.
      insteadOfEnd: job.ignoreEos && grammar === null
        ? this.words.tokens.nl ?? this.words.tokenize("\n")[0] ?? null
        : null,
      maxTokens,
    };
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
      maxTokens: work.maxTokens,
      emit,
    });
  }
}

interface Work {
  readonly job: AnswerRequest;
  readonly prompt: readonly Token[];
  readonly maxTokens: number;
  readonly grammar: string | null;
}
