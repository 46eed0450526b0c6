/** Asking through npm:openai, which owns URL, headers, authorisation and errors. The body is read by us. */
import OpenAI, { APIConnectionError, APIError } from "openai";
import type { Fetch } from "../clock.ts";
import { connectionFailure, EndpointFailure, httpFailure } from "./failure.ts";
import {
  type Asked,
  type Asking,
  type Begun,
  chatBody,
  completionBody,
  LONGEST_ERROR_BYTES,
} from "./asking.ts";
import { USER_AGENT } from "./post.ts";
import { limitedText, type TimedBody, timedBody, type TimedInit } from "./timed_body.ts";
import type { Endpoint, GenerationRequest } from "./trace.ts";

/** Sends the request through the SDK, over `asking.fetch`. */
export function askOpenAI(endpoint: Endpoint, request: GenerationRequest, asking: Asking): Asked {
  const stop = new AbortController();
  let sentMs: number | null = null;
  let body: TimedBody | null = null;
  const begin = async (): Promise<Begun> => {
    const fetch: Fetch = async (input, init) => {
      sentMs = asking.clock();
      const timed: TimedInit = { ...init, timedOnly: true };
      const response = await asking.fetch(input, timed);
      return response.ok ? response : await shortened(response);
    };
    const response = await send(endpoint, request, { ...asking, fetch }, stop.signal);
    body = timedBody(response, asking.clock);
    return { status: response.status, contentType: response.headers.get("content-type"), body };
  };
  return {
    get sentMs() {
      return body?.sentMs ?? sentMs;
    },
    begun: begin(),
    cancel(reason) {
      stop.abort(reason);
      body?.cancel().catch(() => {}); // the SDK holds on to a signal only as long as to its response
    },
  };
}

/** @throws {EndpointFailure} where no connection was made, or the answer is an HTTP error */
async function send(
  endpoint: Endpoint,
  request: GenerationRequest,
  asking: Asking,
  signal: AbortSignal,
): Promise<Response> {
  const client = clientFor(endpoint, asking.fetch);
  const options = { maxRetries: 0, timeout: asking.timeoutMs + 60_000, signal };
  try {
    if (asking.route === "chat") {
      return await client.chat.completions.create(chatBody(request, asking), options).asResponse();
    }
    return await client.completions.create(completionBody(request, asking), options).asResponse();
  } catch (error) {
    throw asFailure(endpoint, error);
  }
}

/** An error response as short as its reader can bear. */
async function shortened(response: Response): Promise<Response> {
  const { status, headers } = response;
  const text = await limitedText(timedBody(response, () => 0), LONGEST_ERROR_BYTES);
  return new Response(text === "" ? null : text, { status, headers });
}

/** A client that takes nothing from the environment: every setting that it would look up there is given. */
export function clientFor(endpoint: Endpoint, fetch: Fetch): OpenAI {
  return new OpenAI({
    baseURL: endpoint.baseUrl,
    apiKey: endpoint.apiKey ?? "none",
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    logLevel: "off",
    maxRetries: 0,
    fetch: (input, init) => fetch(input, { ...init, headers: headersFor(endpoint, init?.headers) }),
  });
}

/**
 * Of the SDK's headers only those that an answer depends on: not what it tells of system and runtime, nor what
 * OPENAI_CUSTOM_HEADERS holds for somebody else's service.
 */
function headersFor({ apiKey }: Endpoint, offered: HeadersInit | undefined): Record<string, string> {
  const headers = new Headers(offered);
  const type = headers.get("content-type");
  return {
    accept: "application/json",
    ...(type === null ? {} : { "content-type": type }),
    "user-agent": USER_AGENT,
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  };
}

/** The SDK's errors in our words; anything else is returned as it came. */
export function asFailure(endpoint: Endpoint, error: unknown): unknown {
  if (error instanceof APIConnectionError) return connectionFailure(endpoint.baseUrl, error);
  if (!(error instanceof APIError)) return error;
  if (typeof error.status !== "number") return new EndpointFailure(error.message, null, { cause: error });
  return httpFailure(error.status, error.error ?? error.message.replace(/^\d+ /, ""));
}
