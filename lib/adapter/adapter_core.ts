/**
 * Answers requests with a custom model. Its process is ended when it exceeds a limit, and started
 * again with the next request.
 */
import type { Clock } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { AdapterRequest } from "./adapter.ts";
import { type AdapterCommand, AdapterHost, type EndLine, type ReadyLine } from "./adapter_host.ts";
import { ApiError } from "../openai/api_error.ts";
import type { Generation } from "../openai/model_server.ts";
import type { ServedModelInfo, TextGenerator } from "../openai/model_server.ts";
import type { Generated } from "../openai/answer.ts";
import type { AnswerRequest } from "../openai/request.ts";

/** Pieces after which an answer without a stated limit ends. */
const defaultMaxTokens = 4096;
/** How long an adapter may continue after its request was cancelled, before its process is ended. */
const cancelGraceMs = 2000;

export interface AdapterLimits {
  readonly loadTimeoutS: number;
  readonly answerTimeoutS: number;
}

/** A custom model behind a model server. */
export class AdapterCore implements TextGenerator {
  #host: AdapterHost | null = null;
  #starting: Promise<AdapterHost> | null = null;
  #stopped = false;

  constructor(
    readonly model: ServedModelInfo,
    private readonly command: AdapterCommand,
    private readonly limits: AdapterLimits,
    private readonly clock: Clock,
  ) {}

  /** The last process that was started. */
  get pid(): number {
    return this.#host?.pid ?? 0;
  }

  /** The process that runs now; null between a process's end and the next request. */
  get host(): AdapterHost | null {
    return this.#host?.gone === false ? this.#host : null;
  }

  /**
   * Starts the first process, before the first request.
   * @throws {UserError} with the adapter's own reason
   */
  async start(): Promise<ReadyLine> {
    const host = await this.#running();
    return await host.ready;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#host?.stop();
  }

  prepare(job: AnswerRequest): Promise<Generation> {
    if (job.format.kind !== "text") {
      return Promise.reject(
        new ApiError(
          400,
          "this model is an adapter, which answers in plain text only: leave response_format out",
          {
            param: "response_format",
          },
        ),
      );
    }
    const refused = job.tools.length > 0 ? "tools" : job.logprobs !== null ? "logprobs" : null;
    if (refused !== null) {
      const why = `this model is an adapter, which has no ${refused}: leave them out`;
      return Promise.reject(new ApiError(400, why, { param: refused }));
    }
    const request = requestOf(job);
    return Promise.resolve((emit, signal) => this.#run(request, emit, signal));
  }

  async #run(
    request: AdapterRequest,
    emit: (text: string) => void,
    signal: AbortSignal,
  ): Promise<Generated> {
    const host = await this.#running().catch((error) => {
      throw new ApiError(503, reasonOf(error), { code: "adapter_not_loaded" });
    });
    const startedAt = this.clock();
    let firstAt: number | null = null;
    let lastAt = startedAt;
    const timed = (text: string) => {
      lastAt = this.clock();
      firstAt ??= lastAt;
      if (!signal.aborted) emit(text);
    };
    const end = await this.#inTime(host, signal, () => host.ask(request, timed, signal));
    signal.throwIfAborted();
    return {
      finishReason: end.finish,
      promptTokens: end.tokens?.prompt ?? null,
      cachedTokens: 0,
      outputTokens: end.tokens?.output ?? null,
      promptMs: (firstAt ?? lastAt) - startedAt,
      decodeMs: lastAt - (firstAt ?? lastAt),
    };
  }

  /** Ends the process where an answer takes too long, or continues after its request was cancelled. */
  async #inTime(host: AdapterHost, signal: AbortSignal, ask: () => Promise<EndLine>): Promise<EndLine> {
    const { answerTimeoutS } = this.limits;
    let late = false;
    const deadline = setTimeout(() => {
      late = true;
      void host.kill(`it did not finish its answer within ${answerTimeoutS} s ("answer_timeout_s")`);
    }, answerTimeoutS * 1000);
    let grace: ReturnType<typeof setTimeout> | undefined;
    const onAbort = () => {
      grace = setTimeout(() => void host.kill("it continued after its request was cancelled"), cancelGraceMs);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await ask();
    } catch (error) {
      if (!late || !(error instanceof ApiError)) throw error;
      throw new ApiError(504, error.message, { code: "adapter_timeout" });
    } finally {
      clearTimeout(deadline);
      clearTimeout(grace);
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #running(): Promise<AdapterHost> {
    if (this.#stopped) throw new UserError(`${this.model.modelId} was stopped`, 1);
    if (this.#starting === null && this.host !== null) return this.host;
    this.#starting ??= this.#begin().finally(() => this.#starting = null);
    return await this.#starting;
  }

  async #begin(): Promise<AdapterHost> {
    const host = this.#host = new AdapterHost(this.command);
    const { loadTimeoutS } = this.limits;
    const deadline = setTimeout(
      () => void host.kill(`it was not loaded within ${loadTimeoutS} s ("load_timeout_s")`),
      loadTimeoutS * 1000,
    );
    try {
      await host.ready;
      return host;
    } catch (error) {
      await host.stop();
      throw new UserError(
        `the adapter of ${this.model.modelId} can't be loaded: ${reasonOf(error)}`,
        1,
        { cause: error },
      );
    } finally {
      clearTimeout(deadline);
    }
  }
}

function requestOf({ input, maxTokens, sampling, stop }: AnswerRequest): AdapterRequest {
  const messages = input.kind === "messages"
    ? input.messages
    : [{ role: "user" as const, content: input.text }];
  return {
    messages,
    prompt: messages.findLast(({ role }) => role === "user")?.content ?? "",
    maxTokens: maxTokens ?? defaultMaxTokens,
    temperature: sampling.temperature,
    seed: sampling.seed,
    stop,
  };
}
