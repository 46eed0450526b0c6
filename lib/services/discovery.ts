/** Which OpenAI-compatible services are there, and which models they list. */
import type { Fetch } from "../clock.ts";
import { UserError } from "../errors.ts";
import type { RunProgram } from "../program.ts";
import { kindOf, KNOWN_PORTS, parseEndpoint } from "./address.ts";
import { askFoundryCli, type FoundryCli } from "./foundry_cli.ts";
import { type FoundryService, recognizeFoundry } from "./foundry_service.ts";
import { type ListedModel, type LookOptions, modelsOfFoundry, modelsOrProblem } from "./listing.ts";
import { recognizeServer } from "./recognize.ts";
import type { Endpoint } from "../endpoint/trace.ts";

export { parseEndpoint } from "./address.ts";
export { type ListedModel, listModels, type LookOptions } from "./listing.ts";

/** Variables that name a service, in order of precedence: the workshop's, then the course's router sample. */
const VARIABLES = ["FOUNDRY_LOCAL_ENDPOINT", "BASE_URL"] as const;

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

function namedEndpoint(variable: string, text: string, apiKey: string | undefined): Endpoint {
  try {
    return parseEndpoint(text, apiKey);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${variable}: ${error.message}`, 2, { cause: error });
    throw error;
  }
}
