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
 * The checks of one server.
 *
 * ```ts
 * const access = new Access({ host: "127.0.0.1", apiKey: null, cors: [] });
 * const request = { method: "GET", headers: new Headers({ host: "evil.example" }) };
 * try {
 *   access.check(request);
 *   throw new Error("refused: the name is not a loopback name");
 * } catch (error) {
 *   if (!(error instanceof Error && error.message.startsWith("host evil.example"))) throw error;
 * }
 * ```
 */
export class Access {
  readonly #local: boolean;
  readonly #key: Uint8Array | null;
  readonly #pages: readonly string[];

  constructor({ host, apiKey, cors }: AccessRules) {
    this.#local = isLoopbackHost(host);
    this.#key = apiKey === null ? null : digest(apiKey);
    this.#pages = cors;
  }

  /**
   * Checks `Host`, `Origin` and the key.
   *
   * @throws {ApiError} 401 or 403
   */
  check(request: CheckedRequest): void {
    this.checkSource(request);
    if (request.method === "OPTIONS") return; // a browser's preflight request carries no key
    if (!this.hasKey(request)) {
      throw new ApiError(401, "wrong or missing API key", { code: "invalid_api_key" });
    }
  }

  /**
   * Checks `Host` and `Origin` alone.
   *
   * @throws {ApiError} 403
   */
  checkSource({ headers }: CheckedRequest): void {
    const host = headers.get("host");
    if (host === null) throw new ApiError(400, "the request has no Host header");
    if (this.#local && !LOOPBACK_HOST.test(host)) {
      throw new ApiError(
        403,
        `host ${host.slice(0, 100)} is refused: this server answers to 127.0.0.1 and localhost only`,
        { code: "forbidden_host" },
      );
    }
    const origin = headers.get("origin");
    if (origin === null || this.#allows(origin) || (this.#local && isLoopbackUrl(origin))) return;
    throw new ApiError(
      403,
      `web pages from ${origin.slice(0, 100)} may not use this server: a gateway takes them with --cors`,
      { code: "forbidden_origin" },
    );
  }

  /** Whether the request carries the key, or none is needed; compared in constant time. */
  hasKey({ headers }: CheckedRequest): boolean {
    if (this.#key === null) return true;
    const given = /^Bearer +(.*)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "";
    return timingSafeEqual(digest(given), this.#key);
  }

  /** CORS headers of the answer; none for pages that are not allowed. */
  corsHeaders({ headers, method }: CheckedRequest): Readonly<Record<string, string>> {
    const origin = headers.get("origin");
    if (origin === null || !this.#allows(origin)) return {};
    const own = method === "OPTIONS"
      ? {
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": headers.get("access-control-request-headers") ??
          "authorization, content-type",
        "access-control-max-age": "600",
      }
      : {
        "access-control-expose-headers": "x-podium-model, x-podium-intent, x-podium-reason, x-podium-request",
      };
    return { "access-control-allow-origin": origin, vary: "origin", ...own };
  }

  #allows(origin: string): boolean {
    return this.#pages.includes("*") || this.#pages.includes(origin);
  }
}

/** All digests have the same length, so that a comparison takes the same time whatever the key. */
const digest = (text: string) => createHash("sha256").update(text).digest();

const isLoopbackUrl = (text: string) => URL.canParse(text) && LOOPBACK.has(new URL(text).hostname);
