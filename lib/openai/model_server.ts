/** The HTTP server of one model: routes, the queue, streaming, cancelling. Independent of llama.cpp. */
import { Buffer } from "node:buffer";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { Access } from "./access.ts";
import {
  type AnswerHead,
  type AnswerPiece,
  ChunkWriter,
  CollectedAnswer,
  type Generated,
  wholeAnswer,
} from "./answer.ts";
import { ApiError } from "./api_error.ts";
import { RequestQueue } from "./queue.ts";
import {
  type AnswerRequest,
  type EmbeddingRequest,
  parseChat,
  parseCompletion,
  parseEmbedding,
} from "./request.ts";
import {
  bodyText,
  DEFAULT_LIMITS,
  type HttpHandler,
  type IncomingRequest,
  parsedJson,
  type ServerLimits,
} from "./server.ts";

/** Runs one prepared request, and calls `emit` with every piece of the answer once it is readable. */
export type Generation = (emit: (piece: AnswerPiece) => void, signal: AbortSignal) => Promise<Generated>;

/** The public description of a model. */
export interface ServedModelInfo {
  readonly modelId: string;
  /** Another name that requests may use. */
  readonly alias: string | null;
  /** The device that runs it: `cpu`, or `vulkan: NAME`. */
  readonly device: string;
  /** The model's own chat template, or the plain one where it has none. */
  readonly chatTemplate: "own" | "plain";
  /** Null where it is unknown. */
  readonly contextTokens: number | null;
}

const ms = z.number().nonnegative();

/** What is known about a model that llama.cpp has loaded. Times are milliseconds. */
export const loadedModel = z.object({
  modelId: z.string(),
  alias: z.string().nullable(),
  device: z.string(),
  /** Why the device is not the one that was requested; null where there is no note. */
  deviceNote: z.string().nullable(),
  chatTemplate: z.enum(["own", "plain"]),
  /** Why the template of the model file is not used; null where there is no note. */
  chatTemplateNote: z.string().nullable(),
  contextTokens: z.int(),
  threads: z.int(),
  /** Whether llama.cpp is called directly, or through node-llama-cpp. */
  direct: z.boolean(),
  /** Why llama.cpp is not called directly; null where it is. */
  directNote: z.string().nullable(),
  /** Its settings, given or by default; `batchTokens` are evaluated in one call. */
  settings: z.object({
    kvCache: z.enum(["f16", "q8_0", "q4_0"]),
    batchTokens: z.int(),
    mmap: z.boolean(),
    parallel: z.int(),
  }),
  /** Loading llama.cpp itself and finding the devices. */
  runtimeMs: ms,
  /** The model file alone: from opening it until its weights are in place. */
  modelMs: ms,
  /** Making the context, and the first evaluation, which pulls the weights into memory. */
  contextMs: ms,
});
/** What is known about a model that llama.cpp has loaded. */
export type LoadedModel = z.infer<typeof loadedModel>;

/** The generator behind a server: a llama.cpp engine, a custom model, a fake. */
export interface TextGenerator<Info extends ServedModelInfo = ServedModelInfo> {
  readonly model: Info;
  /** Requests that it handles at once; others wait. @default 1 */
  readonly parallel?: number;
  /**
   * Checks a request, and returns the function that runs it.
   *
   * @throws {ApiError} 400 where it can't be served
   */
  prepare(request: AnswerRequest): Promise<Generation>;
  /**
   * Turns texts into vectors; left out where the model writes text.
   *
   * @throws {ApiError} 400 for a text that is too long
   */
  embed?(texts: readonly string[], signal: AbortSignal): Promise<Embedded>;
}

/** One vector per text, and how many tokens the texts have together. */
export interface Embedded {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
}

/** The answer of `GET /podium/stats`. */
export const engineStats = z.object({
  resident_mb: z.number().nonnegative(),
  /** Processor time of the whole process since it began, all threads. */
  cpu_s: z.number().nonnegative(),
  waiting: z.int().nonnegative(),
  answered: z.int().nonnegative(),
});
export type EngineStats = z.infer<typeof engineStats>;

type ProcessUse = Pick<EngineStats, "resident_mb" | "cpu_s">;

/** What a model's server gets from its caller. */
export interface ModelServerOptions {
  /** The key that requests must carry. */
  readonly token: string;
  readonly clock: Clock;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly randomId: () => string;
  readonly processUse: () => ProcessUse | Promise<ProcessUse>;
  readonly limits?: Partial<ServerLimits>;
}

/**
 * The request handler of one model on this machine: `/v1/models`, `/v1/chat/completions`, `/v1/completions`,
 * `/v1/embeddings`, `/healthz` and `/podium/stats`. Requests run `generator.parallel` at a time. A client
 * that goes away leaves the queue, or ends its generation.
 *
 * ```ts ignore
 * const { port } = serveHttp(modelServer(generator, options), { hostname: "127.0.0.1", port: 0, onFault });
 * ```
 */
export function modelServer(generator: TextGenerator, options: ModelServerOptions): HttpHandler {
  const access = new Access({ host: "127.0.0.1", apiKey: options.token, cors: [] });
  const server = new ModelServer(generator, options);
  return async (request) => {
    const { path } = request;
    access.checkSource(request);
    if (path === "/healthz") return Response.json({ status: "ok" });
    access.check(request);
    try {
      return await server.answer(`${request.method} ${path}`, request);
    } catch (error) {
      throw asApiError(error);
    }
  };
}

/** The message of the failure, without its location. */
function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new ApiError(500, `the engine failed: ${reason}`, { code: "engine_error" });
}

const STREAM_HEADERS = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };

class ModelServer {
  readonly #queue: RequestQueue;
  readonly #limits: ServerLimits;
  #answered = 0;

  constructor(private readonly generator: TextGenerator, private readonly options: ModelServerOptions) {
    this.#queue = new RequestQueue(generator.parallel ?? 1, Infinity, options.clock);
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  async answer(route: string, request: IncomingRequest): Promise<Response> {
    switch (route) {
      case "GET /v1/models":
        return Response.json({ object: "list", data: [this.#modelEntry()] });
      case "GET /podium/stats":
        return Response.json(await this.#stats());
      case "POST /v1/chat/completions":
        return await this.#generate(parseChat(await this.#body(request)), request.signal);
      case "POST /v1/completions":
        return await this.#generate(parseCompletion(await this.#body(request)), request.signal);
      case "POST /v1/embeddings":
        return await this.#embed(parseEmbedding(await this.#body(request)), request.signal);
      default:
        throw new ApiError(404, `there is no ${route.slice(0, 100)} here`, { code: "unknown_url" });
    }
  }

  async #body(request: IncomingRequest): Promise<unknown> {
    return parsedJson(await bodyText(request, this.#limits));
  }

  async #stats(): Promise<EngineStats> {
    return { ...await this.options.processUse(), waiting: this.#queue.waiting, answered: this.#answered };
  }

  #modelEntry() {
    const { model } = this.generator;
    return {
      id: model.modelId,
      object: "model",
      created: this.options.now(),
      owned_by: "podium",
      alias: model.alias,
      device: model.device,
      chat_template: model.chatTemplate,
      context_length: model.contextTokens,
    };
  }

  async #embed({ model, texts, base64 }: EmbeddingRequest, gone: AbortSignal): Promise<Response> {
    const { modelId } = this.#checkModel(model);
    const { generator } = this;
    if (generator.embed === undefined) {
      throw new ApiError(400, `'${modelId}' writes text: /v1/embeddings needs an embedding model`, {
        param: "model",
      });
    }
    const leave = await this.#queue.enter(gone);
    try {
      const { vectors, promptTokens } = await generator.embed(texts, gone);
      this.#answered++;
      return Response.json({
        object: "list",
        data: vectors.map((vector, index) => ({
          object: "embedding",
          index,
          embedding: base64 ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector,
        })),
        model: modelId,
        usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      });
    } finally {
      leave();
    }
  }

  /** @throws {ApiError} 404 for a model that this server does not run */
  #checkModel(name: string): ServedModelInfo {
    const { model } = this.generator;
    const { modelId, alias } = model;
    const wanted = name.toLowerCase();
    if (wanted !== modelId.toLowerCase() && wanted !== alias?.toLowerCase()) {
      throw new ApiError(
        404,
        `model '${name.slice(0, 100)}' is not loaded here; this engine runs '${modelId}'`,
        { param: "model", code: "model_not_found" },
      );
    }
    return model;
  }

  async #generate(request: AnswerRequest, gone: AbortSignal): Promise<Response> {
    const { modelId } = this.#checkModel(request.model);
    const generation = await this.generator.prepare(request);
    const prefix = request.route === "chat" ? "chatcmpl" : "cmpl";
    const head = { id: `${prefix}-${this.options.randomId()}`, created: this.options.now(), model: modelId };
    if (request.stream) return this.#stream(request, head, generation, gone);
    const parts = new CollectedAnswer();
    const result = await this.#inTurn(generation, (piece) => parts.add(piece), gone);
    return Response.json(wholeAnswer(request, head, parts, result));
  }

  /** The head goes out at once, so that the client sees that its request has arrived. */
  #stream(request: AnswerRequest, head: AnswerHead, generation: Generation, gone: AbortSignal): Response {
    const writer = new ChunkWriter(request, head);
    const cancelled = new AbortController();
    const cancel = (reason?: unknown) => cancelled.abort(reason);
    gone.addEventListener("abort", cancel, { once: true });
    // Holds what a slow reader has not taken yet; a whole answer is small.
    const generate = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      try {
        const emit = (piece: AnswerPiece) => {
          if (!cancelled.signal.aborted) controller.enqueue(writer.delta(piece));
        };
        const result = await this.#inTurn(generation, emit, cancelled.signal);
        if (cancelled.signal.aborted) return;
        for (const chunk of writer.end(result)) controller.enqueue(chunk);
      } catch (error) {
        if (cancelled.signal.aborted) return;
        controller.enqueue(writer.failure(asApiError(error)));
      } finally {
        gone.removeEventListener("abort", cancel);
      }
      controller.close();
    };
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void generate(controller), cancel });
    return new Response(body, { headers: STREAM_HEADERS });
  }

  async #inTurn(
    generation: Generation,
    emit: (piece: AnswerPiece) => void,
    gone: AbortSignal,
  ): Promise<Generated> {
    const leave = await this.#queue.enter(gone);
    try {
      const result = await generation(emit, gone);
      this.#answered++;
      return result;
    } finally {
      leave();
    }
  }
}
