/**
 * One address before several models: lists them, passes each request on to the one that it names, or that `auto`
 * chooses, and sees to it that every request gets an answer, or an error in OpenAI's shape, before its deadline.
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { ApiError, errorBody } from "../openai/api_error.ts";
import type { Access } from "../openai/access.ts";
import { unknownModel } from "./backends.ts";
import type { Desk, Desks } from "./desks.ts";
import {
  type HeaderList,
  type HttpHandler,
  type HttpRequest,
  JSON_HEADERS,
  type Reply,
} from "../openai/http_server.ts";
import { AUTO, errorHeaders, Job, listed, parsedBody } from "./job.ts";
import type { Gauge, Metrics } from "./metrics.ts";
import type { RelayTools } from "./relay.ts";
import type { RetryBudget } from "./retry_budget.ts";
import type { Routing } from "./routing.ts";

/** What the gateway is handed from outside. */
export interface GatewayOptions extends RelayTools {
  readonly clock: Clock;
  readonly desks: Desks;
  readonly routing: Routing;
  readonly access: Access;
  readonly metrics: Metrics;
  readonly retries: RetryBudget;
  /** Backends that one request may try. */
  readonly attempts: number;
  /** Longest time for one request, waiting and loading included, in milliseconds. */
  readonly timeoutMs: number;
  /** An answer of `auto` counts as a success within these limits alone; null: any. */
  readonly slo: { readonly ttft_s: number | null; readonly e2e_s: number | null };
  /** Asked when a name is unknown: has a service got new models? Cheap when asked often. */
  readonly lookAgain: () => Promise<void>;
  /** One record of each request. */
  readonly onRequest: (record: RequestRecord) => void;
  readonly randomId: () => string;
  /** When this gateway began, in seconds since 1970: the models' `created`. */
  readonly startedAt: number;
  /** Gauges besides the gateway's own: memory of the process. */
  readonly gauges: () => readonly Gauge[];
}

/** What is logged of a request: never its text. */
export interface RequestRecord {
  readonly request: string;
  readonly path: string;
  /** What the client asked for. */
  readonly asked: string;
  /** Who answered; null where nobody did. */
  readonly model: string | null;
  readonly intent: string | null;
  readonly reason: string | null;
  /** 499: the client went away. */
  readonly status: number;
  readonly fault: string | null;
  readonly attempts: number;
  readonly ttftMs: number | null;
  readonly totalMs: number;
  readonly promptTokens: number | null;
  readonly outputTokens: number | null;
  /** For `--log-prompts` alone. */
  readonly body: string;
}

const feedback = z.object({ id: z.string().min(1).max(200), good: z.boolean() });

const ANSWERING = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);

/**
 * The request handler of `deno task serve`: `/v1/models`, `/v1/chat/completions`, `/v1/completions`,
 * `/v1/embeddings`, `/v1/router`, `/v1/feedback`, `/healthz`, `/metrics`.
 *
 * ```ts ignore
 * const server = serveHttp(gateway(options), { hostname: "127.0.0.1", port: 8000, clock, onFault });
 * ```
 */
export function gateway(options: GatewayOptions): HttpHandler {
  return async (request, reply) => {
    const shared = options.access.headers(request);
    try {
      await answer(request, reply, shared, options);
    } catch (error) {
      if (reply.begun || reply.gone.stopped || !(error instanceof ApiError)) throw error;
      options.metrics.count("podium_refusals_total", { code: error.code ?? String(error.status) });
      await reply.whole(error.status, [...errorHeaders(error), ...shared], JSON.stringify(errorBody(error)));
    }
  };
}

async function answer(
  request: HttpRequest,
  reply: Reply,
  shared: HeaderList,
  options: GatewayOptions,
): Promise<void> {
  const { method, path } = request;
  if (path !== "/healthz" || method !== "GET") options.access.check(request);
  if (method === "OPTIONS" && shared.length > 0) return await reply.whole(204, shared, "");
  if (method === "POST" && ANSWERING.has(path)) {
    return await new Job(request, reply, shared, options).run();
  }
  const json = (status: number, value: unknown) =>
    reply.whole(status, [...JSON_HEADERS, ...shared], JSON.stringify(value));
  if (method === "POST" && path === "/v1/feedback") return await json(200, takeFeedback(request, options));
  if (method === "GET") {
    if (path === "/healthz") return await json(...health(options));
    if (path === "/metrics") {
      const headers = [["content-type", "text/plain; version=0.0.4; charset=utf-8"]] as const;
      return await reply.whole(200, [...headers, ...shared], options.metrics.render(gaugesOf(options)));
    }
    if (path === "/v1/router") return await json(200, routerView(options));
    if (path === "/v1/models") return await json(200, await modelList(options));
    if (path.startsWith("/v1/models/")) return await json(200, await oneModel(path.slice(11), options));
  }
  throw new ApiError(404, `there is no ${method} ${path.slice(0, 100)} here`, { code: "unknown_url" });
}

function takeFeedback(request: HttpRequest, { routing }: GatewayOptions) {
  const result = feedback.safeParse(parsedBody(request.text));
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

/** 200 while every model could answer, 503 as soon as one can't. */
function health({ desks }: GatewayOptions): [number, unknown] {
  const models = desks.all().map(({ backend, breaker }) => {
    const standing = backend.standing();
    const shown = breaker.state() === "open" && standing.kind !== "down"
      ? { kind: "down", reason: "it failed too often just now" }
      : standing;
    return { id: backend.id, ...shown };
  });
  const allUp = models.every(({ kind }) => kind !== "down");
  return [allUp ? 200 : 503, { status: allUp ? "ok" : "degraded", models }];
}

async function modelList(options: GatewayOptions) {
  await options.lookAgain();
  const entries = options.desks.all().map((desk) => modelEntry(desk, options));
  const auto = { id: AUTO, object: "model", created: options.startedAt, owned_by: "podium" };
  return { object: "list", data: entries.length === 0 ? [] : [...entries, auto] };
}

async function oneModel(asked: string, options: GatewayOptions) {
  const { desks } = options;
  const name = unescaped(asked);
  if (name.toLowerCase() === AUTO) {
    return { id: AUTO, object: "model", created: options.startedAt, owned_by: "podium" };
  }
  if (desks.named(name).length === 0) await options.lookAgain();
  const [desk] = desks.named(name);
  if (desk === undefined) throw unknownModel(name, listed(desks));
  return modelEntry(desk, options);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function modelEntry({ backend }: Desk, { startedAt }: GatewayOptions) {
  return {
    id: backend.id,
    object: "model",
    created: startedAt,
    owned_by: backend.ownedBy,
    ...backend.about(),
  };
}

function routerView({ desks, routing }: GatewayOptions) {
  const arms = desks.all().map(({ backend, breaker, line }) => ({
    id: backend.candidate,
    model: backend.id,
    capabilities: backend.capabilities,
    standing: backend.standing(),
    breaker: breaker.state(),
    busy: line.busy,
    waiting: line.waiting,
    memory_mb: backend.memoryMb(),
  }));
  return { schema_version: 1, arms, ...routing.view() };
}

const BREAKER_STATES = { closed: 0, "half-open": 1, open: 2 } as const;

function gaugesOf({ desks, gauges }: GatewayOptions): Gauge[] {
  const of = (value: (desk: Desk) => number | null) =>
    desks.all().flatMap((desk) => {
      const figure = value(desk);
      return figure === null ? [] : [{ labels: { model: desk.backend.id }, value: figure }];
    });
  const gauge = (name: string, help: string, value: (desk: Desk) => number | null) => ({
    name,
    help,
    values: of(value),
  });
  return [
    gauge(
      "podium_breaker_state",
      "0 closed, 1 half-open, 2 open.",
      ({ breaker }) => BREAKER_STATES[breaker.state()],
    ),
    gauge("podium_requests_in_progress", "Requests that a model works on.", ({ line }) => line.busy),
    gauge("podium_requests_waiting", "Requests that wait for a model.", ({ line }) => line.waiting),
    gauge("podium_model_memory_bytes", "Resident memory of a model's own process.", ({ backend }) => {
      const mb = backend.memoryMb();
      return mb === null ? null : mb * 1e6;
    }),
    ...gauges(),
  ];
}
