/**
 * The same request without the SDK: its share of a processor is what limits a load test (see
 * docs/instrument.md). A test holds the two to the same bytes on the wire and the same reasons.
 */
import { connectionFailure, EndpointFailure, httpFailure } from "./failure.ts";
import { type Asking, chatBody, completionBody, USER_AGENT } from "./asking.ts";
import type { Endpoint, GenerationRequest } from "./trace.ts";

/**
 * Sends the request and returns the response as it starts, body unread.
 *
 * @throws {EndpointFailure} where no connection was made, or the answer is an HTTP error
 */
export async function askDirectly(
  endpoint: Endpoint,
  request: GenerationRequest,
  asking: Asking,
): Promise<Response> {
  const chat = asking.route === "chat";
  const path = chat ? "/chat/completions" : "/completions";
  const headers: Record<string, string> = {
    accept: "application/json",
    "content-type": "application/json",
    "user-agent": USER_AGENT,
    ...(endpoint.apiKey === undefined ? {} : { authorization: `Bearer ${endpoint.apiKey}` }),
  };
  const body = JSON.stringify(chat ? chatBody(request, asking) : completionBody(request, asking));
  let response: Response;
  try {
    response = await asking.fetch(`${endpoint.baseUrl.replace(/\/$/, "")}${path}`, {
      method: "POST",
      headers,
      body,
      signal: asking.signal,
    });
    if (response.ok) return response;
    const text = await response.text();
    throw httpFailure(response.status, parsed(text));
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
