/**
 * Answers one request: which models are tried and in which order, what the client gets,
 * and what the router learns.
 */
import { isObject, stringEnd } from "../bounded_json.ts";
import { ApiError, errorResponse } from "../openai/api_error.ts";
import { QueueFull } from "../openai/queue.ts";
import { type IncomingRequest, parsedJson, type StreamedAnswer } from "../openai/server.ts";
import type { GatewayMetrics } from "./gateway_metrics.ts";
import { type Attempt, type Ended, type Failure, relay, type RelayTools } from "./relay.ts";
import type { RecentChoice, RoutedBody, Routing } from "./routing.ts";
import { AUTO, type GatewayModels, type QueuedModel, unknownModel } from "./served_models.ts";

/** What answering needs from its caller. */
export interface AnsweringOptions extends RelayTools {
  readonly models: GatewayModels;
  readonly routing: Routing;
  readonly metrics: GatewayMetrics;
  readonly retries: RetryBudget;
  /** Models that one request may try. */
  readonly attempts: number;
  /** Longest time for one request, waiting and loading included, in milliseconds. */
  readonly timeoutMs: number;
  /** An answer of `auto` counts as a success only within these limits; null: no limit. */
  readonly slo: { readonly ttft_s: number | null; readonly e2e_s: number | null };
  /** Reads the services' lists again, for a name that is unknown. Cheap when called often. */
  readonly refresh: () => Promise<void>;
  /** Gets one record per request. */
  readonly onRequest: (record: ServedRequest) => void;
  readonly randomId: () => string;
}

/** The log line of a request, without its text. */
export interface ServedRequest {
  readonly request: string;
  readonly path: string;
  /** The model that the client named. */
  readonly asked: string;
  /** The model that answered; null where none did. */
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

/**
 * Limits retries: many of them at once would overload a failing service. Every request fills the bucket a
 * little and every retry takes one token (as in Finagle's RetryBudget): `ratio` retries per request in the
 * long run, and `reserve` of them at once.
 *
 * ```ts
 * const budget = new RetryBudget(0.5, 1);
 * budget.request();
 * if (!budget.retry() || budget.retry()) throw new Error("one in reserve; half a request does not pay for another");
 * ```
 */
export class RetryBudget {
  #tokens: number;

  constructor(private readonly ratio: number, private readonly reserve: number) {
    this.#tokens = reserve;
  }

  request(): void {
    this.#tokens = Math.min(this.reserve, this.#tokens + this.ratio);
  }

  /** Takes a token if there is one. */
  retry(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

/** `auto` chooses among chat models. */
const CHOOSING = new Set(["/v1/chat/completions", "/v1/completions"]);
const CLIENT_GONE = 499;

/**
 * Answers one request with one model after the other, until one answers, as long as there
 * are attempts, budget and time.
 *
 * @param text the request's body
 * @throws {ApiError} 400 or 404 where no model can answer
 *
 * ```ts ignore
 * const response = await answerWithFallback(request, await bodyText(request, limits), options);
 * ```
 */
export async function answerWithFallback(
  request: IncomingRequest,
  text: string,
  options: AnsweringOptions,
): Promise<Response | StreamedAnswer> {
  const { models, routing } = options;
  const { path } = request;
  const body = readBody(text);
  const answering = new Answering(request, path, { text, ...body }, options);
  if (body.model.toLowerCase() === AUTO && CHOOSING.has(path)) {
    const available = (candidate: string) => canTake(models.of(candidate));
    const picked = routing.pick(answering.id, body.fields, request.headers, available);
    if (picked === null) throw noneAvailable(models.all());
    return await answering.run(
      picked.order.flatMap((candidate) => models.of(candidate) ?? []),
      picked.record,
    );
  }
  if (models.named(body.model).length === 0) await options.refresh();
  const named = models.named(body.model);
  if (named.length === 0) throw unknownModel(body.model, models);
  return await answering.run(named, null);
}

/** The part of a request that matters here; everything else passes through untouched. */
interface RequestBody {
  readonly text: string;
  readonly model: string;
  readonly stream: boolean;
  readonly fields: RoutedBody;
}

class Answering {
  readonly id: string;
  readonly #startMs: number;
  /** Aborted at the deadline with an `ApiError`, with another reason when the client goes away. */
  readonly #stop = new AbortController();
  #attempts = 0;
  #model: QueuedModel | null = null;

  constructor(
    private readonly request: IncomingRequest,
    private readonly path: string,
    private readonly body: RequestBody,
    private readonly options: AnsweringOptions,
  ) {
    this.id = `req-${options.randomId()}`;
    this.#startMs = options.clock();
  }

  async run(order: readonly QueuedModel[], choice: RecentChoice | null): Promise<Response | StreamedAnswer> {
    const { signal } = this.request;
    const onGone = () => this.#stop.abort(signal.reason);
    signal.addEventListener("abort", onGone, { once: true });
    const timer = setTimeout(() => this.#stop.abort(this.#late()), this.options.timeoutMs);
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onGone);
    };
    this.options.retries.request();
    try {
      const attempt = await this.#firstAnswer(order, choice);
      if (attempt.kind === "answered") {
        void attempt.ended.then((ended) => {
          over();
          this.#record(choice, ended);
        });
        return attempt.response;
      }
      over();
      this.#record(choice, attempt);
      if (attempt.kind === "gone") return new Response(null, { status: CLIENT_GONE });
      const headers = this.#model === null ? {} : this.#headers(this.#model, choice);
      return attempt.own ?? errorResponse(attempt.error, { ...retryAfter(attempt.error), ...headers });
    } catch (error) {
      over();
      throw error;
    }
  }

  async #firstAnswer(order: readonly QueuedModel[], choice: RecentChoice | null): Promise<Attempt> {
    let failure: Failure | null = null;
    for (const queued of order) {
      if (!queued.breaker.allows()) continue;
      if (failure !== null && !this.#mayRetry()) break;
      this.#model = queued;
      const attempt = await this.#attempt(queued, choice);
      if (attempt.kind !== "failed") return attempt;
      failure = attempt;
    }
    if (failure === null) throw noneAvailable(order);
    return failure;
  }

  #late(): ApiError {
    return new ApiError(504, `no answer within ${this.options.timeoutMs / 1000} s`, { code: "timeout" });
  }

  #mayRetry(): boolean {
    const { attempts, retries, metrics } = this.options;
    if (this.#attempts >= attempts || this.#stop.signal.aborted || !retries.retry()) return false;
    metrics.count("podium_retries_total");
    return true;
  }

  async #attempt(queued: QueuedModel, choice: RecentChoice | null): Promise<Attempt> {
    const { options, body } = this;
    const { signal } = this.#stop;
    this.#attempts++;
    const cleanUp: (() => void)[] = [];
    const end = (how: Ended | Failure) => {
      this.#report(queued, choice, how);
      for (const one of cleanUp.toReversed()) one();
    };
    try {
      cleanUp.push(await queued.queue.enter(signal));
      queued.breaker.started();
      const lease = await queued.model.lease(signal);
      cleanUp.push(() => lease.release());
      queued.usedMs = options.clock();
      const { modelId } = lease.endpoint;
      const forwarded = {
        path: this.path.slice("/v1".length),
        body: modelId === body.model ? body.text : withField(body.text, "model", JSON.stringify(modelId)),
        stream: body.stream,
        headers: () => this.#headers(queued, choice),
      };
      const attempt = await relay(lease.endpoint, forwarded, signal, options);
      if (attempt.kind === "answered") void attempt.ended.then(end);
      else end(attempt);
      return attempt;
    } catch (error) {
      const attempt = failureOf(error, signal);
      end(attempt);
      return attempt;
    }
  }

  /** Reports the outcome of an attempt to its model's breaker and to the router. */
  #report({ model, breaker }: QueuedModel, choice: RecentChoice | null, how: Ended | Failure): void {
    const { slo, clock, routing } = this.options;
    if (how.kind === "gone") return;
    if (how.kind === "refused") return breaker.succeeded();
    if (how.kind === "failed") {
      if (!how.counts) return;
      breaker.failed();
      if (choice !== null) routing.observe(choice, model.candidate, false, how.error.message);
      return;
    }
    const { seen, fault } = how;
    if (fault === null && seen.error === null) breaker.succeeded();
    else breaker.failed();
    if (choice === null) return;
    const inTime = within(seen.saidMs, this.#startMs, slo.ttft_s) &&
      within(clock(), this.#startMs, slo.e2e_s);
    const trouble = seen.error !== null
      ? "it answered with an error"
      : seen.saidMs === null
      ? "empty answer"
      : inTime
      ? null
      : "answered too late";
    const outcome = fault ?? trouble ?? "answered";
    routing.answered(choice, seen.id);
    routing.observe(choice, model.candidate, outcome === "answered", outcome);
  }

  #headers({ model }: QueuedModel, choice: RecentChoice | null): Record<string, string> {
    const fellBack = this.#attempts > 1 ? "; the one before it failed" : "";
    return {
      "x-podium-request": this.id,
      "x-podium-model": headerText(model.id),
      "x-podium-intent": headerText(choice?.intent ?? "none"),
      "x-podium-reason": headerText(`${choice?.reason ?? "named by the request"}${fellBack}`),
    };
  }

  #record(choice: RecentChoice | null, how: Ended | Failure): void {
    const { metrics, clock, onRequest } = this.options;
    const model = this.#model?.model.id ?? null;
    const seen = how.kind === "sent" ? how.seen : null;
    const fault = how.kind === "failed" ? how.error.message : how.kind === "sent" ? how.fault : null;
    const status = statusOf(how);
    const ttftMs = seen === null || seen.saidMs === null ? null : seen.saidMs - this.#startMs;
    const [prompt, output] = [seen?.promptTokens ?? null, seen?.outputTokens ?? null];
    const labels = { model: model ?? "none" };
    metrics.count("podium_requests_total", { ...labels, status: String(status) });
    if (ttftMs !== null) metrics.ttft(labels.model, ttftMs / 1000);
    if (prompt !== null) metrics.count("podium_prompt_tokens_total", labels, prompt);
    if (output !== null) metrics.count("podium_output_tokens_total", labels, output);
    if (how.kind === "sent" && fault !== null) metrics.count("podium_broken_streams_total", labels);
    if (choice !== null) metrics.count("podium_choices_total", { intent: choice.intent, ...labels });
    onRequest({
      request: this.id,
      path: this.path,
      asked: this.body.model,
      model,
      intent: choice?.intent ?? null,
      reason: choice?.reason ?? null,
      status,
      fault,
      attempts: this.#attempts,
      ttftMs,
      totalMs: clock() - this.#startMs,
      promptTokens: prompt,
      outputTokens: output,
      body: this.body.text,
    });
  }
}

const retryAfter = (error: ApiError): Record<string, string> =>
  error instanceof QueueFull ? { "retry-after": String(error.retryAfterS) } : {};

function statusOf(how: Ended | Failure): number {
  switch (how.kind) {
    case "gone":
      return CLIENT_GONE;
    case "failed":
      return how.own?.status ?? how.error.status;
    default:
      return how.status;
  }
}

/** Before anything was sent: a full queue, a model that can't be loaded, the deadline, a client that went away. */
function failureOf(error: unknown, stop: AbortSignal): Failure | { readonly kind: "gone" } {
  if (error instanceof ApiError) {
    const counts = !(error instanceof QueueFull) && error.code !== "no_memory" && error.code !== "timeout";
    return { kind: "failed", error, own: null, counts };
  }
  if (stop.aborted) return { kind: "gone" };
  throw error;
}

const within = (atMs: number | null, fromMs: number, limitS: number | null) =>
  limitS === null || (atMs !== null && atMs - fromMs <= limitS * 1000);

const canTake = (queued: QueuedModel | undefined) =>
  queued !== undefined && queued.breaker.allows() && queued.model.availability().kind !== "down";

function noneAvailable(models: readonly QueuedModel[]): ApiError {
  const reasons = models.slice(0, 5).map(({ model, breaker }) => {
    const available = model.availability();
    if (available.kind === "down") return `${model.id}: ${available.reason}`;
    return `${model.id}: ${breaker.allows() ? "it can't be chosen" : "it failed too often just now"}`;
  });
  const message = `no model can answer now (${reasons.join("; ") || "none is served"}): try again later`;
  return new ApiError(503, message, { code: "model_unavailable" });
}

/** Checked by hand: a schema takes longer for two fields than the rest of the gateway's work. */
function readBody(text: string): Omit<RequestBody, "text"> {
  const fields = parsedJson(text);
  if (!isObject(fields) || typeof fields.model !== "string" || fields.model === "") {
    throw new ApiError(400, "'model' must name the model that is to answer", { param: "model" });
  }
  const { model, stream = null } = fields;
  if (stream !== null && typeof stream !== "boolean") {
    throw new ApiError(400, "'stream' is true or false", { param: "stream" });
  }
  return { model, stream: stream === true, fields };
}

/** Printable ASCII, which every header may hold. */
const headerText = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);

/**
 * The text with another value for a string field of its outermost object. Parsing and writing it again would
 * round long numbers and drop what JavaScript doesn't keep.
 *
 * @param value as JSON
 *
 * ```ts
 * const text = withField('{"seed": 12345678901234567890, "model": "auto"}', "model", '"small"');
 * if (text !== '{"seed": 12345678901234567890, "model": "small"}') throw new Error(text);
 * ```
 */
export function withField(text: string, name: string, value: string): string {
  const key = JSON.stringify(name);
  const parts: string[] = [];
  const colon = /\s*:\s*/y;
  let [depth, from] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (char === '"') {
      const end = stringEnd(text, at);
      at = end - 1;
      if (depth !== 1 || text.slice(end - key.length, end) !== key) continue;
      colon.lastIndex = end;
      if (!colon.test(text) || text[colon.lastIndex] !== '"') continue;
      parts.push(text.slice(from, colon.lastIndex), value);
      from = stringEnd(text, colon.lastIndex);
      at = from - 1;
    }
  }
  return parts.join("") + text.slice(from);
}
