/** Which OpenAI-compatible services there are, what they are, and which models they list. */
import { z } from "zod";
import type { Fetch } from "../clock.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { getFromService, type UntimedOptions } from "../endpoint/untimed_request.ts";
import { UserError } from "../errors.ts";
import type { RunProgram } from "../program.ts";
import { kindOf, KNOWN_PORTS, parseEndpoint } from "./address.ts";
import { probeFoundryCli } from "./foundry_cli.ts";
import { listServiceModels, type ServiceModels } from "./model_list.ts";

export { parseEndpoint } from "./address.ts";
export { type ListedModel, listServiceModels } from "./model_list.ts";

/** Variables that name a service, in order of precedence: the workshop's, then the course's router sample. */
const VARIABLES = ["FOUNDRY_LOCAL_ENDPOINT", "BASE_URL"] as const;

/** A service that was named, or found where such services listen; `problem` is set only for named services. */
export interface FoundService extends ServiceModels {
  readonly endpoint: Endpoint;
  /** `Foundry Local 2.x`, `Ollama` …: what the service shows itself to be, else what usually listens there. */
  readonly kind: string;
  readonly source: typeof VARIABLES[number] | "--endpoint" | "Foundry CLI" | "known port";
}

/** How services are looked for. */
interface FindOptions {
  readonly fetch: Fetch;
  /** `Deno.env`, or a stand-in. */
  readonly env: { get(name: string): string | undefined };
  /** For the whole search. @default 1500 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Runs Foundry Local's command line, which knows where its service listens; without it only ports are tried. */
  readonly run?: RunProgram;
}

/**
 * Looks for services: those that `FOUNDRY_LOCAL_ENDPOINT` and `BASE_URL` name (with `API_KEY`), then the one
 * that Foundry Local's command line reports, then the ports where Foundry Local, Ollama, LM Studio,
 * llama.cpp's server and vLLM listen on this machine. All are tried at once; Foundry Local gets a few seconds
 * more to read its catalogue. A named service comes first even where it does not answer: `problem` then says
 * why. Only named services get the key.
 *
 * @throws {UserError} where a variable does not hold a URL
 *
 * ```ts
 * const fetch = (url: string | URL | Request) =>
 *   String(url).includes(":11434/")
 *     ? Promise.resolve(Response.json({ data: [{ id: "qwen2.5:0.5b", owned_by: "library" }] }))
 *     : Promise.reject(new TypeError("connection refused"));
 * const found = await findServices({ fetch, env: { get: () => undefined } });
 * if (found.length !== 1 || found[0]?.kind !== "Ollama") throw new Error("only Ollama answers");
 * ```
 */
export async function findServices(options: FindOptions): Promise<FoundService[]> {
  const { fetch, env, signal, run } = options;
  const untimed = {
    fetch,
    timeoutMs: options.timeoutMs ?? 1500,
    ...(signal === undefined ? {} : { signal }),
  };
  const named = VARIABLES.flatMap((source) => {
    const text = env.get(source)?.trim() ?? "";
    return text === "" ? [] : [{ source, endpoint: namedEndpoint(source, text, env.get("API_KEY")) }];
  });
  const addresses = new Set(named.map(({ endpoint }) => addressOf(endpoint)));
  const known = KNOWN_PORTS
    .map(({ port, name }) => ({ name, baseUrl: `http://127.0.0.1:${port}/v1` }))
    .filter((endpoint) => !addresses.has(addressOf(endpoint)));
  const [ofCli, ...found] = await Promise.all([
    run === undefined ? null : serviceOfCli(run, untimed),
    ...named.map(({ source, endpoint }) => describeService(endpoint, source, untimed)),
    ...known.map((endpoint) => describeService(endpoint, "known port", untimed)),
  ]);
  const usable = found.filter(({ source, listed }) => source !== "known port" || listed);
  return withUniqueNames(ofCli === null ? usable : withCli(usable, ofCli));
}

/** The command line's service precedes known ports and follows named services; no address comes twice. */
function withCli(found: readonly FoundService[], ofCli: FoundService): FoundService[] {
  const named = found.filter(({ source }) => source !== "known port");
  const same = ({ endpoint }: FoundService) => addressOf(endpoint) === addressOf(ofCli.endpoint);
  const rest = found.filter((service) => service.source === "known port" && !same(service));
  return [...named, ...(named.some(same) ? [] : [ofCli]), ...rest];
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

const addressOf = ({ baseUrl }: Endpoint) => baseUrl.replace("//localhost:", "//127.0.0.1:");

async function serviceOfCli(run: RunProgram, untimed: UntimedOptions): Promise<FoundService | null> {
  const cli = await probeFoundryCli({ ...untimed, run });
  if (cli === null || cli.serviceUrl === null) return null;
  const endpoint = { name: "foundry", baseUrl: `${cli.serviceUrl}/v1` };
  const service = await describeService(endpoint, "Foundry CLI", untimed);
  return service.problem === null ? service : null;
}

function namedEndpoint(variable: string, text: string, apiKey: string | undefined): Endpoint {
  try {
    return parseEndpoint(text, apiKey);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${variable}: ${error.message}`, 2, { cause: error });
    throw error;
  }
}

/**
 * What a service is and which models it lists; where it can't be used, `problem` says why.
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ data: [{ id: "qwen2.5:0.5b", owned_by: "library" }] }));
 * const endpoint = parseEndpoint("http://localhost:9000");
 * const service = await describeService(endpoint, "known port", { fetch, timeoutMs: 500 });
 * if (service.kind !== "Ollama" || service.models.length !== 1) throw new Error(service.kind);
 * ```
 */
export async function describeService(
  endpoint: Endpoint,
  source: FoundService["source"],
  options: UntimedOptions,
): Promise<FoundService> {
  const list = await listServiceModels(endpoint, options);
  if (list.foundry !== null) {
    return { ...list, endpoint, source, kind: `Foundry Local ${list.foundry.generation}` };
  }
  const owners = list.models.map(({ ownedBy }) => ownedBy);
  const kind = list.problem === null ? await recognizeServer(endpoint, owners, options) : null;
  return { ...list, endpoint, source, kind: kind ?? kindOf(endpoint) };
}

/** What servers call the owner of their models in `GET /models`. */
const OWNERS: Readonly<Record<string, string>> = {
  library: "Ollama",
  organization_owner: "LM Studio",
  llamacpp: "llama.cpp's server",
  vllm: "vLLM",
};

const version = z.looseObject({ version: z.string() });
const lmStudio = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
const llamaCpp = z.looseObject({ default_generation_settings: z.unknown() });

/** Calls that only one kind of server answers in this way; the first that matches counts. */
const OWN_CALLS: readonly { path: string; kind: string; shape: z.ZodType }[] = [
  { path: "/api/version", kind: "Ollama", shape: version },
  { path: "/api/v0/models", kind: "LM Studio", shape: lmStudio },
  { path: "/props", kind: "llama.cpp's server", shape: llamaCpp },
  { path: "/version", kind: "vLLM", shape: version },
];

/**
 * The kind of a server that is not Foundry Local: by the owner of its models, else by a call that only one
 * kind of server answers; null where neither identifies it.
 *
 * ```ts
 * const fetch = () => Promise.reject(new TypeError("not needed"));
 * const endpoint = { name: "x", baseUrl: "http://127.0.0.1:8000/v1" };
 * const kind = await recognizeServer(endpoint, ["vllm"], { fetch, timeoutMs: 500 });
 * if (kind !== "vLLM") throw new Error("vLLM names itself");
 * ```
 */
export async function recognizeServer(
  endpoint: Endpoint,
  owners: readonly (string | null)[],
  options: UntimedOptions,
): Promise<string | null> {
  const byOwner = owners.map((owner) => OWNERS[owner ?? ""]).find((kind) => kind !== undefined);
  if (byOwner !== undefined) return byOwner;
  const kinds = await Promise.all(OWN_CALLS.map(async ({ path, kind, shape }) => {
    try {
      const { status, json } = await getFromService(endpoint, path, options);
      return status === 200 && shape.safeParse(json).success ? kind : null;
    } catch (error) {
      if (error instanceof UserError) return null;
      throw error;
    }
  }));
  return kinds.find((kind) => kind !== null) ?? null;
}
