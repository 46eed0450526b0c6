/** One address before several models: lists them, and passes each request on to the one it names. */
import { z } from "zod";
import type { Fetch } from "../clock.ts";
import { checkLocal } from "../engine/guard.ts";
import type { Handler } from "../engine/listen.ts";
import { ApiError } from "../engine/api_error.ts";
import { reasonOf } from "../errors.ts";
import { type Backend, type Routes, unavailable } from "./routes.ts";

/** What the gateway is handed from outside. */
export interface GatewayOptions {
  readonly fetch: Fetch;
  /** When this gateway began, in seconds since 1970: the models' `created`. */
  readonly startedAt: number;
  /** Refuse whoever is not on this machine by name (`Host`) or page (`Origin`). */
  readonly localOnly: boolean;
}

/** Only what routing needs; the rest passes through untouched. */
const routed = z.looseObject({ model: z.string().min(1) });

const answerRoutes = ["/v1/chat/completions", "/v1/completions"];

/**
 * The request handler of `deno task serve`: `/v1/models`, `/v1/chat/completions`, `/v1/completions`,
 * `/healthz`. Answers are passed through chunk by chunk as they come; a client that goes away ends the request
 * behind.
 *
 * ```ts ignore
 * await listen(gateway(routesByName(backends), { fetch, startedAt, localOnly: true }), "127.0.0.1", 8000);
 * ```
 */
export function gateway(routes: Routes, options: GatewayOptions): Handler {
  return async (request, gone) => {
    try {
      if (options.localOnly) checkLocal(request);
      return await answer(request, gone, routes, options);
    } catch (error) {
      if (error instanceof ApiError) return error.toResponse();
      throw error;
    }
  };
}

async function answer(
  request: Request,
  gone: AbortSignal,
  routes: Routes,
  options: GatewayOptions,
): Promise<Response> {
  const { pathname } = new URL(request.url);
  const { method } = request;
  if (method === "GET" && pathname === "/healthz") return health(routes);
  if (method === "GET" && pathname === "/v1/models") {
    const data = routes.list().map((backend) => modelEntry(backend, options.startedAt));
    return Response.json({ object: "list", data });
  }
  if (method === "GET" && pathname.startsWith("/v1/models/")) {
    const backend = routes.choose(decodeURIComponent(pathname.slice("/v1/models/".length)));
    return Response.json(modelEntry(backend, options.startedAt));
  }
  if (method === "POST" && answerRoutes.includes(pathname)) {
    const body = await readBody(request);
    return await passOn(routes.choose(body.model), pathname.slice("/v1".length), body, gone, options.fetch);
  }
  throw new ApiError(404, `there is no ${method} ${pathname} here`, { code: "unknown_url" });
}

/** 200 while every model can answer, 503 as soon as one can't. */
function health(routes: Routes): Response {
  const models = routes.list().map(({ id, state }) => ({ id, ...state() }));
  const allUp = models.every(({ kind }) => kind === "up");
  return Response.json({ status: allUp ? "ok" : "degraded", models }, { status: allUp ? 200 : 503 });
}

function modelEntry({ id, endpoint, about }: Backend, created: number) {
  return { id, object: "model", created, owned_by: endpoint.name, ...about };
}

async function readBody(request: Request) {
  let body: unknown;
  try {
    body = await request.json();
  } catch (error) {
    throw new ApiError(400, `the request body is not JSON: ${reasonOf(error)}`);
  }
  const result = routed.safeParse(body);
  if (result.success) return result.data;
  throw new ApiError(400, "'model' must name the model that is to answer", { param: "model" });
}

async function passOn(
  backend: Backend,
  path: string,
  body: z.infer<typeof routed>,
  gone: AbortSignal,
  fetch: Fetch,
): Promise<Response> {
  const headers = new Headers({ "content-type": "application/json" });
  const { baseUrl, apiKey } = backend.endpoint;
  if (apiKey !== undefined) headers.set("authorization", `Bearer ${apiKey}`);
  try {
    const response = await fetch(baseUrl + path, {
      method: "POST",
      headers,
      body: JSON.stringify({ ...body, model: backend.modelId }),
      signal: gone,
    });
    const type = response.headers.get("content-type") ?? "application/json";
    return new Response(response.body, {
      status: response.status,
      headers: { "content-type": type, "cache-control": "no-cache" },
    });
  } catch (error) {
    if (gone.aborted) throw error;
    throw unavailable(backend, reasonOf(error));
  }
}
