/**
 * The same request without the SDK: its share of a processor is what limits a load test (see
 * docs/instrument.md). A test holds the two to the same bytes on the wire and the same reasons.
 */
import { connectionFailure, EndpointFailure, httpFailure } from "./failure.ts";
import {
  type Asked,
  type Asking,
  type Begun,
  chatBody,
  completionBody,
  LONGEST_ERROR_BYTES,
} from "./asking.ts";
import type { Posted, PostJson } from "./post.ts";
import { limitedText } from "./timed_body.ts";
import type { Endpoint, GenerationRequest } from "./trace.ts";

/** Sends the request with `post`. */
export function askDirectly(
  endpoint: Endpoint,
  request: GenerationRequest,
  asking: Asking,
  post: PostJson,
): Asked {
  const chat = asking.route === "chat";
  const url = `${endpoint.baseUrl.replace(/\/$/, "")}${chat ? "/chat/completions" : "/completions"}`;
  const body = JSON.stringify(chat ? chatBody(request, asking) : completionBody(request, asking));
  const posted = post(url, endpoint.apiKey, body);
  return {
    begun: begin(endpoint, posted),
    get sentMs() {
      return posted.sentMs;
    },
    cancel: (reason) => void posted.cancel(reason),
  };
}

async function begin(endpoint: Endpoint, posted: Posted): Promise<Begun> {
  try {
    const { status, headers } = await posted.head();
    const contentType = headers.get("content-type") ?? null;
    if (status >= 200 && status < 300) return { status, contentType, body: posted };
    throw httpFailure(status, parsed(await limitedText(posted, LONGEST_ERROR_BYTES)));
  } catch (error) {
    if (error instanceof EndpointFailure) throw error;
    throw connectionFailure(endpoint.baseUrl, error);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
