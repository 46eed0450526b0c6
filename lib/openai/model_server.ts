/** The engine's HTTP face: routes, the queue, streaming, cancelling. Knows nothing of llama.cpp. */
import { concat } from "../endpoint/bytes.ts";
import type { EngineStats, Generation, LoadedModel } from "./loaded_model.ts";
import { checkLocal, checkToken } from "./guard.ts";
import { type HttpHandler, type HttpRequest, JSON_HEADERS, type Reply } from "./http_server.ts";
import { ApiError } from "./api_error.ts";
import { type AnswerHead, ChunkWriter, wholeAnswer } from "./reply.ts";
import { type Job, parseChat, parseCompletion } from "./request.ts";
import { WaitingLine } from "./queue.ts";

/** What clients may know of the model behind a face. */
export interface FaceModel extends Pick<LoadedModel, "modelId" | "alias" | "device" | "chatTemplate"> {
  /** Null where nobody knows. */
  readonly contextTokens: number | null;
}

/** Whatever generates the text behind a face: a llama.cpp engine, a custom model, a fake. */
export interface FaceCore {
  readonly model: FaceModel;
  /**
   * Checks a job, and returns what runs it.
   * @throws {ApiError} 400 where it can't be done
   */
  prepare(job: Job): Promise<Generation>;
}

/** What the face is handed from outside. */
export interface FaceHooks {
  /** Requests must carry it as their API key. */
  readonly token: string;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly randomId: () => string;
  readonly processUse: () => ProcessUse | Promise<ProcessUse>;
}

type ProcessUse = Pick<EngineStats, "resident_mb" | "cpu_s">;

/**
 * The request handler of one engine: `/v1/models`, `/v1/chat/completions`, `/v1/completions`, `/healthz` and
 * `/podium/stats`. Jobs run one at a time; a client that goes away leaves the queue, or ends its generation.
 *
 * ```ts ignore
 * const { port } = serveHttp(engineFace(core, hooks), { hostname: "127.0.0.1", port: 0, clock, onFault });
 * ```
 */
export function engineFace(core: FaceCore, hooks: FaceHooks): HttpHandler {
  const face = new Face(core, hooks);
  return async (request, reply) => {
    try {
      checkLocal(request);
      await face.answer(request, reply);
    } catch (error) {
      if (reply.gone.stopped) throw error;
      throw asApiError(error);
    }
  };
}

/** A failure of ours says so, and nothing of where it happened. */
function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new ApiError(500, `the engine failed: ${reason}`, { code: "engine_error" });
}

class Face {
  readonly #line = new WaitingLine();
  #answered = 0;

  constructor(private readonly core: FaceCore, private readonly hooks: FaceHooks) {}

  async answer(request: HttpRequest, reply: Reply): Promise<void> {
    const { method, path } = request;
    if (path === "/healthz") return await json(reply, { status: "ok" });
    checkToken(request, this.hooks.token);
    switch (`${method} ${path}`) {
      case "GET /v1/models":
        return await json(reply, { object: "list", data: [this.#modelEntry()] });
      case "GET /podium/stats":
        return await json(reply, await this.#stats());
      case "POST /v1/chat/completions":
        return await this.#generate(parseChat(readJson(request)), reply);
      case "POST /v1/completions":
        return await this.#generate(parseCompletion(readJson(request)), reply);
      default:
        throw new ApiError(404, `there is no ${method} ${path} here`, { code: "unknown_url" });
    }
  }

  async #stats(): Promise<EngineStats> {
    return { ...await this.hooks.processUse(), waiting: this.#line.waiting, answered: this.#answered };
  }

  #modelEntry() {
    const { model } = this.core;
    return {
      id: model.modelId,
      object: "model",
      created: this.hooks.now(),
      owned_by: "podium",
      alias: model.alias,
      device: model.device,
      chat_template: model.chatTemplate,
      context_length: model.contextTokens,
    };
  }

  async #generate(job: Job, reply: Reply): Promise<void> {
    const { modelId, alias } = this.core.model;
    const asked = job.model.toLowerCase();
    if (asked !== modelId.toLowerCase() && asked !== alias?.toLowerCase()) {
      throw new ApiError(404, `model '${job.model}' is not loaded here; this engine runs '${modelId}'`, {
        param: "model",
        code: "model_not_found",
      });
    }
    const generation = await this.core.prepare(job);
    const prefix = job.route === "chat" ? "chatcmpl" : "cmpl";
    const head = { id: `${prefix}-${this.hooks.randomId()}`, created: this.hooks.now(), model: modelId };
    if (job.stream) await this.#stream(job, head, generation, reply);
    else await this.#whole(job, head, generation, reply);
  }

  async #whole(job: Job, head: AnswerHead, generation: Generation, reply: Reply): Promise<void> {
    let text = "";
    const result = await this.#inTurn(generation, (piece) => text += piece, reply.gone.signal);
    await json(reply, wholeAnswer(job, head, text, result));
  }

  async #stream(job: Job, head: AnswerHead, generation: Generation, reply: Reply): Promise<void> {
    const writer = new ChunkWriter(job, head);
    // A stream's first byte may be long in coming; that the request was taken is told at once.
    reply.begin(200, STREAM_HEADERS);
    await reply.write(new Uint8Array());
    const out = new Outflow(reply);
    try {
      const result = await this.#inTurn(
        generation,
        (text) => out.push(writer.delta(text)),
        reply.gone.signal,
      );
      for (const chunk of writer.end(result)) out.push(chunk);
    } catch (error) {
      if (reply.gone.stopped) throw error;
      out.push(writer.failure(asApiError(error)));
    }
    await out.empty();
    await reply.end();
  }

  async #inTurn(generation: Generation, emit: (text: string) => void, gone: AbortSignal) {
    const leave = await this.#line.enter(gone);
    try {
      const result = await generation(emit, gone);
      this.#answered++;
      return result;
    } finally {
      leave();
    }
  }
}

const STREAM_HEADERS = [
  ["content-type", "text/event-stream; charset=utf-8"],
  ["cache-control", "no-cache"],
] as const;

/** Sends pieces in order without making whoever has them wait; a slow reader gets several in one. */
class Outflow {
  #waiting: Uint8Array[] = [];
  #sending: Promise<void> | null = null;

  constructor(private readonly reply: Reply) {}

  push(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    // A client that went away is told by `reply.gone`, and by `empty`.
    if (this.#sending === null) this.#send().catch(() => {});
  }

  /** Resolves when all of it is on its way. */
  async empty(): Promise<void> {
    await this.#sending;
  }

  #send(): Promise<void> {
    this.#sending = this.#drain();
    return this.#sending;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const bytes = concat(this.#waiting);
      this.#waiting = [];
      await this.reply.write(bytes);
    }
    this.#sending = null;
  }
}

const json = (reply: Reply, value: unknown) => reply.whole(200, JSON_HEADERS, JSON.stringify(value));

function readJson({ text }: HttpRequest): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ApiError(400, `the request body is not JSON: ${error.message}`);
  }
}
