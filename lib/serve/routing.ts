/**
 * Model `auto`: reads a request's features, chooses its model and learns from the outcome. It keeps no
 * prompt: conversations are identified by a hash.
 */
import { createHash } from "node:crypto";
import type { IncomingRequest } from "../openai/server.ts";
import type {
  RoutedConversation,
  RoutedModel,
  Router,
  RouterView,
  RoutingRequest,
} from "../select/route/router.ts";
import type { RouterState } from "../select/route/router_plan.ts";

/** The part of a request's body that routing reads. */
export interface RoutedBody {
  readonly messages?: unknown;
  readonly prompt?: unknown;
  readonly metadata?: unknown;
}

/** A choice, as `GET /v1/router` shows it. */
export interface RecentChoice {
  readonly request: string;
  /** Seconds since 1970. */
  readonly at: number;
  readonly intent: string;
  readonly reason: string;
  /** Candidate ids: the first choice, and the model that answered. */
  readonly chosen: string;
  model: string | null;
  /** Null while the request is in progress, and where the client went away. */
  success: boolean | null;
  outcome: string;
  feedback: "good" | "bad" | null;
}

export interface RoutingOptions {
  /** Makes the router; called again when models come or go. */
  readonly make: (models: readonly RoutedModel[], state: RouterState | null) => Router;
  readonly state: RouterState | null;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Called when `state()` has changed. */
  readonly onLearned: () => void;
}

const RECENT = 50;
/** Answers that feedback can still name. */
const REMEMBERED = 5000;

/**
 * Chooses a model per request, and learns from the outcome.
 *
 * ```ts ignore
 * const routing = new Routing({ make, state: null, now: () => 0, onLearned: () => {} });
 * routing.serve([{ id: "small", capabilities: [] }]);
 * const picked = routing.pick("request-1", { messages }, request.headers, () => true);
 * ```
 */
export class Routing {
  #router: Router | null = null;
  #models = "";
  readonly #recent: RecentChoice[] = [];
  readonly #byAnswer = new Map<string, RecentChoice>();

  constructor(private readonly options: RoutingOptions) {}

  /** Replaces the models, and keeps what was learned. */
  serve(models: readonly RoutedModel[]): void {
    const key = JSON.stringify(models);
    if (key === this.#models) return;
    this.#models = key;
    const state = this.#router?.state() ?? this.options.state;
    this.#router = models.length === 0 ? null : this.options.make(models, state);
  }

  /** Null where no model is available. */
  pick(
    request: string,
    body: RoutedBody,
    headers: IncomingRequest["headers"],
    available: (candidate: string) => boolean,
  ): { readonly order: readonly string[]; readonly record: RecentChoice } | null {
    const choice = this.#router?.choose(routingRequestOf(body, headers), available) ?? null;
    if (choice === null) return null;
    const [chosen] = choice.order;
    const record: RecentChoice = {
      request,
      at: this.options.now(),
      intent: choice.intent,
      reason: choice.reason,
      chosen,
      model: null,
      success: null,
      outcome: "under way",
      feedback: null,
    };
    this.#recent.push(record);
    if (this.#recent.length > RECENT) this.#recent.shift();
    this.#remember(request, record);
    return { order: choice.order, record };
  }

  /** Counts the outcome of an attempt as evidence about its model. */
  observe(record: RecentChoice, candidate: string, success: boolean, outcome: string): void {
    record.model = candidate;
    record.success = success;
    record.outcome = outcome;
    this.#learn(record.intent, candidate, success);
  }

  /** Remembers the answer's own id, which feedback can use too. */
  answered(record: RecentChoice, answerId: string | null): void {
    if (answerId !== null) this.#remember(answerId, record);
  }

  /** Feedback counts once per answer. False for an id that is not, or no longer, known. */
  feedback(id: string, good: boolean): boolean {
    const record = this.#byAnswer.get(id);
    if (record === undefined || record.model === null) return false;
    if (record.feedback === null) this.#learn(record.intent, record.model, good);
    record.feedback ??= good ? "good" : "bad";
    return true;
  }

  state(): RouterState | null {
    return this.#router?.state() ?? this.options.state;
  }

  view(): { readonly routing: RouterView | null; readonly recent: readonly RecentChoice[] } {
    return { routing: this.#router?.view() ?? null, recent: this.#recent.toReversed() };
  }

  #learn(intent: string, model: string, success: boolean): void {
    this.#router?.observe({ intent, model, success });
    this.options.onLearned();
  }

  #remember(id: string, record: RecentChoice): void {
    this.#byAnswer.set(id, record);
    const [oldest] = this.#byAnswer.keys();
    if (this.#byAnswer.size > REMEMBERED && oldest !== undefined) this.#byAnswer.delete(oldest);
  }
}

function routingRequestOf(body: RoutedBody, headers: IncomingRequest["headers"]): RoutingRequest {
  return {
    text: textOf(body),
    intentHint: headers.get("x-podium-intent") ?? metadataOf(body, "intent"),
    capability: headers.get("x-podium-capability") ?? metadataOf(body, "capability"),
    conversation: conversationOf(
      body,
      headers.get("x-podium-conversation") ?? metadataOf(body, "conversation"),
    ),
  };
}

/**
 * The conversation of a request, its key a hash: of the id that it names, else of its system and first user
 * messages, since every turn sends the whole conversation again. `none` starts anew each time.
 *
 * ```ts
 * const first = conversationOf({ messages: [{ role: "user", content: "Hi" }] }, null);
 * const second = conversationOf({
 *   messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Yes?" }, { role: "user", content: "So" }],
 * }, null);
 * if (first === null || first.key !== second?.key) throw new Error("the same conversation");
 * if (!first.begins || second.begins) throw new Error("the first turn has no answer in it");
 * if (conversationOf({ messages: [] }, "none") !== null) throw new Error("as asked");
 * ```
 */
export function conversationOf(body: RoutedBody, named: string | null): RoutedConversation | null {
  if (named === "none") return null;
  if (named !== null) return { key: shortHash(`named\n${named}`), begins: false };
  const messages = messagesOf(body);
  const system = messages.find(({ role }) => role === "system" || role === "developer")?.text ?? "";
  const user = messages.find(({ role }) => role === "user")?.text;
  if (user === undefined) return null;
  const begins = !messages.some(({ role }) => role === "assistant");
  return { key: shortHash(`first\n${system}\n${user}`), begins };
}

const shortHash = (text: string) => createHash("sha256").update(text).digest("base64url").slice(0, 22);

/** The last user message, or the prompt. */
function textOf(body: RoutedBody): string {
  if (typeof body.prompt === "string") return body.prompt;
  return messagesOf(body).findLast(({ role }) => role === "user")?.text ?? "";
}

function messagesOf({ messages }: RoutedBody): { role: string; text: string }[] {
  if (!Array.isArray(messages)) return [];
  return messages.flatMap((message: unknown) => {
    if (typeof message !== "object" || message === null || !("role" in message)) return [];
    if (typeof message.role !== "string") return [];
    return [{ role: message.role, text: "content" in message ? contentText(message.content) : "" }];
  });
}

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: unknown) =>
    typeof part === "object" && part !== null && "text" in part && typeof part.text === "string"
      ? part.text
      : ""
  ).join("\n");
}

function metadataOf({ metadata }: RoutedBody, name: string): string | null {
  if (typeof metadata !== "object" || metadata === null) return null;
  const value = Object.entries(metadata).find(([key]) => key === name)?.[1];
  return typeof value === "string" && value !== "" ? value : null;
}
