/** An untimed GET with a timeout and a size limit: what a service is, which models it lists. */
import { boundedJson } from "../bounded_json.ts";
import type { Fetch } from "../clock.ts";
import { UserError } from "../errors.ts";
import { redacted, rootReason } from "./failure.ts";
import { limitedText, timedBody } from "./timed_body.ts";
import type { Endpoint } from "./trace.ts";

/** The resources of an untimed request. */
export interface UntimedOptions {
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Status and body of a service's answer. */
export interface ServiceAnswer {
  readonly status: number;
  readonly text: string;
  /** Null where the text is not JSON. */
  readonly json: unknown;
}

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Gets a path below the service's root, which is its base URL without `/v1`.
 *
 * @throws {UserError} where no answer comes in time
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ version: "0.12.3" }));
 * const endpoint = { name: "x", baseUrl: "http://127.0.0.1:1/v1" };
 * const answer = await getFromService(endpoint, "/api/version", { fetch, timeoutMs: 500 });
 * if (answer.status !== 200) throw new Error("it answered");
 * ```
 */
export async function getFromService(
  endpoint: Endpoint,
  path: string,
  options: UntimedOptions,
): Promise<ServiceAnswer> {
  const url = `${endpoint.baseUrl.replace(/\/v1$/, "")}${path}`;
  try {
    const { status, text } = await getText(url, endpoint.apiKey, options);
    return { status, text, json: jsonOrNull(text) };
  } catch (error) {
    options.signal?.throwIfAborted();
    const reason = redacted(rootReason(error), endpoint.apiKey);
    throw new UserError(`${url} does not answer: ${reason}`, 1, { cause: error });
  }
}

/**
 * Status and text of a GET. The time-out holds even where `fetch` ignores its signal.
 *
 * @throws what `fetch` throws, the signal's reason, and an `Error` when the time is up
 */
export async function getText(
  url: string,
  apiKey: string | undefined,
  { fetch, timeoutMs, signal }: UntimedOptions,
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
  const get = async () => {
    const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const headers = { accept: "application/json", ...authorization };
    const response = await fetch(url, { headers, signal: stop.signal });
    return {
      status: response.status,
      text: await limitedText(timedBody(response, () => 0), MAX_ANSWER_BYTES),
    };
  };
  try {
    return await Promise.race([get(), stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function jsonOrNull(text: string): unknown {
  try {
    return boundedJson(text);
  } catch {
    return null;
  }
}
