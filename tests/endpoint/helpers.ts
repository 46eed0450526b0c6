import type { Clock, Fetch } from "../../lib/clock.ts";
import { type RequestOptions, timedRequest } from "../../lib/endpoint/timed_request.ts";
import { isLoopback } from "../../lib/endpoint/loopback.ts";
import { type PostJson, timedClient } from "../../lib/endpoint/timed_client.ts";
import type { GenerationRequest, Trace } from "../../lib/endpoint/trace.ts";
import { startFake } from "../fake_endpoint.ts";

export const clock: Clock = () => performance.now();

export const hello: GenerationRequest = {
  model: "fake",
  messages: [{ role: "user", content: "Hello there" }],
  maxTokens: 64,
  temperature: 0,
};

/** What can carry a request; the trace must be the same over both. */
export const CARRIERS = ["fetch", "socket"] as const;
export type Carrier = typeof CARRIERS[number];

/** Sends one request to a fake endpoint of the given behaviour. */
export async function askFake(
  behaviour: Parameters<typeof startFake>[0],
  carrier: Carrier = "socket",
  options: Partial<RequestOptions> & { apiKey?: string; request?: Partial<GenerationRequest> } = {},
): Promise<Trace> {
  const fake = startFake(behaviour);
  try {
    return await ask(fake.baseUrl, carrier, options);
  } finally {
    await fake.stop();
  }
}

export async function ask(
  baseUrl: string,
  carrier: Carrier,
  options: Partial<RequestOptions> & { apiKey?: string; request?: Partial<GenerationRequest> } = {},
): Promise<Trace> {
  const { apiKey, request, ...rest } = options;
  return await withPost(carrier, (post) =>
    timedRequest(
      { name: "fake", baseUrl, ...(apiKey === undefined ? {} : { apiKey }) },
      { ...hello, ...request },
      { clock, post, timeoutMs: 5000, ...rest },
    ));
}

/** Calls `use` with a `post` over the given carrier; its connections are closed afterwards. */
export async function withPost<T>(
  carrier: Carrier,
  use: (post: PostJson) => Promise<T>,
  on: Clock = clock,
): Promise<T> {
  using http = Deno.createHttpClient({});
  const platform: Fetch = (input, init) => fetch(input, { ...init, client: http });
  const accepts = carrier === "socket" ? isLoopback : () => false;
  const client = timedClient({ clock: on, fetch: platform, accepts });
  try {
    return await use(client.post);
  } finally {
    client.close();
  }
}
