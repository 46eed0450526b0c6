/** How an endpoint wants to be asked for a model: found out once, by asking it something small. */
import { type RequestOptions, timedRequest } from "./timed_request.ts";
import { outputTokens } from "./tokens.ts";
import type { Endpoint, GenerationRequest, Trace } from "./trace.ts";

/** What the endpoint can do, in the words of `timedRequest`'s options. */
export interface Abilities {
  readonly route: "chat" | "completions";
  /** It streams. Without, there is no time to first token. */
  readonly stream: boolean;
  /** It takes `stream_options`. */
  readonly streamUsage: boolean;
  /** Where token counts will come from: only `usage` is none of our guesses. */
  readonly tokenSource: "usage" | "chunks" | "chars/4";
  /** It sends reasoning apart from the answer. */
  readonly reasoning: boolean;
}

export type Probe =
  | {
    readonly ok: true;
    readonly abilities: Abilities;
    readonly trace: Trace;
    readonly notes: readonly string[];
  }
  | { readonly ok: false; readonly reason: string; readonly trace: Trace };

type ProbeOptions = Pick<RequestOptions, "clock" | "post" | "timeoutMs" | "signal">;

type Manner = Pick<Abilities, "route" | "stream" | "streamUsage">;

/** From the manner we want most to the last resort. */
const MANNERS: readonly Manner[] = (["chat", "completions"] as const).flatMap((route) => [
  { route, stream: true, streamUsage: true },
  { route, stream: true, streamUsage: false },
  { route, stream: false, streamUsage: false },
]);

/**
 * Asks for a few tokens and says which route to take (chat, otherwise completions), whether the endpoint
 * streams and whether it reports usage. One request where the endpoint is able; each thing that it refuses
 * (HTTP 400, 404, 405, 415, 422, 501) costs one more.
 *
 * @throws the signal's reason, when `signal` is aborted
 *
 * ```ts
 * import { postOverFetch } from "./timed_client.ts";
 * const answer = 'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
 * const clock = () => 0;
 * const post = postOverFetch({ clock, fetch: () => Promise.resolve(new Response(answer)) });
 * const endpoint = { name: "stub", baseUrl: "http://127.0.0.1:5273/v1" };
 * const found = await probe(endpoint, "m", { clock, post, timeoutMs: 1000 });
 * if (!found.ok || found.abilities.tokenSource === "usage") throw new Error("it streams, without usage");
 * ```
 */
export async function probe(endpoint: Endpoint, model: string, options: ProbeOptions): Promise<Probe> {
  const request: GenerationRequest = {
    model,
    messages: [{ role: "user", content: "Count from one to five in words." }],
    maxTokens: 16,
    temperature: 0,
  };
  let first: Trace | undefined;
  let skipRoute: string | null = null;
  for (const manner of MANNERS) {
    if (manner.route === skipRoute) continue;
    const trace = await timedRequest(endpoint, request, { ...options, ...manner });
    if (answered(trace)) return { ok: true, trace, ...abilitiesOf(manner, trace) };
    first ??= trace;
    if (!isRefusal(trace)) return { ok: false, reason: trace.reason ?? "no answer", trace };
    if (trace.httpStatus === 404 || trace.httpStatus === 405) skipRoute = manner.route;
  }
  // Every manner was refused: what the endpoint said to the plainest question is the truest reason.
  if (first === undefined) throw new Error("a probe asks at least once");
  return { ok: false, reason: first.reason ?? "no answer", trace: first };
}

/** An empty answer is an answer to a probe: the model has nothing to say, the endpoint works. */
const answered = (trace: Trace) =>
  trace.status === "ok" || (trace.httpStatus === 200 && trace.reason === "empty answer");

/** The endpoint understood that it was asked for something it does not do. */
const isRefusal = (trace: Trace) => [400, 404, 405, 415, 422, 501].includes(trace.httpStatus ?? 0);

function abilitiesOf(manner: Manner, trace: Trace): { abilities: Abilities; notes: string[] } {
  const stream = manner.stream && (trace.streamed || trace.chunks.length === 0);
  const { source: tokenSource } = outputTokens(trace);
  const notes: string[] = [];
  if (manner.route === "completions") notes.push("no chat route: prompts go to /completions");
  if (!stream) notes.push("it does not stream: no time to first token, no gaps");
  if (stream && !manner.streamUsage) notes.push("it refuses stream_options");
  if (tokenSource !== "usage") {
    notes.push(`it reports no usage: token counts are estimated from ${tokenSource}`);
  }
  if (trace.chunks.length === 0) notes.push("the answer to the probe was empty");
  return { abilities: { ...manner, stream, tokenSource, reasoning: trace.reasoning !== "" }, notes };
}
