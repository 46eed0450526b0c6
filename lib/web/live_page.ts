/** The shared parts of live pages: head, security policy, and the server that checks its clients. */
import { isIP } from "node:net";
import type { Clock } from "../clock.ts";
import { accessFor, isLoopbackHost } from "../openai/access.ts";
import { ApiError } from "../openai/api_error.ts";
import { type HttpHandler, type HttpServer, type IncomingRequest, serveHttp } from "../openai/server.ts";
import { type Markup, markup } from "../markup.ts";

/** Styles and scripts come from the page's own address alone, and no content of a page can run or use the network. */
export const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

/** An answer of a live page. */
export const reply = (body: string, type: string, status = 200): Response =>
  new Response(body, { status, headers: { ...HEADERS, "content-type": `${type}; charset=utf-8` } });

/** Gives the reason, in words that a page may show. */
export const refuse = (status: number, why: string): Response => reply(why, "text/plain", status);

export interface LivePageParts {
  readonly title: string;
  /** The address of its style and script, without `.css` and `.js`. */
  readonly assets: string;
  /** The address of its events; left out for a page that polls. */
  readonly events?: string;
  readonly body: Markup;
}

/** A whole page. */
export function livePage({ title, assets, events, body }: LivePageParts): string {
  return String(markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${assets}.css">
<script src="${assets}.js" defer></script>
</head>
<body${events === undefined ? null : markup` data-events="${events}"`}>
${body}
</body>
</html>
`);
}

/** Where a live page is served. */
export interface LiveServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

/**
 * Serves a live page to requests under its own address.
 *
 * @throws the system's error where the address can't be had
 */
export async function serveLive(handler: HttpHandler, options: LiveServerOptions): Promise<HttpServer> {
  const { host, port, clock, onFault } = options;
  const access = accessFor({ host, apiKey: null, cors: [] });
  return await serveHttp((request) => {
    access.checkSource(request);
    if (!isLoopbackHost(host)) checkHost(request, host);
    return handler(request);
  }, { hostname: host, port, clock, onFault });
}

/** A web page elsewhere can reach an address of this network under a name of its own, but not under a bare address. */
function checkHost({ headers }: IncomingRequest, host: string): void {
  const asked = (headers.get("host") ?? "").replace(/:\d{1,5}$/, "");
  if (isIP(asked.replace(/^\[(.*)\]$/, "$1")) > 0 || asked === "localhost" || asked === host) return;
  throw new ApiError(403, "this page answers to an address or its --host, not to other names", {
    code: "forbidden_host",
  });
}

/** Where a page for one person is served: on 127.0.0.1, behind a path that is hard to guess. */
export interface PrivatePageOptions extends Omit<LiveServerOptions, "host"> {
  /** Hard to guess; part of the address. */
  readonly token: string;
}

/** Longest time for answers in progress when the page stops. */
const LAST_ANSWERS_MS = 2000;

/**
 * Serves a page for one person, under the address that it listens on.
 *
 * @param handle gets the request, and its method and the rest of its path as in `POST mark`
 * @throws the system's error where the port can't be had
 */
export async function servePrivately(
  handle: (request: IncomingRequest, path: string) => Response | Promise<Response>,
  { token, ...options }: PrivatePageOptions,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const host = "127.0.0.1";
  const server = await serveLive((request) => {
    const { headers, method, path } = request;
    if (headers.get("host") !== `${host}:${server.port}`) return refuse(403, "use the page's own address");
    if (!path.startsWith(`/${token}/`)) return refuse(404, "not found");
    return handle(request, `${method} ${path.slice(token.length + 2)}`);
  }, { ...options, host });
  return { url: `http://${host}:${server.port}/${token}/`, stop: () => server.close(LAST_ANSWERS_MS) };
}
