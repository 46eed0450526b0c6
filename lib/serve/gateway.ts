/**
 * One address in front of several models: lists them, passes each request on to the one that
 * it names, or that `auto` chooses, and answers every request before its deadline, if only
 * with an error in OpenAI's shape.
 */
import { z } from "zod";
import { escapeHtml } from "../markup.ts";
import { ApiError, errorResponse } from "../openai/api_error.ts";
import type { Access } from "../openai/access.ts";
import {
  bodyText,
  type HttpHandler,
  type IncomingRequest,
  parsedJson,
  type ServerLimits,
  type StreamedAnswer,
} from "../openai/server.ts";
import { type AnsweringOptions, answerWithFallback } from "./fallback.ts";
import type { GaugeReading } from "./gateway_metrics.ts";
import { AUTO, type QueuedModel, unknownModel } from "./served_models.ts";

/** What the gateway gets from its caller. */
export interface GatewayOptions extends AnsweringOptions {
  readonly access: Access;
  readonly limits: Pick<ServerLimits, "bodyBytes" | "bodyMs">;
  /** When this gateway started, in seconds since 1970: the models' `created`. */
  readonly startedAt: number;
  /** Further gauges: memory of the process. */
  readonly gauges: () => readonly GaugeReading[];
}

const feedback = z.object({ id: z.string().min(1).max(200), good: z.boolean() });

const ANSWERING = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);

/**
 * The request handler of `deno task serve`: `/v1/models`, `/v1/chat/completions`, `/v1/completions`,
 * `/v1/embeddings`, `/v1/router`, `/v1/feedback`, `/healthz`, `/metrics`, and a page at
 * `/` that says what this is.
 *
 * ```ts ignore
 * const server = await serveHttp(gateway(options), { hostname: "127.0.0.1", port: 8000, clock, onFault });
 * ```
 */
export function gateway(options: GatewayOptions): HttpHandler {
  const { access, metrics } = options;
  return async (request) => {
    const cors = access.corsHeaders(request);
    let response: Response | StreamedAnswer;
    try {
      response = await answer(request, options);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      metrics.count("podium_refusals_total", { code: error.code ?? String(error.status) });
      response = errorResponse(error);
    }
    for (const [name, value] of Object.entries(cors)) response.headers.set(name, value);
    return response;
  };
}

async function answer(request: IncomingRequest, options: GatewayOptions): Promise<Response | StreamedAnswer> {
  const { access, metrics, limits } = options;
  const { method } = request;
  const { path } = request;
  const route = `${method} ${path}`;
  if (route === "GET /healthz") return health(request, options);
  if (route === "GET /") return page(request, options);
  access.check(request); // before anything of the body is read
  if (method === "OPTIONS" && request.headers.has("origin")) return new Response(null, { status: 204 });
  if (method === "POST" && ANSWERING.has(path)) {
    return await answerWithFallback(request, await bodyText(request, limits), options);
  }
  switch (route) {
    case "POST /v1/feedback":
      return Response.json(takeFeedback(parsedJson(await bodyText(request, limits)), options));
    case "GET /metrics": {
      const headers = { "content-type": metrics.contentType };
      return new Response(await metrics.text(gaugesOf(options)), { headers });
    }
    case "GET /v1/router":
      return Response.json(routerView(options));
    case "GET /v1/models":
      return Response.json(await modelList(options));
  }
  if (method === "GET" && path.startsWith("/v1/models/")) {
    return Response.json(await oneModel(path.slice("/v1/models/".length), options));
  }
  throw new ApiError(404, `there is no ${method} ${path.slice(0, 100)} here`, { code: "unknown_url" });
}

function takeFeedback(body: unknown, { routing }: GatewayOptions) {
  const result = feedback.safeParse(body);
  if (!result.success) {
    throw new ApiError(400, 'feedback is {"id": "an answer\'s id", "good": true or false}');
  }
  const { id, good } = result.data;
  if (!routing.feedback(id, good)) {
    throw new ApiError(404, `no answer of "auto" with the id '${id}' is remembered`, {
      param: "id",
      code: "unknown_id",
    });
  }
  return { id, good, status: "counted" };
}

/** 200 while every model can answer, 503 as soon as one can't. Clients without the key get the status alone. */
function health(request: IncomingRequest, { access, models }: GatewayOptions): Response {
  access.checkSource(request);
  const states = models.all().map(({ model, breaker }) => {
    const available = model.availability();
    return breaker.state() === "open" && available.kind !== "down"
      ? { id: model.id, kind: "down", reason: "it failed too often just now" }
      : { id: model.id, ...available };
  });
  const allUp = states.every(({ kind }) => kind !== "down");
  const status = allUp ? "ok" : "degraded";
  return Response.json(access.hasKey(request) ? { status, models: states } : { status }, {
    status: allUp ? 200 : 503,
  });
}

/** The page for people who open the address in a browser. */
function page(request: IncomingRequest, { access, models }: GatewayOptions): Response {
  access.checkSource(request);
  const names = access.hasKey(request) ? [...models.all().map(({ model }) => model.id), AUTO] : [];
  const list = names.map((name) => `<li><code>${escapeHtml(name)}</code></li>`).join("");
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Podium</title>
<style>:root { color-scheme: light dark } body { font: 1rem/1.5 system-ui; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }</style>
<h1>Podium</h1>
<p>This is a local server for chat models. It speaks the OpenAI protocol: give a chat client or an SDK this address
with <code>/v1</code> as its base URL. The model <code>auto</code> chooses among the others.</p>
${list === "" ? "" : `<ul>${list}</ul>`}
<p><a href="/v1/models">models</a> · <a href="/v1/router">choices of auto</a> · <a href="/healthz">health</a> ·
<a href="/metrics">metrics</a></p>
</html>
`;
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
    },
  });
}

const autoEntry = ({ startedAt }: GatewayOptions) => ({
  id: AUTO,
  object: "model",
  created: startedAt,
  owned_by: "podium",
});

async function modelList(options: GatewayOptions) {
  await options.refresh();
  const entries = options.models.all().map((queued) => modelEntry(queued, options));
  return { object: "list", data: entries.length === 0 ? [] : [...entries, autoEntry(options)] };
}

async function oneModel(asked: string, options: GatewayOptions) {
  const { models } = options;
  const name = unescaped(asked);
  if (name.toLowerCase() === AUTO) return autoEntry(options);
  if (models.named(name).length === 0) await options.refresh();
  const [queued] = models.named(name);
  if (queued === undefined) throw unknownModel(name, models);
  return modelEntry(queued, options);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const modelEntry = ({ model }: QueuedModel, { startedAt }: GatewayOptions) => ({
  id: model.id,
  object: "model",
  created: startedAt,
  owned_by: model.ownedBy,
  ...model.about(),
});

function routerView({ models, routing }: GatewayOptions) {
  const served = models.all().map(({ model, breaker, queue }) => ({
    id: model.candidate,
    model: model.id,
    capabilities: model.capabilities,
    standing: model.availability(),
    breaker: breaker.state(),
    busy: queue.busy,
    waiting: queue.waiting,
    memory_mb: model.memoryMb(),
  }));
  return { schema_version: 1, arms: served, ...routing.view() };
}

const BREAKER_STATES = { closed: 0, "half-open": 1, open: 2 } as const;

function gaugesOf({ models, gauges }: GatewayOptions): GaugeReading[] {
  const gauge = (name: string, help: string, read: (queued: QueuedModel) => number | null): GaugeReading => ({
    name,
    help,
    values: models.all().flatMap((queued) => {
      const value = read(queued);
      return value === null ? [] : [{ labels: { model: queued.model.id }, value }];
    }),
  });
  return [
    gauge(
      "podium_breaker_state",
      "0 closed, 1 half-open, 2 open.",
      ({ breaker }) => BREAKER_STATES[breaker.state()],
    ),
    gauge("podium_requests_in_progress", "Requests that a model works on.", ({ queue }) => queue.busy),
    gauge("podium_requests_waiting", "Requests that wait for a model.", ({ queue }) => queue.waiting),
    gauge("podium_model_memory_bytes", "Resident memory of a model's own process.", ({ model }) => {
      const mb = model.memoryMb();
      return mb === null ? null : mb * 1e6;
    }),
    ...gauges(),
  ];
}
