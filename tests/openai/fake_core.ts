/** A core that says what it is told, so that the HTTP face is tested without a model. */
import { type LoadedModel, modelServer, type TextGenerator } from "../../lib/openai/model_server.ts";
import { serveHttp, type ServerLimits } from "../../lib/openai/server.ts";
import type { AnswerPiece, Generated } from "../../lib/openai/answer.ts";
import type { AnswerRequest } from "../../lib/openai/request.ts";

const model: LoadedModel = {
  modelId: "tiny:q4",
  alias: "tiny",
  device: "cpu",
  deviceNote: null,
  chatTemplate: "own",
  contextTokens: 128,
  threads: 1,
  direct: true,
  directNote: null,
  settings: { kvCache: "f16", batchTokens: 256, mmap: true, parallel: 1 },
  chatTemplateNote: null,
  runtimeMs: 1,
  modelMs: 2,
  contextMs: 3,
};

export const generated: Generated = {
  finishReason: "stop",
  promptTokens: 7,
  cachedTokens: 5,
  outputTokens: 3,
  promptMs: 12.3456,
  decodeMs: 20,
};

export interface FakeCore extends TextGenerator<LoadedModel> {
  readonly jobs: AnswerRequest[];
  /** One entry a generation that was ended because its client went away. */
  readonly cancelled: string[];
}

/** `say` decides what a job gets: pieces of text, an error, or `wait` for the client to go away. */
export function fakeCore(
  say: (job: AnswerRequest) => AnswerPiece[] | Error | "wait",
  changes: Partial<Generated> = {},
): FakeCore {
  const jobs: AnswerRequest[] = [];
  const cancelled: string[] = [];
  return {
    model,
    jobs,
    cancelled,
    prepare(job) {
      jobs.push(job);
      return Promise.resolve(async (emit, signal) => {
        const pieces = say(job);
        if (pieces instanceof Error) throw pieces;
        if (pieces === "wait") {
          emit("first");
          await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
          cancelled.push(job.model);
          signal.throwIfAborted();
          return generated;
        }
        for (const piece of pieces) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          emit(piece);
        }
        return { ...generated, ...changes };
      });
    },
  };
}

export const token = "0123456789abcdef";

/** The face on a loopback port. */
export async function serveFace(core: TextGenerator, limits: Partial<ServerLimits> = {}) {
  let ids = 0;
  const handler = modelServer(core, {
    token,
    limits,
    clock: () => performance.now(),
    now: () => 1_700_000_000,
    randomId: () => `id${++ids}`,
    processUse: () => ({ resident_mb: 100, cpu_s: 1.5 }),
  });
  const server = await serveHttp(handler, {
    clock: () => performance.now(),
    limits,
    hostname: "127.0.0.1",
    port: 0,
    onFault: (error) => {
      throw error;
    },
  });
  const origin = `http://127.0.0.1:${server.port}`;
  const send = (path: string, init: RequestInit & { key?: string } = {}) =>
    fetch(origin + path, { headers: { authorization: `Bearer ${init.key ?? token}` }, ...init });
  return {
    origin,
    send,
    post: (path: string, body: unknown) =>
      send(path, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) }),
    [Symbol.asyncDispose]: () => server.close(),
  };
}
