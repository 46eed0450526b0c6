/** Answers jobs with a loaded model: prompt, tokens, text. */
import type { GbnfJsonSchema, Llama, LlamaModel, Token } from "node-llama-cpp";
import type { Clock } from "../clock.ts";
import type { ChatMessage } from "../endpoint/trace.ts";
import { reasonOf } from "../errors.ts";
import { GrowingAnswer } from "./growing_answer.ts";
import { ApiError } from "../openai/api_error.ts";
import { callGrammar } from "./call_grammar.ts";
import { CallReader, type WrittenPiece } from "./call_reader.ts";
import { withListedTools } from "./listed_tools.ts";
import { type ChatTemplate, type PromptPart, renderParts } from "./chat_template.ts";
import type { Generation, LoadedModel, TextGenerator } from "../openai/model_server.ts";
import { commonStart, type Evaluator, type PickedLogprob, type Picking } from "./evaluator.ts";
import { grammarSchema, type SchemaObject, unbuildableSchema } from "./grammar_schema.ts";
import type { AnswerPiece, Generated, TokenLogprob } from "../openai/answer.ts";
import type { AnswerRequest } from "../openai/request.ts";
import { StopScanner, TokenDecoder } from "../openai/streamed_text.ts";

/** What the model gets from its caller. */
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
    evaluators: readonly Evaluator[],
    private readonly template: ChatTemplate,
    private readonly hooks: ModelHooks,
  ) {
    this.parallel = evaluators.length;
    this.#free = evaluators.map((evaluator) => ({ evaluator, last: [] }));
    this.#givesLogprobs = evaluators.every(({ givesLogprobs }) => givesLogprobs);
  }

  readonly parallel: number;
  readonly #givesLogprobs: boolean;
  /** Sequences without an answer in progress, the one longest idle first. */
  readonly #free: Sequence[];

  async prepare(job: AnswerRequest): Promise<Generation> {
    this.#checkVariables(job);
    if (job.logprobs !== null && !this.#givesLogprobs) {
      throw new ApiError(
        400,
        "log-probabilities are there only where llama.cpp is called directly, on a processor",
        {
          param: "logprobs",
        },
      );
    }
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
    const grammar = await this.#grammar(job);
    const maxTokens = Math.min(job.maxTokens ?? room, room);
    return (emit, signal) => this.#run({ job, prompt, maxTokens, grammar }, emit, signal);
  }

  #tokenize(job: AnswerRequest): Token[] {
    const parts = job.input.kind === "text"
      ? [{ text: job.input.text, isTemplate: true }]
      : this.#render(job.input.messages, job);
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

  /** A variable that the template does not use would silently change nothing. */
  #checkVariables({ templateVariables }: AnswerRequest): void {
    const unused = Object.keys(templateVariables).find((name) => !this.template.reads(name));
    if (unused === undefined) return;
    throw new ApiError(400, `this model's chat template has no '${unused.slice(0, 64)}'`, {
      param: "chat_template_kwargs",
    });
  }

  #render(
    given: readonly ChatMessage[],
    { tools, templateVariables: variables }: AnswerRequest,
  ): PromptPart[] {
    const ownCalls = this.template.callForm !== null;
    const messages = ownCalls || tools.length === 0 && given.every(({ role }) => role !== "tool")
      ? given
      : withListedTools(given, tools);
    const specialTexts = (content: string) =>
      this.words.tokenize(content, true)
        .filter((token) => this.words.isSpecialToken(token))
        .map((token) => this.words.detokenize([token], true));
    try {
      return renderParts(this.template, messages, specialTexts, {
        variables,
        ...(ownCalls ? { tools } : {}),
      });
    } catch (error) {
      throw new ApiError(400, `this model's chat template refuses the messages: ${reasonOf(error)}`, {
        param: "messages",
      });
    }
  }

  async #grammar({ format, ...job }: AnswerRequest): Promise<string | null> {
    const grammarOf = (schema: SchemaObject) => this.#schemaGrammar(schema);
    if (job.tools.length > 0) return await callGrammar(job, this.template.callForm, grammarOf);
    if (format.kind === "text") return null;
    if (format.kind === "json") return (await this.llama.getGrammarFor("json")).grammar;
    return await grammarOf(format.schema);
  }

  async #schemaGrammar(given: SchemaObject): Promise<string> {
    const schema = grammarSchema(given);
    const { grammar } = await this.llama.createGrammarForJsonSchema<GbnfJsonSchema>(schema).catch(() => {
      throw unbuildableSchema();
    });
    // node-llama-cpp's root demands four empty lines after the value; the end token ends it just as well.
    return grammar.replace(/ "(\\n){4}" \[\\n\]\*/, "");
  }

  async #run(work: Work, emit: (piece: AnswerPiece) => void, signal: AbortSignal): Promise<Generated> {
    const sequence = this.#take(work.prompt);
    try {
      return await this.#runIn(sequence.evaluator, work, emit, signal);
    } finally {
      this.#free.push(sequence);
    }
  }

  /**
   * The free sequence with the longest common beginning with the prompt, which saves evaluating it again;
   * else the longest idle.
   */
  #take(prompt: readonly Token[]): Sequence {
    const same = this.#free.map(({ last }) => commonStart(last, prompt));
    const [sequence] = this.#free.splice(same.indexOf(Math.max(...same)), 1);
    if (sequence === undefined) throw new RangeError(`more than ${this.parallel} answers at once`);
    sequence.last = prompt;
    return sequence;
  }

  async #runIn(
    evaluator: Evaluator,
    work: Work,
    emit: (piece: AnswerPiece) => void,
    signal: AbortSignal,
  ): Promise<Generated> {
    const { clock } = this.hooks;
    const startedAt = clock();
    const calls = this.#callReader(work.job);
    const say = (pieces: readonly WrittenPiece[]) => {
      for (const piece of pieces) emit("text" in piece ? piece.text : piece);
    };
    // Tokens whose text is held back: a character is incomplete, or a stop string may come.
    let logprobs: TokenLogprob[] = [];
    const emitText = (text: string) => {
      if (calls !== null) say(calls.push(text));
      else if (work.job.logprobs === null) emit(text);
      else emit({ text, logprobs });
      logprobs = [];
    };
    const answer = this.#answer(work, emitText);
    const run = await evaluator.prompt(work.prompt, this.#picking(work), signal);
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
        const picked = run.logprobs(answer.count - 1);
        if (picked !== null) logprobs.push(this.#tokenLogprob(token, picked));
        answer.say(token);
        if (coming === null || answer.finish !== null) break;
      }
      answer.close();
      if (calls !== null) say(calls.end());
    } finally {
      // The next request may begin only when nothing of this one is being computed.
      await coming?.catch(() => {});
      await run.end();
    }
    const finish = answer.finish ?? "stop";
    return {
      finishReason: finish === "stop" && (calls?.calls ?? 0) > 0 ? "tool_calls" : finish,
      promptTokens: work.prompt.length,
      cachedTokens: run.cachedTokens,
      outputTokens: answer.count,
      promptMs: firstAt - startedAt,
      decodeMs: lastAt - firstAt,
    };
  }

  #callReader({ tools }: AnswerRequest): CallReader | null {
    if (tools.length === 0) return null;
    // Nine letters and digits are what Mistral's templates take.
    const newId = () =>
      `${this.hooks.randomSeed().toString(36)}${this.hooks.randomSeed().toString(36)}`.padEnd(9, "0").slice(
        0,
        9,
      );
    return new CallReader(this.template.callForm ?? "json", tools.map(({ name }) => name), newId);
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
      logprobs: job.logprobs,
    };
  }

  /** A token as `logprobs` show it. */
  #tokenLogprob(token: Token, picked: PickedLogprob): TokenLogprob {
    const text = (one: Token) => this.words.detokenize([one], true);
    const { logprob, top } = picked;
    return {
      token: text(token),
      logprob,
      top: top.map((one) => ({ token: text(one.token), logprob: one.logprob })),
    };
  }

  #answer(work: Work, emit: (text: string) => void): GrowingAnswer<Token> {
    const { job } = work;
    // The mark that opens a call is a special token in most vocabularies.
    const withSpecial = job.tools.length > 0 && this.template.callForm !== null;
    const templateStops = job.route === "chat" && !job.ignoreEos ? this.template.stops : [];
    return new GrowingAnswer<Token>({
      decoder: new TokenDecoder<Token>(
        (tokens, before) => this.words.detokenize(tokens, withSpecial, before),
        work.prompt,
      ),
      scanner: new StopScanner([...job.stop, ...templateStops]),
      isEnd: (token) => this.words.isEogToken(token),
      maxTokens: work.maxTokens,
      emit,
    });
  }
}

/** A sequence of the context, and the prompt that was evaluated in it last. */
interface Sequence {
  readonly evaluator: Evaluator;
  last: readonly Token[];
}

interface Work {
  readonly job: AnswerRequest;
  readonly prompt: readonly Token[];
  readonly maxTokens: number;
  readonly grammar: string | null;
}
