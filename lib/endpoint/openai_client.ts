/** The OpenAI SDK for an endpoint, for requests that nobody times; `timedRequest` sends those that are measured. */
import OpenAI from "openai";
import type { Fetch } from "../clock.ts";
import type { Endpoint } from "./trace.ts";

/**
 * An `OpenAI` client for an endpoint. It takes nothing from the environment, retries nothing, and sends no header
 * that describes the system.
 *
 * ```ts
 * const answer = { choices: [{ message: { role: "assistant", content: "Hi" } }] };
 * const client = openaiClient({ name: "stub", baseUrl: "http://127.0.0.1:5273/v1" }, {
 *   fetch: () => Promise.resolve(Response.json(answer)),
 * });
 * const { choices } = await client.chat.completions.create({
 *   model: "m",
 *   messages: [{ role: "user", content: "Hello" }],
 * });
 * if (choices[0]?.message.content !== "Hi") throw new Error("one answer");
 * ```
 */
export function openaiClient(endpoint: Endpoint, { fetch }: { readonly fetch: Fetch }): OpenAI {
  return new OpenAI({
    baseURL: endpoint.baseUrl,
    apiKey: endpoint.apiKey ?? "none",
    // The SDK looks these up in the environment unless they are given.
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    logLevel: "off",
    maxRetries: 0,
    fetch: (input, init) => fetch(input, { ...init, headers: headersFor(endpoint, init?.headers) }),
  });
}

/** The SDK's headers name the system and hold `OPENAI_CUSTOM_HEADERS`, which is meant for another service. */
function headersFor({ apiKey }: Endpoint, offered: HeadersInit | undefined): Record<string, string> {
  const type = new Headers(offered).get("content-type");
  return {
    accept: "application/json",
    ...(type === null ? {} : { "content-type": type }),
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  };
}
