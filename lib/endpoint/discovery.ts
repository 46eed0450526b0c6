/** Which OpenAI-compatible services are there, and which models they list. */
import { z } from "zod";
import type { Fetch } from "../clock.ts";
import { UserError } from "../errors.ts";
import type { RunProgram } from "../program.ts";
import { type AskOptions, getText } from "./ask.ts";
import { httpFailure, redacted, rootReason } from "./failure.ts";
import type { FoundryDevice } from "./foundry/cache.ts";
import { askFoundryCli, type FoundryCli } from "./foundry/cli.ts";
import { foundryModels, type FoundryService, recognizeFoundry } from "./foundry/service.ts";
import { recognizeServer } from "./recognize.ts";
import type { Endpoint } from "./trace.ts";

/** A model as `GET /models` lists it. */
export interface ListedModel {
  /** What a request's `model` field holds. */
  readonly id: string;
  readonly ownedBy: string | null;
  /** What the service itself calls the model, whatever its variant; left out where it does not tell. */
  readonly alias?: string;
  /** What the variant is made for; left out where the service does not tell. */
  readonly device?: FoundryDevice;
  readonly sizeMb?: number;
  /** False where it would have to be downloaded first; left out where everything listed is there. */
  readonly ready?: boolean;
}

export type LookOptions = AskOptions;

/** Where local services listen when nobody has told them otherwise. */
const KNOWN_PORTS: readonly { port: number; name: string; kind: string }[] = [
  { port: 5273, name: "foundry", kind: "Foundry Local" },
  { port: 8000, name: "local-8000", kind: "a service on port 8000" },
  { port: 11434, name: "ollama", kind: "Ollama" },
  { port: 1234, name: "lm-studio", kind: "LM Studio" },
  { port: 8080, name: "llama-cpp", kind: "llama.cpp's server" },
  // Foundry Local's port is dynamic: these are the ones that its documents and the course's samples show.
  ...[5272, 51211, 55769, 57127, 59959].map((port) => ({
    port,
    name: `foundry-${port}`,
    kind: "Foundry Local",
  })),
];

/** Variables that name a service, in order of precedence: the workshop's, then the course's router sample. */
const VARIABLES = ["FOUNDRY_LOCAL_ENDPOINT", "BASE_URL"] as const;

/**
 * Reads `[NAME=]URL` into an endpoint. A URL without a path gets `/v1`; an endpoint without a name gets one
 * that tells nothing of the host.
 *
 * @throws {UserError} where the URL is none, or carries a user, a password or a query
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
      `the endpoint ${shown} carries a user, a query or a fragment: give the bare base URL, and the key in API_KEY`,
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

const modelList = z.object({
  data: z.array(z.object({ id: z.string(), owned_by: z.string().nullish().catch(null) })),
});

/**
 * The models an endpoint lists, in its own order.
 *
 * @throws {UserError} where nobody answers, the key is refused, or the answer is not OpenAI's
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ data: [{ id: "phi-4-mini" }] }));
 * const models = await listModels(parseEndpoint("http://localhost:5273"), { fetch, timeoutMs: 1000 });
 * if (models[0]?.id !== "phi-4-mini") throw new Error("one model");
 * ```
 */
export async function listModels(endpoint: Endpoint, options: LookOptions): Promise<ListedModel[]> {
  const { baseUrl, apiKey } = endpoint;
  const { status, text } = await get(endpoint, "/models", options);
  if (status === 401 || status === 403) {
    throw new UserError(
      `${baseUrl} refused ${
        apiKey === undefined ? "a request without a key" : "the key"
      } (HTTP ${status}): put the right one in API_KEY`,
    );
  }
  if (status !== 200) {
    const reason = redacted(httpFailure(status, parsed(text)).message, apiKey);
    throw new UserError(
      `${baseUrl} does not list its models: ${reason}: an OpenAI-compatible base URL usually ends in /v1`,
    );
  }
  const list = modelList.safeParse(parsed(text));
  if (!list.success) {
    throw new UserError(
      `${baseUrl} is not an OpenAI-compatible endpoint: ${baseUrl}/models answered ${
        redacted(JSON.stringify(text.slice(0, 60)), apiKey)
      }: give its base URL, as in http://127.0.0.1:5273/v1`,
    );
  }
  return list.data.data.map(({ id, owned_by }) => ({ id, ownedBy: owned_by ?? null }));
}

async function get(endpoint: Endpoint, path: string, options: LookOptions) {
  const { baseUrl, apiKey } = endpoint;
  try {
    return await getText(`${baseUrl}${path}`, apiKey, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new UserError(
      `cannot reach ${baseUrl}: ${
        redacted(rootReason(error), apiKey)
      }: start the service, or name another with --endpoint URL or FOUNDRY_LOCAL_ENDPOINT`,
      2,
      { cause: error },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A service that was named, or found where such services listen. */
export interface FoundService {
  readonly endpoint: Endpoint;
  /** `Foundry Local`, `Ollama` …: what it shows itself to be, else what usually listens there. */
  readonly kind: string;
  readonly source: typeof VARIABLES[number] | "--endpoint" | "Foundry CLI" | "known port";
  readonly models: readonly ListedModel[];
  /** Why a service that a variable names can't be used; services that were only looked for have none. */
  readonly problem: string | null;
  /** Its own calls, where it is Foundry Local. */
  readonly foundry: FoundryService | null;
}

export interface FindOptions {
  readonly fetch: Fetch;
  /** `Deno.env`, or its like. */
  readonly env: { get(name: string): string | undefined };
  /** For the whole search. @default 1500 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Asks Foundry Local's command line where its service listens; left out, only ports are looked at. */
  readonly run?: RunProgram;
}

/**
 * Looks for services: those that `FOUNDRY_LOCAL_ENDPOINT` and `BASE_URL` name (with `API_KEY`), then the one
 * that Foundry Local's command line tells of, then the ports where Foundry Local, Ollama, LM Studio,
 * llama.cpp's server and vLLM listen on this machine. All at once, so that the search takes no longer than its
 * slowest part; a Foundry Local that answers gets a few seconds more to read its catalogue. A named service comes first even when it does not answer:
 * then `problem` says why. The key is sent to named services alone.
 *
 * @throws {UserError} where a variable holds no URL
 *
 * ```ts
 * const fetch = (url: string | URL | Request) =>
 *   String(url).includes(":11434/")
 *     ? Promise.resolve(Response.json({ data: [{ id: "qwen2.5:0.5b", owned_by: "library" }] }))
 *     : Promise.reject(new TypeError("connection refused"));
 * const found = await findServices({ fetch, env: { get: () => undefined } });
 * if (found.length !== 1 || found[0]?.kind !== "Ollama") throw new Error("Ollama alone answers");
 * ```
 */
export async function findServices(options: FindOptions): Promise<FoundService[]> {
  const { fetch, env, signal, run } = options;
  const timeoutMs = options.timeoutMs ?? 1500;
  const look = { fetch, timeoutMs, ...(signal === undefined ? {} : { signal }) };
  const named = VARIABLES.flatMap((source) => {
    const text = env.get(source)?.trim() ?? "";
    return text === "" ? [] : [{ source, endpoint: namedEndpoint(source, text, env.get("API_KEY")) }];
  });
  const places = new Set(named.map(({ endpoint }) => placeOf(endpoint)));
  const known = KNOWN_PORTS
    .map(({ port, name }) => ({ name, baseUrl: `http://127.0.0.1:${port}/v1` }))
    .filter((endpoint) => !places.has(placeOf(endpoint)));
  const [told, ...found] = await Promise.all([
    run === undefined ? null : serviceOfCli(run, look),
    ...named.map(({ source, endpoint }) => lookAtService(endpoint, source, look)),
    ...known.map((endpoint) => lookAtService(endpoint, "known port", look)),
  ]);
  const there = found.filter(({ source, problem }) => source !== "known port" || problem === null);
  return withUniqueNames(told === null ? there : withCli(there, told));
}

/** The command line's word comes before what listens somewhere, after what the user named; each place once. */
function withCli(there: readonly FoundService[], told: FoundService): FoundService[] {
  const named = there.filter(({ source }) => source !== "known port");
  const rest = there.filter(({ source, endpoint }) =>
    source === "known port" && placeOf(endpoint) !== placeOf(told.endpoint)
  );
  const isNamed = named.some(({ endpoint }) => placeOf(endpoint) === placeOf(told.endpoint));
  return [...named, ...(isNamed ? [] : [told]), ...rest];
}

/** Candidates are told apart by their endpoint's name. */
function withUniqueNames(services: readonly FoundService[]): FoundService[] {
  const seen = new Set<string>();
  return services.map((service) => {
    const { name, baseUrl } = service.endpoint;
    const unique = seen.has(name) ? `${name}-${new URL(baseUrl).port}` : name;
    seen.add(unique);
    return unique === name ? service : { ...service, endpoint: { ...service.endpoint, name: unique } };
  });
}

const placeOf = ({ baseUrl }: Endpoint) => baseUrl.replace("//localhost:", "//127.0.0.1:");

async function serviceOfCli(run: RunProgram, look: LookOptions): Promise<FoundService | null> {
  const cli: FoundryCli | null = await askFoundryCli({ ...look, run });
  if (cli === null || cli.serviceUrl === null) return null;
  const endpoint = { name: "foundry", baseUrl: `${cli.serviceUrl}/v1` };
  const service = await lookAtService(endpoint, "Foundry CLI", look);
  return service.problem === null ? service : null;
}

/** Reading the catalogue takes a service without network some seconds, the first time. */
const FOUNDRY_LIST_TIMEOUT_MS = 8000;

/**
 * What a service is and which models it has; where it can't be used, `problem` says why.
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ data: [{ id: "qwen2.5:0.5b", owned_by: "library" }] }));
 * const service = await lookAtService(parseEndpoint("http://localhost:9000"), "known port", { fetch, timeoutMs: 500 });
 * if (service.kind !== "Ollama" || service.models.length !== 1) throw new Error(service.kind);
 * ```
 */
export async function lookAtService(
  endpoint: Endpoint,
  source: FoundService["source"],
  look: LookOptions,
): Promise<FoundService> {
  const [foundry, listed] = await Promise.all([
    recognizeFoundry(endpoint, look),
    modelsOrProblem(endpoint, look),
  ]);
  if (foundry === null) {
    const owners = listed.models.map(({ ownedBy }) => ownedBy);
    const kind = listed.problem === null ? await recognizeServer(endpoint, owners, look) : null;
    return { endpoint, kind: kind ?? kindOf(endpoint), source, foundry: null, ...listed };
  }
  const patient = { ...look, timeoutMs: Math.max(look.timeoutMs, FOUNDRY_LIST_TIMEOUT_MS) };
  const models = await modelsOfFoundry(foundry, patient);
  return { endpoint, kind: `Foundry Local ${foundry.generation}`, source, foundry, ...models };
}

async function modelsOfFoundry(
  service: FoundryService,
  look: LookOptions,
): Promise<{ models: readonly ListedModel[]; problem: string | null }> {
  try {
    const models = (await foundryModels(service, look)).map((
      { chatId, alias, device, sizeMb, cached, loaded },
    ) => ({
      id: chatId,
      ownedBy: null,
      ...(alias === null ? {} : { alias }),
      ...(device === null ? {} : { device }),
      ...(sizeMb === null ? {} : { sizeMb }),
      ready: cached ?? loaded,
    }));
    return { models, problem: null };
  } catch (error) {
    if (error instanceof UserError) return { models: [], problem: error.message };
    throw error;
  }
}

function namedEndpoint(variable: string, text: string, apiKey: string | undefined): Endpoint {
  try {
    return parseEndpoint(text, apiKey);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${variable}: ${error.message}`, 2, { cause: error });
    throw error;
  }
}

const kindOf = ({ baseUrl }: Endpoint) =>
  KNOWN_PORTS.find(({ port }) => new URL(baseUrl).port === String(port))?.kind ??
    "an OpenAI-compatible service";

async function modelsOrProblem(
  endpoint: Endpoint,
  look: LookOptions,
): Promise<{ models: readonly ListedModel[]; problem: string | null }> {
  try {
    return { models: await listModels(endpoint, look), problem: null };
  } catch (error) {
    if (error instanceof UserError) return { models: [], problem: error.message };
    throw error;
  }
}
