/**
 * Access control of a server. A web page can make a browser send requests to 127.0.0.1, also under a name of
 * its own that resolves there (DNS rebinding): the checks of `Host` and `Origin` stop both. Every other
 * client that reaches the port needs the key.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api_error.ts";
import type { IncomingRequest } from "./server.ts";

export interface AccessRules {
  /** The address that the server listens on. */
  readonly host: string;
  /** The key that requests must carry; null: none is needed. */
  readonly apiKey: string | null;
  /** Web pages (origins, or `*`) that may use the server from a browser. */
  readonly cors: readonly string[];
}

type CheckedRequest = Pick<IncomingRequest, "method" | "headers">;

export interface Access {
  /**
   * Checks `Host` and `Origin` alone.
   *
   * @throws {ApiError} 403
   */
  checkSource(request: CheckedRequest): void;
  /** Whether the request carries the key, or none is needed; compared in constant time. */
  hasKey(request: CheckedRequest): boolean;
  /**
   * Checks `Host`, `Origin` and the key.
   *
   * @throws {ApiError} 401 or 403
   */
  check(request: CheckedRequest): void;
  /** CORS headers of the answer; none for pages that are not allowed. */
  corsHeaders(request: CheckedRequest): Readonly<Record<string, string>>;
}

/**
 * Whether only this machine reaches an address.
 *
 * ```ts
 * if (!isLoopbackHost("127.0.0.1") || isLoopbackHost("0.0.0.0")) throw new Error("all interfaces are not loopback");
 * ```
 */
export const isLoopbackHost = (host: string): boolean => LOOPBACK.has(host) || host === "::1";

const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);
const LOOPBACK_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i;

/**
 * Makes the checks of one server.
 *
 * ```ts
 * const access = accessFor({ host: "127.0.0.1", apiKey: null, cors: [] });
 * const request = { method: "GET", headers: new Headers({ host: "evil.example" }) };
 * try {
 *   access.check(request);
 *   throw new Error("refused: the name is not a loopback name");
 * } catch (error) {
 *   if (!(error instanceof Error && error.message.startsWith("host evil.example"))) throw error;
 * }
 * ```
 */
export function accessFor({ host, apiKey, cors }: AccessRules): Access {
  const local = isLoopbackHost(host);
  const key = apiKey === null ? null : digest(apiKey);
  const named = (origin: string) => cors.includes("*") || cors.includes(origin);
  const checkSource = ({ headers }: CheckedRequest) => {
    const asked = headers.get("host");
    if (asked === null) throw new ApiError(400, "the request has no Host header");
    if (local && !LOOPBACK_HOST.test(asked)) {
      throw new ApiError(
        403,
        `host ${asked.slice(0, 100)} is refused: this server answers to 127.0.0.1 and localhost only`,
        { code: "forbidden_host" },
      );
    }
    const origin = headers.get("origin");
    if (origin === null || named(origin) || (local && isLoopbackUrl(origin))) return;
    throw new ApiError(
      403,
      `web pages from ${origin.slice(0, 100)} may not use this server: a gateway takes them with --cors`,
      { code: "forbidden_origin" },
    );
  };
  const hasKey = ({ headers }: CheckedRequest) => {
    if (key === null) return true;
    const given = /^Bearer +(.*)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "";
    return timingSafeEqual(digest(given), key);
  };
  return {
    checkSource,
    hasKey,
    check(request) {
      checkSource(request);
      if (request.method === "OPTIONS") return; // a browser's preflight request carries no key
      if (!hasKey(request)) throw new ApiError(401, "wrong or missing API key", { code: "invalid_api_key" });
    },
    corsHeaders({ headers, method }) {
      const origin = headers.get("origin");
      if (origin === null || !named(origin)) return {};
      const shared = { "access-control-allow-origin": origin, vary: "origin" };
      if (method !== "OPTIONS") {
        return {
          ...shared,
          "access-control-expose-headers":
            "x-podium-model, x-podium-intent, x-podium-reason, x-podium-request",
        };
      }
      return {
        ...shared,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": headers.get("access-control-request-headers") ??
          "authorization, content-type",
        "access-control-max-age": "600",
      };
    },
  };
}

/** All digests have the same length, so that a comparison takes the same time whatever the key. */
const digest = (text: string) => createHash("sha256").update(text).digest();

const isLoopbackUrl = (text: string) => URL.canParse(text) && LOOPBACK.has(new URL(text).hostname);
