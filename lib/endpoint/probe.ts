/** Finds out, with small requests, which requests an endpoint takes for a model. */
import type { ProtocolOptions, RefusableField, ThinkingField } from "./generation_request.ts";
import type { Sleep } from "../clock.ts";
import { type RequestOptions, timedRequest } from "./timed_request.ts";
import { outputTokens } from "./tokens.ts";
import type { Endpoint, GenerationRequest, Trace } from "./trace.ts";

/** The options of `timedRequest` that the endpoint accepts, and what it sends back. */
interface Abilities extends Required<ProtocolOptions> {
  /** False where it never streams: then there is no time to first token. */
  readonly stream: boolean;
  /** Why system messages are folded into the user message; null where the endpoint takes them. */
  readonly systemMessage: "refused" | "dropped" | null;
  /** The source of token counts; only `usage` is not an estimate. */
  readonly tokenSource: "usage" | "chunks" | "chars/4";
  /** Whether it sends reasoning, apart from the answer or in it. */
  readonly reasoning: boolean;
}

/** The result of a probe. */
type Probe =
  | {
    readonly ok: true;
    readonly abilities: Abilities;
    readonly trace: Trace;
    /** The differences from a fully able endpoint, one sentence per entry. */
    readonly notes: readonly string[];
    /** The endpoint's reason for refusing what is left out. */
    readonly refusals: ReadonlyMap<RefusableField, string>;
    /** How long the endpoint answered 503, in ms; null where it never did. */
    readonly loadingMs: number | null;
  }
  | { readonly ok: false; readonly reason: string; readonly trace: Trace };

/** The settings that the probe's request shares with the plan's. */
export type ProbeSettings = Partial<
  Pick<
    GenerationRequest,
    "temperature" | "seed" | "stop" | "fixedOutput" | "responseFormat" | "tools" | "toolChoice" | "thinking"
  >
>;

interface ProbeTools extends Pick<RequestOptions, "clock" | "post" | "timeoutMs" | "signal"> {
  /** The plan's settings: what the endpoint refuses, it refuses here. @default temperature 0 */
  readonly settings?: ProbeSettings;
  /** Waits between two requests to an endpoint that loads its model. */
  readonly sleep: Sleep;
}

/** The variations of a request, tried until the endpoint accepts it. */
type Manner = Required<ProtocolOptions>;

/** A system message with more words than any user message of the probe has tokens. */
const SYSTEM_MESSAGE =
  "You are a helpful assistant. Answer in one short sentence, in plain words. Do not repeat the " +
  "question, do not write a list, do not use headings, and do not explain how you found the answer. Where something " +
  "is unclear, take the most likely meaning. Write numbers as words, dates in full, and names as they are given. Do " +
  "not greet, do not apologise, and do not offer more help at the end.";
const SYSTEM_WORDS = SYSTEM_MESSAGE.split(" ").length;

/** Between two requests to an endpoint that loads its model, in ms. */
const LOADING_PAUSE_MS = 250;

/**
 * Requests a few tokens with the plan's settings, and returns what the endpoint takes: the route
 * (chat, otherwise completions), streams, usage, system messages, each field. It costs one request
 * where the endpoint takes everything; each refusal (HTTP 400, 404, 405, 415, 422, 501) costs one
 * more. What is refused is left out once, and returned. An endpoint that answers 503, because it loads
 * its model, is retried until `timeoutMs`.
 *
 * @throws the signal's reason, when `signal` is aborted
 *
 * ```ts
 * import { postOverFetch } from "./timed_client.ts";
 * const answer = 'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
 * const clock = () => 0;
 * const post = postOverFetch({ clock, fetch: () => Promise.resolve(new Response(answer)) });
 * const endpoint = { name: "stub", baseUrl: "http://127.0.0.1:5273/v1" };
 * const sleep = () => Promise.resolve();
 * const found = await probe(endpoint, "m", { clock, sleep, post, timeoutMs: 1000 });
 * if (!found.ok || found.abilities.tokenSource === "usage") throw new Error("it streams, without usage");
 * ```
 */
export async function probe(endpoint: Endpoint, model: string, tools: ProbeTools): Promise<Probe> {
  const { settings = {}, ...options } = tools;
  const request: GenerationRequest = {
    temperature: 0,
    ...settings,
    model,
    messages: [
      { role: "system", content: SYSTEM_MESSAGE },
      { role: "user", content: "Count from one to five in words." },
    ],
    maxTokens: 16,
  };
  const prober = new Prober(endpoint, request, options);
  for (const route of ["chat", "completions"] as const) {
    const tried = await prober.tryRoute(route);
    if (tried.kind === "taken") return await prober.describe(tried.manner, tried.trace);
    if (tried.kind === "failed") break;
  }
  // Every manner was refused: the answer to the plainest request explains it best.
  const { first } = prober;
  if (first === null) throw new Error("a probe sends at least one request");
  return { ok: false, reason: first.reason ?? "no answer", trace: first };
}

/** The result of trying a manner, after everything that the endpoint named was left out. */
type Tried =
  | { readonly kind: "taken"; readonly manner: Manner; readonly trace: Trace }
  | { readonly kind: "refused"; readonly manner: Manner }
  | { readonly kind: "no such route" | "failed" };

class Prober {
  /** The first trace that was not an answer. */
  first: Trace | null = null;
  readonly #refusals = new Map<RefusableField, string>();
  #loading: { readonly sinceMs: number; untilMs: number } | null = null;

  constructor(
    readonly endpoint: Endpoint,
    readonly request: GenerationRequest,
    readonly options: Omit<ProbeTools, "settings">,
  ) {}

  async tryRoute(route: Manner["route"]): Promise<Tried> {
    const [thinkingField] = THINKING_FIELDS;
    const plain = { route, stream: true, streamUsage: true, foldSystem: false, leaveOut: [], thinkingField };
    let tried = await this.#try(plain);
    if (tried.kind !== "refused") return tried;
    for (const guess of guesses(tried.manner, this.request)) {
      tried = await this.#try(guess);
      if (tried.kind !== "refused") return tried;
    }
    return tried;
  }

  /** Sends the request, again and again without what the endpoint names, until it names nothing more. */
  async #try(manner: Manner): Promise<Tried> {
    const trace = await this.#send(manner);
    if (answered(trace)) return { kind: "taken", manner, trace };
    this.first ??= trace;
    if (!isRefusal(trace)) return { kind: "failed" };
    if (trace.httpStatus === 404 || trace.httpStatus === 405) return { kind: "no such route" };
    const reason = trace.reason ?? "";
    const next = withoutNamed(manner, this.request, reason);
    const field = next?.leaveOut.find((one) => !manner.leaveOut.includes(one));
    if (field !== undefined) this.#refusals.set(field, reason);
    return next === null ? { kind: "refused", manner } : await this.#try(next);
  }

  async describe(found: Manner, answer: Trace): Promise<Probe> {
    let [manner, trace] = [found, answer];
    let systemMessage: Abilities["systemMessage"] = found.foldSystem ? "refused" : null;
    if (found.route === "chat" && systemMessage === null && lacksSystem(answer)) {
      // Some endpoints count tokens in their own way: only a count that grows proves that
      // the message was dropped.
      const folded = { ...found, foldSystem: true };
      const again = await this.#send(folded);
      if (answered(again) && !lacksSystem(again)) [manner, trace, systemMessage] = [folded, again, "dropped"];
    }
    if (this.request.thinking !== undefined && !this.#thinksAsAsked(trace)) {
      const other = await this.#otherThinking(manner);
      if (other !== null) [manner, trace] = [other.manner, other.trace];
      else if (isOff(this.request)) {
        return { ok: false, reason: "unsupported: it reasons although thinking is off", trace };
      }
    }
    const stream = manner.stream && (trace.streamed || trace.chunks.length === 0);
    const { source: tokenSource } = outputTokens(trace);
    const reasoning = trace.reasoning !== "";
    const refusals = this.#refusals;
    const abilities = { ...manner, stream, systemMessage, tokenSource, reasoning };
    const loading = this.#loading;
    const loadingMs = loading === null ? null : loading.untilMs - loading.sinceMs;
    const unseen = this.request.thinking !== undefined && !this.#thinksAsAsked(trace)
      ? ["thinking is on, and the answer to the probe held no reasoning"]
      : [];
    return {
      ok: true,
      trace,
      loadingMs,
      abilities,
      refusals,
      notes: [...notesOn(abilities, trace), ...unseen],
    };
  }

  #thinksAsAsked = (trace: Trace) => (trace.reasoning !== "") !== isOff(this.request);

  /** The first of the other fields for reasoning that has the effect; null where none has. */
  async #otherThinking(manner: Manner): Promise<{ manner: Manner; trace: Trace } | null> {
    for (const thinkingField of THINKING_FIELDS.slice(THINKING_FIELDS.indexOf(manner.thinkingField) + 1)) {
      const other = { ...manner, thinkingField };
      const trace = await this.#send(other);
      if (answered(trace) && this.#thinksAsAsked(trace)) return { manner: other, trace };
    }
    return null;
  }

  /** Sends the request; again while the endpoint answers 503, which is not a measured request. */
  async #send(manner: Manner): Promise<Trace> {
    const { clock, sleep, timeoutMs, signal } = this.options;
    const deadlineMs = clock() + timeoutMs;
    for (;;) {
      const trace = await timedRequest(this.endpoint, this.request, { ...this.options, ...manner });
      if (trace.httpStatus !== 503 || clock() + LOADING_PAUSE_MS >= deadlineMs) {
        if (this.#loading?.untilMs === Infinity) this.#loading.untilMs = trace.sentMs;
        return trace;
      }
      this.#loading ??= { sinceMs: trace.sentMs, untilMs: Infinity };
      await sleep(LOADING_PAUSE_MS, signal);
    }
  }
}

/** An empty answer is an answer to a probe: the endpoint works, the model wrote nothing. */
const answered = (trace: Trace) =>
  trace.status === "ok" || (trace.httpStatus === 200 && trace.reason === "empty answer");

/** The endpoint understood the request, and does not take something in it. */
const isRefusal = ({ httpStatus, reason }: Trace) =>
  [400, 404, 405, 415, 422, 501].includes(httpStatus ?? 0) ||
  httpStatus === 500 && NAMES_SYSTEM.test(reason ?? ""); // sglang

/** Templates of Mistral and Gemma complain about roles that do not alternate. */
const NAMES_SYSTEM =
  /\bsystem\b.{0,40}\b(?:role|message|prompt)|\b(?:role|message)s?\b.{0,40}\bsystem\b|roles must alternate/i;

/** The fields for reasoning, in the order in which they are tried. */
const THINKING_FIELDS = [
  "chat_template_kwargs",
  "reasoning_effort",
  "enable_thinking",
] as const satisfies readonly ThinkingField[];

const isOff = ({ thinking }: GenerationRequest) => thinking === "off" || thinking === 0;

/** Fields, the words by which messages name them, and whether a request has them. */
const FIELDS: readonly [RefusableField, RegExp, (request: GenerationRequest) => boolean][] = [
  ["temperature", /temperature/i, () => true],
  ["seed", /\bseed\b/i, ({ seed }) => seed !== undefined],
  ["stop", /\bstop\b/i, ({ stop }) => stop !== undefined],
  ["ignore_eos", /ignore_eos|min_tokens/i, ({ fixedOutput }) => fixedOutput === true],
  [
    "response_format",
    /response_format|json_schema|structured|guided|grammar/i,
    ({ responseFormat }) => responseFormat !== undefined,
  ],
  ["tool_choice", /tool_choice/i, ({ toolChoice }) => toolChoice !== undefined],
  ["tools", /\btools?\b|\bfunction.?call/i, ({ tools }) => tools !== undefined],
  [
    "max_tokens",
    /max_completion_tokens|\b(?:unsupported|unrecognized|unknown|extra|not permitted)\b.{0,80}\bmax_tokens/i,
    () => true,
  ],
];

/** The manner without what the endpoint's message names; null where it names nothing that is still there. */
function withoutNamed(manner: Manner, request: GenerationRequest, reason: string): Manner | null {
  if (manner.streamUsage && /stream_options|include_usage/i.test(reason)) {
    return { ...manner, streamUsage: false };
  }
  if (manner.route === "chat" && !manner.foldSystem && NAMES_SYSTEM.test(reason)) {
    return { ...manner, foldSystem: true };
  }
  const otherThinking = nextThinking(manner);
  if (request.thinking !== undefined && NAMES_THINKING.test(reason) && otherThinking !== null) {
    return otherThinking;
  }
  for (const [field, names, has] of FIELDS) {
    if (names.test(reason) && has(request) && !manner.leaveOut.includes(field)) {
      return { ...manner, leaveOut: [...manner.leaveOut, field] };
    }
  }
  return manner.stream && /\bstream/i.test(reason) ? { ...manner, stream: false, streamUsage: false } : null;
}

const NAMES_THINKING = /chat_template_kwargs|reasoning|thinking/i;

function nextThinking(manner: Manner): Manner | null {
  const thinkingField = THINKING_FIELDS[THINKING_FIELDS.indexOf(manner.thinkingField) + 1];
  return thinkingField === undefined ? null : { ...manner, thinkingField };
}

/** The variations to try, one at a time, where the endpoint does not say what it refuses. */
function guesses(manner: Manner, { thinking }: GenerationRequest): Manner[] {
  const otherThinking = thinking === undefined ? null : nextThinking(manner);
  return [
    ...(otherThinking === null ? [] : [otherThinking]),
    ...(manner.streamUsage ? [{ ...manner, streamUsage: false }] : []),
    ...(manner.stream ? [{ ...manner, stream: false, streamUsage: false }] : []),
    ...(manner.route === "chat" && !manner.foldSystem ? [{ ...manner, foldSystem: true }] : []),
    ...(manner.leaveOut.includes("temperature")
      ? []
      : [{ ...manner, leaveOut: [...manner.leaveOut, "temperature" as const] }]),
  ];
}

/** Fewer prompt tokens than the system message has words: the model did not receive it. */
const lacksSystem = ({ usage }: Trace) =>
  usage !== null && usage.promptTokens > 0 && usage.promptTokens < SYSTEM_WORDS;

function notesOn(abilities: Abilities, trace: Trace): string[] {
  const { route, stream, streamUsage, systemMessage, leaveOut, tokenSource } = abilities;
  return [
    ...(route === "completions" ? ["it has no chat route: prompts go to /completions"] : []),
    ...(stream ? [] : ["it does not stream: there is no time to first token, and there are no gaps"]),
    ...(stream && !streamUsage ? ["it refuses stream_options"] : []),
    ...(systemMessage === null ? [] : [
      `it ${
        systemMessage === "refused" ? "refuses system messages" : "drops system messages without an error"
      }: their text opens the user message`,
    ]),
    ...leaveOut.map((field) =>
      field === "max_tokens"
        ? "it refuses max_tokens: max_completion_tokens is sent"
        : `it refuses ${field}: the field is left out`
    ),
    ...(tokenSource === "usage"
      ? []
      : [`it reports no usage: token counts are estimated from ${tokenSource}`]),
    ...(trace.chunks.length === 0 ? ["the answer to the probe was empty"] : []),
  ];
}
