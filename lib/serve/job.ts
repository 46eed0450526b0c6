/** One request for an answer: who is asked, in which order, what the client gets, and what is learned from it. */
import { ApiError, errorBody } from "../openai/api_error.ts";
import { unknownModel } from "./backends.ts";
import type { Desk, Desks } from "./desks.ts";
import type { GatewayOptions } from "./gateway.ts";
import { Stop } from "../openai/stop.ts";
import type { Deadline } from "./deadlines.ts";
import { type HeaderList, type HttpRequest, JSON_HEADERS, type Reply } from "../openai/http_server.ts";
import { withField } from "./json_field.ts";
import { LineFull } from "./line.ts";
import { type Attempt, type Failure, relay } from "./relay.ts";
import type { RecentChoice, RoutedBody } from "./routing.ts";

/** Only what routing needs; the rest passes through untouched. */
interface Routed {
  readonly model: string;
  readonly stream: boolean | null;
  readonly fields: RoutedBody;
}

/** `auto` chooses among chat models. */
const CHOOSING = new Set(["/v1/chat/completions", "/v1/completions"]);
export const AUTO = "auto";
const CLIENT_GONE = 499;

/** One request for an answer, from its body to its record. */
export class Job {
  readonly #id: string;
  readonly #startMs: number;
  /** The deadline: heard where one waits for a turn, or for a model to be loaded. */
  readonly #stop = new Stop();
  #deadline: Deadline | null = null;
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
    const body = readBody(this.request.text);
    const { routing, desks } = this.options;
    if (body.model.toLowerCase() === AUTO && CHOOSING.has(this.request.path)) {
      const picked = routing.pick(
        this.#id,
        body.fields,
        this.request,
        (candidate) => canTake(desks.of(candidate)),
      );
      if (picked === null) throw nobodyCan(desks.all());
      const order = picked.choice.order.flatMap((candidate) => desks.of(candidate) ?? []);
      return await this.#ask(order, body, picked.record);
    }
    if (desks.named(body.model).length === 0) await this.options.lookAgain();
    const named = desks.named(body.model);
    if (named.length === 0) throw unknownModel(body.model, listed(desks));
    await this.#ask(named, body, null);
  }

  /** One backend after the other until one answers, as long as there are attempts, budget and time. */
  async #ask(order: readonly Desk[], body: Routed, choice: RecentChoice | null): Promise<void> {
    const { options } = this;
    const untilMs = this.#startMs + options.timeoutMs;
    let failure: Failure | null = null;
    let last: Desk | null = null;
    try {
      for (const desk of order) {
        if (!desk.breaker.allows()) continue;
        if (failure !== null && !this.#mayRetry(untilMs)) break;
        last = desk;
        const attempting = this.#attempt(desk, body, choice, untilMs);
        this.#watch(untilMs); // first the request goes on its way
        const attempt = await attempting;
        if (attempt.kind !== "failed") return this.#record(desk, body, choice, attempt);
        failure = attempt;
      }
      if (failure === null) throw nobodyCan(order);
      await this.#giveUp(failure, last, body, choice);
    } finally {
      if (this.#deadline !== null) options.deadlines.drop(this.#deadline);
    }
  }

  #watch(untilMs: number): void {
    if (this.#deadline !== null) return;
    const { deadlines, retries, timeoutMs } = this.options;
    retries.request();
    const late = () => new ApiError(504, `no answer within ${timeoutMs / 1000} s`, { code: "timeout" });
    this.#deadline = deadlines.add({ atMs: untilMs, passed: () => this.#stop.now(late()) });
  }

  #mayRetry(untilMs: number): boolean {
    const { attempts, retries, clock, metrics } = this.options;
    if (this.#attempts >= attempts || clock() >= untilMs || !retries.retry()) return false;
    metrics.count("podium_retries_total");
    return true;
  }

  async #attempt(
    desk: Desk,
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
      reply.gone.onStop = (reason) => this.#stop.now(reason);
      const turn = line.enter(this.#stop);
      leave = turn instanceof Promise ? await turn : turn;
      breaker.started();
      const holding = backend.hold(this.#stop);
      const held = holding instanceof Promise ? await holding : holding;
      release = held.release;
      desk.usedMs = options.clock();
      const { modelId } = held.place;
      const sent = {
        path: this.request.path.slice("/v1".length),
        body: modelId === body.model
          ? this.request.body
          : withField(this.request.text, "model", JSON.stringify(modelId)),
        stream: body.stream === true,
        untilMs,
        headers: () => [...this.#headers(desk, choice), ...this.shared],
      };
      const attempt = await relay(held.place, sent, reply, options);
      this.#judge(desk, choice, attempt);
      return attempt;
    } catch (error) {
      if (reply.gone.stopped) return { kind: "gone" };
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
    this.#record(desk, body, choice, failure);
  }

  #record(
    desk: Desk | null,
    body: Routed,
    choice: RecentChoice | null,
    attempt: Attempt,
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
      body: this.request.text,
    });
  }
}

/**
 * The headers of an error: where waiting helps, for how long.
 *
 * ```ts
 * import { ApiError } from "../openai/api_error.ts";
 * const headers = errorHeaders(new ApiError(503, "not now"));
 * if (!headers.some(([name]) => name === "retry-after")) throw new Error("try again");
 * ```
 */
export function errorHeaders(error: ApiError): HeaderList {
  if (error instanceof LineFull) return [...JSON_HEADERS, ["retry-after", String(error.retryAfterS)]];
  return error.status === 503 ? [...JSON_HEADERS, ["retry-after", "5"]] : JSON_HEADERS;
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

/** By hand, since a schema takes longer to look at two fields than all the rest of the way takes. */
function readBody(text: string): Routed {
  const fields = parsedBody(text);
  if (!isObject(fields) || typeof fields.model !== "string" || fields.model === "") {
    throw new ApiError(400, "'model' must name the model that is to answer", { param: "model" });
  }
  const { model, stream = null } = fields;
  if (stream !== null && typeof stream !== "boolean") {
    throw new ApiError(400, "'stream' is true or false", { param: "stream" });
  }
  return { model, stream, fields };
}

interface Fields extends RoutedBody {
  readonly model?: unknown;
  readonly stream?: unknown;
}

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;

/**
 * A request's body as a value.
 *
 * @throws {ApiError} 400 where it is not JSON
 *
 * ```ts
 * if (parsedBody("[1]") === null) throw new Error("an array");
 * ```
 */
export function parsedBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, "the request body is not JSON");
  }
}

/** Every name that a request may use first. */
export const listed = (desks: Desks) => [...desks.all().map(({ backend }) => backend.id), AUTO];

/** Printable ASCII: what a header may hold everywhere. */
const headerText = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
