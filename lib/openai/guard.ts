/**
 * Who may talk to a server that listens on this machine only. A web page can make a browser send requests to
 * 127.0.0.1, also under a host name of the page's own that was pointed there (DNS rebinding); other users of
 * the machine can reach the port as well. Checking Host and Origin stops the first two, a token the third.
 */
import { ApiError } from "./api_error.ts";

/** A request as far as it matters here: `Headers` will do, and so will a map of names in small letters. */
interface Asking {
  readonly headers: { get(name: string): string | null | undefined };
}

const loopbackNames = new Set(["127.0.0.1", "localhost", "[::1]"]);

function isLoopbackUrl(text: string): boolean {
  return URL.canParse(text) && loopbackNames.has(new URL(text).hostname);
}

/**
 * Refuses what did not come from this machine's own programs or pages: a `Host` that is not a loopback name,
 * or an `Origin` that is not a loopback page.
 *
 * @throws {ApiError} 403, in OpenAI's shape
 *
 * ```ts
 * checkLocal(new Request("http://127.0.0.1:1234/v1/models", { headers: { host: "127.0.0.1:1234" } }));
 * ```
 */
export function checkLocal(request: Asking): void {
  const host = request.headers.get("host") ?? null;
  if (host !== null && !isLoopbackUrl(`http://${host}`)) {
    throw new ApiError(403, `host ${host} is refused: this server answers to 127.0.0.1 and localhost only`, {
      code: "forbidden_host",
    });
  }
  const origin = request.headers.get("origin") ?? null;
  if (origin !== null && !isLoopbackUrl(origin)) {
    throw new ApiError(403, `web pages from ${origin} may not use this server: it serves this machine only`, {
      code: "forbidden_origin",
    });
  }
}

/**
 * Refuses whoever does not know the token, in constant time.
 *
 * @throws {ApiError} 401, in OpenAI's shape
 *
 * ```ts
 * checkToken(new Request("http://localhost/", { headers: { authorization: "Bearer secret" } }), "secret");
 * ```
 */
export function checkToken(request: Asking, token: string): void {
  if (!sameText(request.headers.get("authorization") ?? "", `Bearer ${token}`)) {
    throw new ApiError(401, "this engine belongs to the program that started it: wrong or missing API key", {
      code: "invalid_api_key",
    });
  }
}

function sameText(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
