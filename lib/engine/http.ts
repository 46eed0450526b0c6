/** The engine's HTTP face: routes, the queue, streaming, cancelling. Knows nothing of llama.cpp. */
import type { Generation, LoadedModel } from "./core.ts";
import { checkLocal, checkToken } from "./guard.ts";
import type { Handler } from "./listen.ts";
import type { EngineStats } from "./options.ts";
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
 * const { port } = await listen(engineFace(core, hooks), "127.0.0.1", 0);
 * ```
 */
export function engineFace(core: FaceCore, hooks: FaceHooks): Handler {
  const face = new Face(core, hooks);
  return async (request, gone) => {
    try {
      checkLocal(request);
      return await face.answer(request, gone);
    } catch (error) {
      return asApiError(error).toResponse();
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

  async answer(request: Request, gone: AbortSignal): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return Response.json({ status: "ok" });
    checkToken(request, this.hooks.token);
    switch (`${request.method} ${pathname}`) {
      case "GET /v1/models":
        return Response.json({ object: "list", data: [this.#modelEntry()] });
      case "GET /podium/stats":
        return Response.json(await this.#stats());
      case "POST /v1/chat/completions":
        return await this.#generate(parseChat(await readJson(request)), gone);
      case "POST /v1/completions":
        return await this.#generate(parseCompletion(await readJson(request)), gone);
      default:
        throw new ApiError(404, `there is no ${request.method} ${pathname} here`, { code: "unknown_url" });
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

  async #generate(job: Job, gone: AbortSignal): Promise<Response> {
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
    return job.stream
      ? this.#stream(job, head, generation, gone)
      : await this.#whole(job, head, generation, gone);
  }

  async #whole(job: Job, head: AnswerHead, generation: Generation, gone: AbortSignal): Promise<Response> {
    let text = "";
    const result = await this.#inTurn(generation, (piece) => text += piece, gone);
    return Response.json(wholeAnswer(job, head, text, result));
  }

  #stream(job: Job, head: AnswerHead, generation: Generation, gone: AbortSignal): Response {
    const writer = new ChunkWriter(job, head);
    const write = async (stream: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) => {
      try {
        const emit = (text: string) => stream.enqueue(writer.delta(text));
        const result = await this.#inTurn(generation, emit, gone);
        for (const chunk of writer.end(result)) stream.enqueue(chunk);
      } catch (error) {
        if (gone.aborted) return;
        stream.enqueue(writer.failure(asApiError(error)));
      }
      stream.close();
    };
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (stream) => void write(stream),
    });
    return new Response(body, {
      headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
    });
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

async function readJson(request: Request): Promise<unknown> {
  try {
    return await request.json();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ApiError(400, `the request body is not JSON: ${error.message}`);
  }
}
