/** What a generation looks like on the wire, whichever client sends it. */
import type { Fetch } from "../clock.ts";
import type { GenerationRequest } from "./trace.ts";

export const USER_AGENT = "podium";

/** How to put a request on the wire. */
export interface Asking {
  readonly route: "chat" | "completions";
  readonly stream: boolean;
  readonly streamUsage: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly fetch: Fetch;
}

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
