/** One small question to a service outside of `/v1`: what it is, what it holds. Nothing here is timed. */
import type { Fetch } from "../clock.ts";
import { UserError } from "../errors.ts";
import { redacted, rootReason } from "./failure.ts";
import type { Endpoint } from "./trace.ts";
import { limitedText, timedBody } from "./timed_body.ts";

export interface AskOptions {
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly text: string;
  /** Null where the text is no JSON. */
  readonly json: unknown;
}

const LONGEST_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Asks for a path below the service's root, which is its base URL without `/v1`.
 *
 * @throws {UserError} where no answer comes in time, also from a server that takes a request and stays silent
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ version: "0.12.3" }));
 * const answer = await askService({ name: "x", baseUrl: "http://127.0.0.1:1/v1" }, "/api/version", { fetch, timeoutMs: 500 });
 * if (answer.status !== 200) throw new Error("it answered");
 * ```
 */
export async function askService(
  endpoint: Endpoint,
  path: string,
  { fetch, timeoutMs, signal }: AskOptions,
): Promise<ServiceAnswer> {
  const url = `${endpoint.baseUrl.replace(/\/v1$/, "")}${path}`;
  try {
    const { status, text } = await getText(url, endpoint.apiKey, {
      fetch,
      timeoutMs,
      ...(signal && { signal }),
    });
    return { status, text, json: parsed(text) };
  } catch (error) {
    signal?.throwIfAborted();
    const reason = redacted(rootReason(error), endpoint.apiKey);
    throw new UserError(`${url} does not answer: ${reason}`, 1, { cause: error });
  }
}

/**
 * The status and the text of a GET, in time or not at all, also from a `fetch` that listens to no signal.
 *
 * @throws what `fetch` throws, the signal's reason, and an `Error` when the time is up
 */
export async function getText(
  url: string,
  apiKey: string | undefined,
  { fetch, timeoutMs, signal }: AskOptions,
): Promise<{ status: number; text: string }> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const stopped = Promise.withResolvers<never>();
  const giveUp = (reason: unknown) => {
    stopped.reject(reason);
    stop.abort(reason);
  };
  const onAbort = () => giveUp(signal?.reason);
  const timer = setTimeout(() => giveUp(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  const answer = async () => {
    const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const response = await fetch(url, {
      headers: { accept: "application/json", ...authorization },
      signal: stop.signal,
    });
    return {
      status: response.status,
      text: await limitedText(timedBody(response, () => 0), LONGEST_ANSWER_BYTES),
    };
  };
  try {
    return await Promise.race([answer(), stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
