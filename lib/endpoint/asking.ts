/** What a generation looks like on the wire, whichever client sends it. */
import type { Clock, Fetch } from "../clock.ts";
import type { PostJson } from "./post.ts";
import type { TimedBody } from "./timed_body.ts";
import type { GenerationRequest } from "./trace.ts";

/** How to put a request on the wire. */
export interface Asking {
  readonly route: "chat" | "completions";
  readonly stream: boolean;
  readonly streamUsage: boolean;
  readonly timeoutMs: number;
  readonly fetch: Fetch;
  readonly post?: PostJson;
  readonly clock: Clock;
}

/** A request that is on its way. */
export interface Asked {
  /** When it was sent, as far as that is known yet. */
  readonly sentMs: number | null;
  /**
   * The answer as it starts, body unread.
   *
   * @throws {EndpointFailure} where no connection was made, or the answer is an HTTP error
   */
  readonly begun: Promise<Begun>;
  /** Gives the answer up: whoever waits for it gets `reason`. */
  cancel(reason: unknown): void;
}

export interface Begun {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: TimedBody;
}

/** An error's text beyond this is cut off. */
export const LONGEST_ERROR_BYTES = 64 * 1024;

/** The words both routes share. */
function common(request: GenerationRequest, asking: Asking) {
  return {
    model: request.model,
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    ...(request.seed === undefined ? {} : { seed: request.seed }),
    ...(request.stop === undefined ? {} : { stop: [...request.stop] }),
    ...(request.fixedOutput === true ? { ignore_eos: true, min_tokens: request.maxTokens } : {}),
    ...(asking.stream ? { stream: true } : {}),
    ...(asking.stream && asking.streamUsage ? { stream_options: { include_usage: true } } : {}),
  };
}

/** Body of `POST /chat/completions`. */
export function chatBody(request: GenerationRequest, asking: Asking) {
  const { responseFormat } = request;
  return {
    ...common(request, asking),
    ...(responseFormat === undefined ? {} : {
      response_format: { type: "json_schema" as const, json_schema: { ...responseFormat, strict: true } },
    }),
    messages: request.messages.map(({ role, content }) => ({ role, content })),
  };
}

/** Body of `POST /completions`: the messages' texts, a blank line between them. */
export function completionBody(request: GenerationRequest, asking: Asking) {
  return { ...common(request, asking), prompt: request.messages.map(({ content }) => content).join("\n\n") };
}
