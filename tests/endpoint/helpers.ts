import type { Clock, Fetch } from "../../lib/clock.ts";
import { type RequestOptions, timedRequest } from "../../lib/endpoint/request.ts";
import { rawTransport } from "../../lib/endpoint/transport.ts";
import type { GenerationRequest, Trace } from "../../lib/endpoint/trace.ts";
import { type FakeInput, startFake } from "../fake_endpoint/server.ts";

export const clock: Clock = () => performance.now();

export const hello: GenerationRequest = {
  model: "fake",
  messages: [{ role: "user", content: "Hello there" }],
  maxTokens: 64,
  temperature: 0,
};

/** The ways a request can travel: every one must tell the same story. */
export const WAYS = ["openai over fetch", "openai over raw", "direct over fetch", "direct over raw"] as const;
export type Way = typeof WAYS[number];

/** Sends one request to a fake endpoint of the given behaviour, over the given way. */
export async function askFake(
  behaviour: Parameters<typeof startFake>[0],
  way: Way = "openai over raw",
  options: Partial<RequestOptions> & { apiKey?: string; request?: Partial<GenerationRequest> } = {},
): Promise<Trace> {
  const fake = startFake(behaviour);
  try {
    return await ask(fake.baseUrl, way, options);
  } finally {
    await fake.stop();
  }
}

export async function ask(
  baseUrl: string,
  way: Way,
  options: Partial<RequestOptions> & { apiKey?: string; request?: Partial<GenerationRequest> } = {},
): Promise<Trace> {
  const { apiKey, request, ...rest } = options;
  return await withWay(way, (fetch) =>
    timedRequest(
      { name: "fake", baseUrl, ...(apiKey === undefined ? {} : { apiKey }) },
      { ...hello, ...request },
      { clock, fetch, timeoutMs: 5000, client: way.startsWith("openai") ? "openai" : "direct", ...rest },
    ));
}

/** A `fetch` of the named kind whose connections are closed afterwards. */
export async function withWay<T>(way: Way, use: (fetch: Fetch) => Promise<T>): Promise<T> {
  if (way.endsWith("raw")) {
    const transport = rawTransport({ clock, fetch });
    try {
      return await use(transport.fetch);
    } finally {
      transport.close();
    }
  }
  const client = Deno.createHttpClient({});
  try {
    return await use((input, init) => fetch(input, { ...init, client }));
  } finally {
    client.close();
  }
}

export type { FakeInput };
