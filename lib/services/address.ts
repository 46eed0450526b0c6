/** Addresses of services: as people write them, and the ports that services usually listen on. */
import { UserError } from "../errors.ts";
import type { Endpoint } from "../endpoint/trace.ts";

/** The default ports of local services. */
export const KNOWN_PORTS: readonly { port: number; name: string; kind: string }[] = [
  { port: 5273, name: "foundry", kind: "Foundry Local" },
  { port: 8000, name: "local-8000", kind: "a service on port 8000" },
  { port: 11434, name: "ollama", kind: "Ollama" },
  { port: 1234, name: "lm-studio", kind: "LM Studio" },
  { port: 8080, name: "llama-cpp", kind: "llama.cpp's server" },
  // Foundry Local chooses its port; its documentation and the course's samples show these.
  ...[5272, 51211, 55769, 57127, 59959].map((port) => ({
    port,
    name: `foundry-${port}`,
    kind: "Foundry Local",
  })),
];

/**
 * Parses `[NAME=]URL` into an endpoint. A URL without a path gets `/v1`; an endpoint without a name gets one
 * that does not contain the host.
 *
 * @throws {UserError} where the URL is invalid, or contains a user, a password or a query
 *
 * ```ts
 * const endpoint = parseEndpoint("lab=http://192.0.2.7:5273/v1/");
 * if (endpoint.name !== "lab" || endpoint.baseUrl !== "http://192.0.2.7:5273/v1") throw new Error("parse");
 * if (parseEndpoint("http://localhost:5273").name !== "foundry") throw new Error("known port");
 * ```
 */
export function parseEndpoint(text: string, apiKey?: string): Endpoint {
  const [, name, address] = /^(?:([A-Za-z0-9][\w.-]*)=)?(.*)$/s.exec(text.trim()) ?? [];
  const where = address ?? "";
  let url: URL;
  try {
    url = new URL(where);
  } catch (cause) {
    throw new UserError(
      `not an endpoint: ${JSON.stringify(text)}: give [NAME=]URL, as in http://127.0.0.1:5273/v1`,
      2,
      {
        cause,
      },
    );
  }
  const shown = `${url.protocol}//${url.host}${url.pathname}`;
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new UserError(`not an endpoint: ${shown}: give a URL that starts with http:// or https://`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new UserError(
      `the endpoint ${shown} contains a user, a query or a fragment: give the base URL alone, and the key in API_KEY`,
    );
  }
  const path = url.pathname.replace(/\/+$/, "");
  return {
    name: name ?? defaultName(url),
    baseUrl: `${url.origin}${path === "" ? "/v1" : path}`,
    ...(apiKey === undefined || apiKey === "" ? {} : { apiKey }),
  };
}

function defaultName(url: URL): string {
  const port = Number(url.port);
  const local = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  const known = local ? KNOWN_PORTS.find((one) => one.port === port) : undefined;
  return known?.name ?? `${local ? "local" : "remote"}${url.port === "" ? "" : `-${url.port}`}`;
}

/** What usually listens on an endpoint's port. */
export const kindOf = ({ baseUrl }: Endpoint) =>
  KNOWN_PORTS.find(({ port }) => new URL(baseUrl).port === String(port))?.kind ??
    "an OpenAI-compatible service";
