/** A generation request on its way: the JSON body that its route takes, and the answer as it starts. */
import { jsonOrText } from "../bounded_json.ts";
import { connectionFailure, EndpointFailure, httpFailure } from "./failure.ts";
import { limitedText, type TimedBody } from "./timed_body.ts";
import type { ToolDefinition } from "../prompts/request_settings.ts";
import type { PostJson, TimedResponse } from "./timed_client.ts";
import type { ChatMessage, Endpoint, GenerationRequest } from "./trace.ts";

/** How a request uses the protocol, whatever it requests from the model. */
export interface ProtocolOptions {
  readonly route: "chat" | "completions";
  readonly stream: boolean;
  /** Sends `stream_options`, which requests a last chunk with `usage`. */
  readonly streamUsage: boolean;
  /** Puts the system message at the beginning of the first user message. @default false */
  readonly foldSystem?: boolean;
  /** Fields that the endpoint refuses. @default none */
  readonly leaveOut?: readonly RefusableField[];
  /** The field that turns reasoning on and off. @default "chat_template_kwargs" */
  readonly thinkingField?: ThinkingField;
}

/**
 * How services accept the setting for reasoning: llama.cpp, vLLM, SGLang and Podium's engine by variables of
 * the chat template; OpenAI, Ollama and others by an effort, and DashScope by fields of the request.
 */
export type ThinkingField = "chat_template_kwargs" | "reasoning_effort" | "enable_thinking";

/** Fields that a request can do without. Without `max_tokens`, `max_completion_tokens` is sent. */
export type RefusableField =
  | "temperature"
  | "seed"
  | "stop"
  | "ignore_eos"
  | "response_format"
  | "tools"
  | "tool_choice"
  | "max_tokens";

/** An answer whose status line and headers have arrived; its body is unread. */
export interface StartedAnswer {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: TimedBody;
}

/** A generation request that was sent. */
export interface SentGeneration {
  /** When it was sent, in ms; null while that is unknown. */
  readonly sentMs: number | null;
  /**
   * The answer as it starts.
   *
   * @throws {EndpointFailure} where no connection was made, or the answer is an HTTP error
   */
  readonly started: Promise<StartedAnswer>;
  /** Abandons the answer: pending reads are rejected with `reason`. */
  cancel(reason: unknown): void;
}

/** An HTTP error's text beyond this many bytes is cut off. */
const MAX_ERROR_BYTES = 64 * 1024;

/** Sends a generation request with `post`; where a socket is open, it is written when this returns. */
export function sendGeneration(
  endpoint: Endpoint,
  request: GenerationRequest,
  protocol: ProtocolOptions,
  post: PostJson,
): SentGeneration {
  const path = protocol.route === "chat" ? "/chat/completions" : "/completions";
  const url = `${endpoint.baseUrl.replace(/\/$/, "")}${path}`;
  const response = post(url, endpoint.apiKey, JSON.stringify(requestBody(request, protocol)));
  return {
    started: start(endpoint, response),
    get sentMs() {
      return response.sentMs;
    },
    cancel: (reason) => void response.cancel(reason),
  };
}

async function start(endpoint: Endpoint, response: TimedResponse): Promise<StartedAnswer> {
  try {
    const { status, headers } = await response.head();
    const contentType = headers.get("content-type") ?? null;
    if (status >= 200 && status < 300) return { status, contentType, body: response };
    throw httpFailure(status, jsonOrText(await limitedText(response, MAX_ERROR_BYTES)));
  } catch (error) {
    if (error instanceof EndpointFailure) throw error;
    throw connectionFailure(endpoint.baseUrl, error);
  }
}

/**
 * The JSON body of a generation request. The completions route gets the messages'
 * texts, joined by blank lines.
 *
 * ```ts
 * const request = { model: "m", messages: [{ role: "user" as const, content: "Hi" }], maxTokens: 8, temperature: 0 };
 * const body = requestBody(request, { route: "completions", stream: true, streamUsage: false });
 * if (JSON.stringify(body) !== '{"model":"m","max_tokens":8,"temperature":0,"stream":true,"prompt":"Hi"}') {
 *   throw new Error(JSON.stringify(body));
 * }
 * ```
 */
export function requestBody(
  request: GenerationRequest,
  { route, stream, streamUsage, foldSystem = false, leaveOut = [], thinkingField }: ProtocolOptions,
): Record<string, unknown> {
  const { responseFormat, tools = [], toolChoice, thinking } = request;
  const chat = route === "chat";
  const takes = (field: RefusableField) => !leaveOut.includes(field);
  return {
    model: request.model,
    [takes("max_tokens") ? "max_tokens" : "max_completion_tokens"]: request.maxTokens,
    ...(takes("temperature") ? { temperature: request.temperature } : {}),
    ...(request.seed !== undefined && takes("seed") ? { seed: request.seed } : {}),
    ...(request.stop !== undefined && takes("stop") ? { stop: request.stop } : {}),
    ...(request.fixedOutput === true && takes("ignore_eos")
      ? { ignore_eos: true, min_tokens: request.maxTokens }
      : {}),
    ...(stream ? { stream: true } : {}),
    ...(stream && streamUsage ? { stream_options: { include_usage: true } } : {}),
    ...(chat && responseFormat !== undefined && takes("response_format")
      ? {
        response_format: responseFormat === "json"
          ? { type: "json_object" }
          : { type: "json_schema", json_schema: { ...responseFormat, strict: true } },
      }
      : {}),
    ...(chat && tools.length > 0 && takes("tools") ? { tools: tools.map(toolJson) } : {}),
    ...(chat && tools.length > 0 && toolChoice !== undefined && takes("tool_choice")
      ? { tool_choice: toolChoiceJson(toolChoice) }
      : {}),
    ...(thinking === undefined ? {} : thinkingJson(thinking, thinkingField ?? "chat_template_kwargs")),
    ...(chat
      ? { messages: (foldSystem ? foldedMessages(request.messages) : request.messages).map(messageJson) }
      : { prompt: request.messages.map(({ content }) => content).join("\n\n") }),
  };
}

/** Messages without a system message: its text opens the first user message, with a blank line after it. */
function foldedMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => content);
  const rest = messages.filter(({ role }) => role !== "system");
  if (system.length === 0) return rest;
  const at = rest.findIndex(({ role }) => role === "user");
  if (at < 0) return [{ role: "user", content: system.join("\n\n") }, ...rest];
  return rest.map((message, i) =>
    i === at ? { ...message, content: [...system, message.content].join("\n\n") } : message
  );
}

/** A tool as requests and chat templates have it. */
export const toolJson = ({ name, description, parameters }: ToolDefinition) => ({
  type: "function",
  function: {
    name,
    ...(description === undefined ? {} : { description }),
    ...(parameters === undefined ? {} : { parameters }),
  },
});

const toolChoiceJson = (choice: NonNullable<GenerationRequest["toolChoice"]>) =>
  typeof choice === "string" ? choice : { type: "function", function: { name: choice.name } };

/** A message as requests have it: calls lie in `function`, and nothing but they may be the whole message. */
function messageJson({ role, content, tool_calls: calls = [], tool_call_id }: ChatMessage) {
  return {
    role,
    content: content === "" && calls.length > 0 ? null : content,
    ...(calls.length === 0 ? {} : {
      tool_calls: calls.map(({ id, name, arguments: text }) => ({
        id,
        type: "function",
        function: { name, arguments: text },
      })),
    }),
    ...(tool_call_id === undefined ? {} : { tool_call_id }),
  };
}

/** A budget in tokens becomes an effort where the service knows efforts only. */
function thinkingJson(
  thinking: NonNullable<GenerationRequest["thinking"]>,
  field: ThinkingField,
): Record<string, unknown> {
  const isOn = thinking !== "off" && thinking !== 0;
  const budget = typeof thinking === "number" && isOn ? { thinking_budget: thinking } : {};
  if (field === "chat_template_kwargs") {
    return { chat_template_kwargs: { enable_thinking: isOn, ...budget } };
  }
  if (field === "enable_thinking") return { enable_thinking: isOn, ...budget };
  if (!isOn) return { reasoning_effort: "none" };
  if (typeof thinking !== "number") return { reasoning_effort: "medium" };
  return { reasoning_effort: thinking <= 1024 ? "low" : thinking <= 8192 ? "medium" : "high" };
}
