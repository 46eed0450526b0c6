import type { Clock, Fetch } from "../../lib/clock.ts";
import { type RequestOptions, timedRequest } from "../../lib/endpoint/request.ts";
import { isLoopback, rawTransport } from "../../lib/endpoint/transport.ts";
import type { GenerationRequest, Trace } from "../../lib/endpoint/trace.ts";
import { type FakeInput, startFake } from "../../lib/selfcheck/fake_server.ts";

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
  return await withWay(way, (carriers) =>
    timedRequest(
      { name: "fake", baseUrl, ...(apiKey === undefined ? {} : { apiKey }) },
      { ...hello, ...request },
      { clock, ...carriers, timeoutMs: 5000, ...rest },
    ));
}

/** What carries requests of the named kind; its connections are closed afterwards. */
export async function withWay<T>(
  way: Way,
  use: (carriers: Pick<RequestOptions, "fetch" | "post">) => Promise<T>,
): Promise<T> {
  using client = Deno.createHttpClient({});
  const platform: Fetch = (input, init) => fetch(input, { ...init, client });
  const accepts = way.endsWith("raw") ? isLoopback : () => false;
  const transport = rawTransport({ clock, fetch: platform, accepts });
  try {
    return await use({ fetch: transport.fetch, ...(way.startsWith("direct") && { post: transport.post }) });
  } finally {
    transport.close();
  }
}

export type { FakeInput };
