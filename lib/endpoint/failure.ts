/** Faults of an endpoint, in messages that are safe to store and to show. */

/**
 * The endpoint failed: no connection, an HTTP error, a broken answer. It becomes a trace's `reason` or a
 * `UserError`. Its message may contain a key, so `redacted` is applied first.
 */
export class EndpointFailure extends Error {
  override readonly name = "EndpointFailure";

  constructor(message: string, readonly httpStatus: number | null = null, options?: ErrorOptions) {
    super(message, options);
  }
}

/** No connection, or a broken one: `no answer from http://…: connection refused`. */
export function connectionFailure(baseUrl: string, error: unknown): EndpointFailure {
  return new EndpointFailure(`no answer from ${baseUrl}: ${rootReason(error)}`, null, { cause: error });
}

/** The innermost cause of an error: messages such as `fetch failed` explain nothing, their causes do. */
export function rootReason(error: unknown): string {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) root = root.cause;
  const text = root instanceof Error ? root.message : String(root);
  if (/connection refused|ECONNREFUSED|actively refused/i.test(text)) return "connection refused";
  if (/failed to lookup address|ENOTFOUND|dns error/i.test(text)) return "no host of that name";
  if (/invalid peer certificate|self.signed certificate/i.test(text)) {
    return `${certificateReason(text)}: ${TRUST}`;
  }
  return text;
}

const TRUST =
  "name the authority's certificate in DENO_CERT, or use the system's with DENO_TLS_CA_STORE=system";

/** `invalid peer certificate: UnknownIssuer`, without the address before it. */
const certificateReason = (text: string) =>
  /invalid peer certificate[^()]*/i.exec(text)?.[0].trim() ?? "the certificate is not trusted";

const LONGEST = 300;

/**
 * A reason that is safe to store and to show: one line, at most 300 characters, and without the key, even
 * where a server echoes all or part of it (`sk-ab…yz`).
 *
 * ```ts
 * const reason = redacted("Incorrect API key:\nhunter2-secret", "hunter2-secret");
 * if (reason !== "Incorrect API key: [key]") throw new Error(reason);
 * ```
 */
export function redacted(text: string, apiKey: string | undefined): string {
  const parts = [apiKey ?? "", apiKey === undefined ? "" : encodeURIComponent(apiKey)];
  let clean = parts.filter((part) => part !== "").reduce(
    (clean, part) => clean.replaceAll(part, "[key]"),
    text,
  );
  clean = clean.replaceAll(/\b(Bearer\s+|sk-)[^\s"',;]+/gi, "[key]").replaceAll(/[\s\p{Cc}]+/gu, " ").trim();
  return clean.length > LONGEST ? `${clean.slice(0, LONGEST - 1)}…` : clean;
}

/** Removes the key from an answer that repeats it; a key below 8 characters may be a word, and stays. */
export function withoutKey(text: string, apiKey: string | undefined): string {
  return apiKey === undefined || apiKey.length < 8 ? text : text.replaceAll(apiKey, "[key]");
}

/** The message in an error body, in OpenAI's shape or another; plain text is cut at 300 characters. */
export function errorMessage(body: unknown): string {
  if (typeof body === "string") return body.trim().replaceAll(/\s+/g, " ").slice(0, LONGEST);
  if (typeof body !== "object" || body === null) return "";
  if ("message" in body && typeof body.message === "string") return body.message;
  if ("error" in body) return errorMessage(body.error);
  if ("detail" in body) return typeof body.detail === "string" ? body.detail : JSON.stringify(body.detail);
  return JSON.stringify(body).slice(0, LONGEST);
}

/** `HTTP 404: model not found`, or the status alone where the body has no message. */
export function httpFailure(status: number, body: unknown): EndpointFailure {
  const message = errorMessage(body);
  return new EndpointFailure(`HTTP ${status}${message === "" ? "" : `: ${message}`}`, status);
}
