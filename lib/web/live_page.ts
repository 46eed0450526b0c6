/** The shared parts of live pages: head, security policy, and the server that checks its clients. */
import { isIP } from "node:net";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { Access, isLoopbackHost } from "../openai/access.ts";
import { ApiError } from "../openai/api_error.ts";
import {
  bodyText,
  DEFAULT_LIMITS,
  type HttpHandler,
  type HttpServer,
  type IncomingRequest,
  parsedJson,
  serveHttp,
} from "../openai/server.ts";
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

/** Data for a page's script. */
export const json = (value: unknown): Response => reply(JSON.stringify(value), "application/json");

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
  const access = new Access({ host, apiKey: null, cors: [] });
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

/** A page for one person that is being served. */
export interface PrivatePage {
  readonly url: string;
  /** Resolves when that person says that they are finished. */
  readonly finished: Promise<void>;
  stop(): Promise<void>;
}

/** What a page for one person is made of, and what it asks its server by method and path, as in `POST mark`. */
export interface PrivatePageParts {
  readonly page: string;
  readonly style: string;
  readonly script: string;
  readonly routes: Readonly<Record<string, (request: IncomingRequest) => Response | Promise<Response>>>;
}

/** Longest time for answers in progress when the page stops. */
const LAST_ANSWERS_MS = 2000;

/**
 * Serves a page for one person, under the address that it listens on.
 *
 * @throws the system's error where the port can't be had
 */
export async function servePrivately(
  { page, style, script, routes }: PrivatePageParts,
  { token, ...options }: PrivatePageOptions,
): Promise<PrivatePage> {
  const finished = Promise.withResolvers<void>();
  const all: PrivatePageParts["routes"] = {
    "GET ": () => reply(page, "text/html"),
    "GET page.css": () => reply(style, "text/css"),
    "GET page.js": () => reply(script, "text/javascript"),
    "POST done": () => {
      finished.resolve();
      return new Response(null, { status: 204 });
    },
    ...routes,
  };
  const host = "127.0.0.1";
  const server = await serveLive((request) => {
    const { headers, method, path } = request;
    if (headers.get("host") !== `${host}:${server.port}`) return refuse(403, "use the page's own address");
    const [, given, rest] = /^\/([^/]*)\/(.*)$/.exec(path) ?? [];
    const route = `${method} ${rest}`;
    if (given !== token || !Object.hasOwn(all, route)) return refuse(404, "not found");
    return all[route]?.(request) ?? refuse(404, "not found");
  }, { ...options, host });
  return {
    url: `http://${host}:${server.port}/${token}/`,
    finished: finished.promise,
    stop: () => server.close(LAST_ANSWERS_MS),
  };
}

/** What a page posted; a refusal with the reason where it is not what `schema` describes. */
export async function posted<Posted>(
  request: IncomingRequest,
  schema: z.ZodType<Posted>,
): Promise<Posted | Response> {
  const parsed = schema.safeParse(parsedJson(await bodyText(request, DEFAULT_LIMITS)));
  return parsed.success ? parsed.data : refuse(400, z.prettifyError(parsed.error));
}
