/**
 * One address before several models: lists them, passes each request on to the one that it names, or that `auto`
 * chooses, and sees to it that every request gets an answer, or an error in OpenAI's shape, before its deadline.
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { ApiError, errorBody } from "../engine/api_error.ts";
import type { Access } from "./access.ts";
import { unknownModel } from "./backends.ts";
import type { Desk, Desks } from "./desks.ts";
import {
  type HeaderList,
  type HttpHandler,
  type HttpRequest,
  JSON_HEADERS,
  type Reply,
} from "./http_server.ts";
import { withField } from "./json_field.ts";
import { LineFull } from "./line.ts";
import type { Gauge, Metrics } from "./metrics.ts";
import { type Attempt, type Failure, relay, type RelayTools } from "./relay.ts";
import type { RetryBudget } from "./retry_budget.ts";
import type { RecentChoice, RoutedBody, Routing } from "./routing.ts";

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

/** Only what routing needs; the rest passes through untouched. */
interface Routed extends RoutedBody {
  readonly model: string;
  readonly stream?: boolean | null;
}

const feedback = z.object({ id: z.string().min(1).max(200), good: z.boolean() });

const ANSWERING = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);
/** `auto` chooses among chat models. */
const CHOOSING = new Set(["/v1/chat/completions", "/v1/completions"]);
const AUTO = "auto";
const CLIENT_GONE = 499;

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
      if (reply.begun || reply.gone.aborted || !(error instanceof ApiError)) throw error;
      options.metrics.count("podium_refusals_total", { code: error.code ?? String(error.status) });
      await reply.whole(error.status, [...errorHeaders(error), ...shared], JSON.stringify(errorBody(error)));
    }
  };
}

function errorHeaders(error: ApiError): HeaderList {
  if (error instanceof LineFull) return [...JSON_HEADERS, ["retry-after", String(error.retryAfterS)]];
  return error.status === 503 ? [...JSON_HEADERS, ["retry-after", "5"]] : JSON_HEADERS;
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

/** One request for an answer, from its body to its record. */
class Job {
  readonly #id: string;
  readonly #startMs: number;
  readonly #stop = new AbortController();
  #attempts = 0;

  constructor(
    private readonly request: HttpRequest,
    private readonly reply: Reply,
    private readonly shared: HeaderList,
    private readonly options: GatewayOptions,
  ) {
    this.#id = `req-${options.randomId()}`;
    this.#startMs = options.clock();
  }

  async run(): Promise<void> {
    const text = decoded(this.request.body);
    const body = readBody(text);
    const { routing, desks } = this.options;
    if (body.model.toLowerCase() === AUTO && CHOOSING.has(this.request.path)) {
      const picked = routing.pick(this.#id, body, this.request, (candidate) => canTake(desks.of(candidate)));
      if (picked === null) throw nobodyCan(desks.all());
      const order = picked.choice.order.flatMap((candidate) => desks.of(candidate) ?? []);
      return await this.#ask(order, text, body, picked.record);
    }
    if (desks.named(body.model).length === 0) await this.options.lookAgain();
    const named = desks.named(body.model);
    if (named.length === 0) throw unknownModel(body.model, listed(desks));
    await this.#ask(named, text, body, null);
  }

  /** One backend after the other until one answers, as long as there are attempts, budget and time. */
  async #ask(order: readonly Desk[], text: string, body: Routed, choice: RecentChoice | null): Promise<void> {
    const { options, reply } = this;
    const stop = () => this.#stop.abort(reply.gone.reason);
    reply.gone.addEventListener("abort", stop);
    const untilMs = this.#startMs + options.timeoutMs;
    const deadline = options.deadlines.add({
      atMs: untilMs,
      passed: () =>
        this.#stop.abort(
          new ApiError(504, `no answer within ${options.timeoutMs / 1000} s`, { code: "timeout" }),
        ),
    });
    options.retries.request();
    let failure: Failure | null = null;
    let last: Desk | null = null;
    try {
      for (const desk of order) {
        if (!desk.breaker.allows()) continue;
        if (failure !== null && !this.#mayRetry(untilMs)) break;
        last = desk;
        const attempt = await this.#attempt(desk, text, body, choice, untilMs);
        if (attempt.kind !== "failed") return this.#record(desk, body, choice, attempt, text);
        failure = attempt;
      }
      if (failure === null) throw nobodyCan(order);
      await this.#giveUp(failure, last, body, choice, text);
    } finally {
      options.deadlines.drop(deadline);
      reply.gone.removeEventListener("abort", stop);
    }
  }

  #mayRetry(untilMs: number): boolean {
    const { attempts, retries, clock, metrics } = this.options;
    if (this.#attempts >= attempts || clock() >= untilMs || !retries.retry()) return false;
    metrics.count("podium_retries_total");
    return true;
  }

  async #attempt(
    desk: Desk,
    text: string,
    body: Routed,
    choice: RecentChoice | null,
    untilMs: number,
  ): Promise<Attempt> {
    const { reply, options } = this;
    const { backend, breaker, line } = desk;
    this.#attempts++;
    let leave: (() => void) | null = null;
    let release: (() => void) | null = null;
    try {
      const turn = line.enter(this.#stop.signal);
      leave = turn instanceof Promise ? await turn : turn;
      breaker.started();
      const holding = backend.hold(this.#stop.signal);
      const held = holding instanceof Promise ? await holding : holding;
      release = held.release;
      desk.usedMs = options.clock();
      const { modelId } = held.place;
      const sent = {
        path: this.request.path.slice("/v1".length),
        body: modelId === body.model ? text : withField(text, "model", JSON.stringify(modelId)),
        stream: body.stream === true,
        untilMs,
        headers: [...this.#headers(desk, choice), ...this.shared],
      };
      const attempt = await relay(held.place, sent, reply, options);
      this.#judge(desk, choice, attempt);
      return attempt;
    } catch (error) {
      if (reply.gone.aborted) return { kind: "gone" };
      const failure = failureOf(error);
      this.#judge(desk, choice, failure);
      return failure;
    } finally {
      release?.();
      leave?.();
    }
  }

  /** What an attempt says about its backend: to the breaker, and to the router. */
  #judge({ backend, breaker }: Desk, choice: RecentChoice | null, attempt: Attempt): void {
    if (attempt.kind === "gone") return;
    const { slo, clock, routing } = this.options;
    if (attempt.kind === "refused") return breaker.succeeded();
    const fault = attempt.kind === "failed" ? attempt.error.message : attempt.fault;
    if (attempt.kind === "sent" && fault === null) breaker.succeeded();
    else if (attempt.kind === "sent" || attempt.counts) breaker.failed();
    if (choice === null || (attempt.kind === "failed" && !attempt.counts)) return;
    if (attempt.kind === "failed") {
      return routing.observe(choice, backend.candidate, false, attempt.error.message);
    }
    const { seen } = attempt;
    const inTime = within(seen.saidMs, this.#startMs, slo.ttft_s) &&
      within(clock(), this.#startMs, slo.e2e_s);
    const outcome = fault ??
      (seen.failed
        ? "it answered with an error"
        : seen.saidMs === null
        ? "empty answer"
        : inTime
        ? "answered"
        : "answered too late");
    routing.answered(choice, seen.id);
    routing.observe(choice, backend.candidate, outcome === "answered", outcome);
  }

  #headers({ backend }: Desk, choice: RecentChoice | null): HeaderList {
    const fellBack = this.#attempts > 1 ? "; the one before it failed" : "";
    return [
      ["x-podium-request", this.#id],
      ["x-podium-model", headerText(backend.id)],
      ["x-podium-intent", headerText(choice?.intent ?? "none")],
      ["x-podium-reason", headerText(`${choice?.reason ?? "named by the request"}${fellBack}`)],
    ];
  }

  /** Nobody answered: the last backend's own error where it is one in OpenAI's shape, else ours. */
  async #giveUp(
    failure: Failure,
    desk: Desk | null,
    body: Routed,
    choice: RecentChoice | null,
    text: string,
  ) {
    const { error, own } = failure;
    const headers = [...(desk === null ? [] : this.#headers(desk, choice)), ...this.shared];
    if (own === null) {
      await this.reply.whole(
        error.status,
        [...errorHeaders(error), ...headers],
        JSON.stringify(errorBody(error)),
      );
    } else await this.reply.whole(own.status, own.headers, own.body);
    this.#record(desk, body, choice, failure, text);
  }

  #record(
    desk: Desk | null,
    body: Routed,
    choice: RecentChoice | null,
    attempt: Attempt,
    text: string,
  ): void {
    const { metrics, clock, onRequest } = this.options;
    const model = desk?.backend.id ?? null;
    const seen = attempt.kind === "sent" ? attempt.seen : null;
    const status = statusOf(attempt);
    const saidMs = seen?.saidMs ?? null;
    const ttftMs = saidMs === null ? null : saidMs - this.#startMs;
    const [prompt, output] = [seen?.promptTokens ?? null, seen?.outputTokens ?? null];
    const labels = { model: model ?? "none" };
    metrics.count("podium_requests_total", { ...labels, status: String(status) });
    if (ttftMs !== null) metrics.ttft(labels.model, ttftMs / 1000);
    if (prompt !== null) metrics.count("podium_prompt_tokens_total", labels, prompt);
    if (output !== null) metrics.count("podium_output_tokens_total", labels, output);
    if (attempt.kind === "sent" && attempt.fault !== null) {
      metrics.count("podium_broken_streams_total", labels);
    }
    if (choice !== null) metrics.count("podium_choices_total", { intent: choice.intent, ...labels });
    onRequest({
      request: this.#id,
      path: this.request.path,
      asked: body.model,
      model,
      intent: choice?.intent ?? null,
      reason: choice?.reason ?? null,
      status,
      fault: attempt.kind === "failed"
        ? attempt.error.message
        : attempt.kind === "sent"
        ? attempt.fault
        : null,
      attempts: this.#attempts,
      ttftMs,
      totalMs: clock() - this.#startMs,
      promptTokens: prompt,
      outputTokens: output,
      body: text,
    });
  }
}

function statusOf(attempt: Attempt): number {
  switch (attempt.kind) {
    case "gone":
      return CLIENT_GONE;
    case "failed":
      return attempt.own?.status ?? attempt.error.status;
    default:
      return attempt.status;
  }
}

/** Before anything was sent: a full line, a model that can't be loaded, the deadline. */
function failureOf(error: unknown): Failure {
  if (!(error instanceof ApiError)) throw error;
  const counts = !(error instanceof LineFull) && error.code !== "no_memory";
  return { kind: "failed", error, own: null, counts };
}

const within = (atMs: number | null, fromMs: number, limitS: number | null) =>
  limitS === null || (atMs !== null && atMs - fromMs <= limitS * 1000);

const canTake = (desk: Desk | undefined) =>
  desk !== undefined && desk.breaker.allows() && desk.backend.standing().kind !== "down";

function nobodyCan(desks: readonly Desk[]): ApiError {
  const reasons = desks.slice(0, 5).map(({ backend, breaker }) => {
    const standing = backend.standing();
    if (standing.kind === "down") return `${backend.id}: ${standing.reason}`;
    return `${backend.id}: ${breaker.allows() ? "it can't be chosen" : "it failed too often just now"}`;
  });
  return new ApiError(
    503,
    `no model can answer now (${reasons.join("; ") || "none is served"}): try again later`,
    {
      code: "model_unavailable",
    },
  );
}

const decoder = new TextDecoder();
const decoded = (bytes: Uint8Array) => decoder.decode(bytes);

/** By hand, since a schema takes longer to look at two fields than all the rest of the way takes. */
function readBody(text: string): Routed {
  const body = parsedBody(text);
  if (typeof body !== "object" || body === null || !("model" in body) || !isName(body.model)) {
    throw new ApiError(400, "'model' must name the model that is to answer", { param: "model" });
  }
  const stream = "stream" in body ? body.stream : null;
  if (stream !== null && typeof stream !== "boolean") {
    throw new ApiError(400, "'stream' is true or false", { param: "stream" });
  }
  return { ...body, model: body.model, stream };
}

const isName = (value: unknown): value is string => typeof value === "string" && value !== "";

function parsedBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, "the request body is not JSON");
  }
}

function takeFeedback(request: HttpRequest, { routing }: GatewayOptions) {
  const result = feedback.safeParse(parsedBody(decoded(request.body)));
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

const listed = (desks: Desks) => [...desks.all().map(({ backend }) => backend.id), AUTO];

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

/** Printable ASCII: what a header may hold everywhere. */
const headerText = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
