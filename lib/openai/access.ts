/**
 * Who may use the gateway. A web page can make a browser send requests to 127.0.0.1, also under a name of the
 * page's own that was pointed there (DNS rebinding): Host and Origin stop that. Whoever else reaches the port
 * needs the key.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api_error.ts";
import type { HeaderList, HttpRequest } from "./http_server.ts";

export interface AccessRules {
  /** The address that is listened on. */
  readonly host: string;
  readonly apiKey: string | null;
  /** Web pages (origins, or `*`) that may use it from a browser. */
  readonly cors: readonly string[];
}

/** All that access depends on. */
type Asker = Pick<HttpRequest, "method" | "headers">;

export interface Access {
  /** @throws {ApiError} 401 or 403, in OpenAI's shape */
  check(request: Asker): void;
  /** What the answer tells a browser; nothing for pages that were not named. */
  headers(request: Asker): HeaderList;
}

const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);

/**
 * Whether only this machine reaches an address.
 *
 * ```ts
 * if (!isLoopbackHost("127.0.0.1") || isLoopbackHost("0.0.0.0")) throw new Error("all interfaces are not loopback");
 * ```
 */
export function isLoopbackHost(host: string): boolean {
  return LOOPBACK.has(host) || host === "::1";
}

/**
 * Makes the check.
 *
 * ```ts
 * const access = accessFor({ host: "127.0.0.1", apiKey: null, cors: [] });
 * const headers = new Map([["host", "evil.example"]]);
 * let refused = false;
 * try {
 *   access.check({ method: "GET", headers });
 * } catch (error) {
 *   refused = error instanceof Error;
 * }
 * if (!refused) throw new Error("that name is none of ours");
 * ```
 */
export function accessFor({ host, apiKey, cors }: AccessRules): Access {
  const local = isLoopbackHost(host);
  const key = apiKey === null ? null : digest(apiKey);
  const named = (origin: string) => cors.includes("*") || cors.includes(origin);
  return {
    check({ headers, method }) {
      if (local) checkHost(headers.get("host"));
      const origin = headers.get("origin");
      if (origin !== undefined && !named(origin) && !(local && isLoopbackUrl(origin))) {
        throw new ApiError(
          403,
          `web pages from ${shown(origin)} may not use this server: name them with --cors`,
          {
            code: "forbidden_origin",
          },
        );
      }
      if (key === null || method === "OPTIONS") return; // a browser asks for leave without its key
      const told = /^Bearer +(.*)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "";
      if (!timingSafeEqual(digest(told), key)) {
        throw new ApiError(401, "wrong or missing API key", { code: "invalid_api_key" });
      }
    },
    headers({ headers, method }) {
      const origin = headers.get("origin");
      if (origin === undefined || !named(origin)) return [];
      const shared = [["access-control-allow-origin", origin], ["vary", "origin"]] as const;
      if (method !== "OPTIONS") {
        return [...shared, [
          "access-control-expose-headers",
          "x-podium-model, x-podium-intent, x-podium-reason, x-podium-request",
        ]];
      }
      return [
        ...shared,
        ["access-control-allow-methods", "GET, POST"],
        [
          "access-control-allow-headers",
          headers.get("access-control-request-headers") ?? "authorization, content-type",
        ],
        ["access-control-max-age", "600"],
      ];
    },
  };
}

/** Of equal length whatever the key's: comparing takes the same time for all. */
const digest = (text: string) => createHash("sha256").update(text).digest();

function checkHost(host: string | undefined): void {
  if (host === undefined || LOOPBACK_HOST.test(host)) return;
  throw new ApiError(
    403,
    `host ${shown(host)} is refused: this server answers to 127.0.0.1 and localhost only`,
    {
      code: "forbidden_host",
    },
  );
}

const LOOPBACK_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i;

const isLoopbackUrl = (text: string) => URL.canParse(text) && LOOPBACK.has(new URL(text).hostname);

const shown = (text: string) => text.slice(0, 100);
