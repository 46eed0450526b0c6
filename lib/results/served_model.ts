/** A model that is loaded and answers: what `serve` returns. */
import type { OpenCandidate } from "../bench/live_candidate.ts";
import { withColdPrefix } from "../bench/plan.ts";
import { toRequestRecord } from "../bench/record_request.ts";
import type { CandidateInfo, PrefixKind } from "../bench/records.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { type TimedRequest, TimedRequests } from "./timed_requests.ts";
import { Result, TextView, type View } from "./view.ts";

/** Settings of a single timed request. */
export interface AskOptions {
  /** Longest answer in tokens. @default 128 */
  readonly maxTokens?: number;
  /** `cold` opens the prompt with a number that no earlier request had; `as is` leaves it alone. @default "cold" */
  readonly prefix?: Exclude<PrefixKind, "warm">;
}

/** The parts of a served model. */
export interface ServedParts {
  readonly info: CandidateInfo;
  readonly open: OpenCandidate;
  /** Where it answers. */
  readonly endpoint: Endpoint;
  /** Closes the model and its connections. */
  readonly close: () => Promise<void>;
  /** The signal that aborts a request. */
  readonly signal: () => AbortSignal;
  readonly random: () => number;
}

/** Longest wait for an answer, in ms. */
const TIMEOUT_MS = 300_000;

/**
 * A model that is loaded and answers. Any OpenAI client can talk to `baseUrl`; `ask` sends a timed request.
 *
 * ```ts ignore
 * await using model = await serve("smollm2-135m");
 * console.log(await model.ask("Why is the sky blue?"));
 * ```
 */
export class ServedModel extends Result implements AsyncDisposable {
  readonly #parts: ServedParts;
  #requests = 0;

  /** Made by `serve`. */
  constructor(parts: ServedParts) {
    super();
    this.#parts = parts;
  }

  /** The candidate's id, for example `smollm2-135m-instruct:q4_1`. */
  get id(): string {
    return this.#parts.info.id;
  }

  /** The model's name in requests to `baseUrl`. */
  get modelId(): string {
    return this.#parts.info.model_id;
  }

  /** The base URL of the OpenAI protocol, for example `http://127.0.0.1:40213/v1`. */
  get baseUrl(): string {
    return this.#parts.endpoint.baseUrl;
  }

  /** The key that requests to `baseUrl` need; `none` where they need none. */
  get apiKey(): string {
    return this.#parts.endpoint.apiKey ?? "none";
  }

  /** Seconds from nothing to ready; null where a service does not report it. */
  get loadS(): number | null {
    const { loadMs } = this.#parts.open;
    return loadMs === null ? null : loadMs / 1000;
  }

  /** What it shows: a sentence. */
  override main(): View {
    return new TextView(this.#words);
  }

  get #words(): string {
    const load = this.loadS === null ? "is loaded in a service" : `was loaded in ${this.loadS.toFixed(2)} s`;
    const device = this.#parts.open.device ?? "a device that the service does not report";
    return `**${this.id}** ${load}, runs on ${device}, and answers at ${this.baseUrl}.`;
  }

  /** Sends one prompt and waits for the whole answer. Show the result for the text, `times()` for the durations. */
  async ask(prompt: string, options: AskOptions = {}): Promise<TimedRequests> {
    return new TimedRequests([await this.#send("request", prompt, options)]);
  }

  /** Sends several prompts, one after the other; the keys label them in tables and figures. */
  async askEach(prompts: Readonly<Record<string, string>>, options: AskOptions = {}): Promise<TimedRequests> {
    const sent: TimedRequest[] = [];
    for (const [label, prompt] of Object.entries(prompts)) {
      sent.push(await this.#send(label, prompt, options));
    }
    return new TimedRequests(sent);
  }

  /** Unloads the model and frees its memory. Harmless when called again. */
  async close(): Promise<TextView> {
    await this.#parts.close();
    return new TextView("The model is closed, and its memory is free again.");
  }

  /** As `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send(
    label: string,
    prompt: string,
    { maxTokens = 128, prefix = "cold" }: AskOptions,
  ): Promise<TimedRequest> {
    const { info, open, signal, random } = this.#parts;
    const id = `${++this.#requests}`;
    const question = [{ role: "user" as const, content: prompt }];
    const trace = await open.request({
      model: info.model_id,
      messages: prefix === "cold" ? withColdPrefix(question, `${id} ${random()}`) : question,
      maxTokens,
      temperature: 0,
    }, { timeoutMs: TIMEOUT_MS, signal: signal() });
    const record = toRequestRecord(
      { id, candidate: info.id, prompt_id: id, phase: "timed", round: 1, block: this.#requests, prefix },
      trace,
      0,
    );
    return { label, record, answer: trace.content };
  }
}
