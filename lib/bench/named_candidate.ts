/** Resolves names to candidates: a registry model and variant, or a service's model. */
import {
  type EngineSettings,
  findModel,
  findVariant,
  type Model,
  plainName,
  type Registry,
  suggestNames,
  type Variant,
} from "../catalog/model.ts";
import { isLoopback } from "../endpoint/loopback.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { UserError } from "../errors.ts";
import type { ListedModel } from "../services/discovery.ts";
import {
  type CandidateName,
  EMBEDDED,
  ENGINE_SETTINGS,
  engineSettingsOf,
  parseCandidateName,
  REQUEST_SETTINGS,
  type RequestVariation,
  requestVariationOf,
} from "./candidate_name.ts";
import type { CandidateInfo } from "./records.ts";

/** A service, and the models that it lists. */
export interface ServiceListing {
  readonly endpoint: Endpoint;
  readonly models: readonly ListedModel[];
  /** False where the service has no list: a named model is requested anyway. */
  readonly listed?: boolean;
}

interface EmbeddedCandidate {
  readonly kind: "embedded";
  readonly info: CandidateInfo;
  readonly model: Model;
  readonly variant: Variant;
  readonly engine: EngineSettings;
  /** The path by which the model was named; null for a file of the model folder. */
  readonly file: string | null;
}

interface EndpointCandidate {
  readonly kind: "endpoint";
  readonly info: CandidateInfo;
  readonly endpoint: Endpoint;
}

/** A candidate that has a name and an id, and is not loaded or reached yet. */
export type NamedCandidate = EmbeddedCandidate | EndpointCandidate;

/** Whether llama.cpp runs it; adapters and services don't need it. */
export const runsInEngine = (candidate: NamedCandidate): boolean =>
  candidate.kind === "embedded" && candidate.variant.adapter === null;

/** What names are looked up in. */
export interface ResolveFrom {
  readonly registry: Registry;
  readonly services: readonly ServiceListing[];
  /**
   * Engine options from flags and the environment. They take precedence over models.json; a candidate's own
   * settings take precedence over them.
   */
  readonly engine: EngineSettings;
  /** Models that were named by the path of their file or by their repository, by that name. */
  readonly files?: ReadonlyMap<string, Model>;
}

/**
 * The candidates of `names`, in the same order, each with a unique id.
 *
 * A name that a service lists, or whose model a service lists, runs there; otherwise the embedded engine runs
 * it where models.json has a GGUF file or an adapter for it. `@ENDPOINT` (or `@embedded`) decides.
 *
 * @throws {UserError} naming the value, what is known, and similar names
 *
 * ```ts
 * import { parseRegistry } from "../catalog/registry.ts";
 * const registry = parseRegistry('{"phi-4-mini": {"capabilities": ["general"], "size_mb": 2000}}', "models.json");
 * const service = {
 *   endpoint: { name: "foundry", baseUrl: "http://127.0.0.1:5273/v1" },
 *   models: [{ id: "phi-4-mini-generic-cpu:5", ownedBy: null }],
 * };
 * const [candidate] = resolveCandidates(["phi-4-mini"], { registry, services: [service], engine: {} });
 * if (candidate?.info.id !== "phi-4-mini:generic-cpu@foundry") throw new Error(candidate?.info.id);
 * ```
 */
export function resolveCandidates(names: readonly string[], from: ResolveFrom): NamedCandidate[] {
  return withUniqueIds(names.map((name) => resolveOne(name, from)));
}

/** The names of the endpoints that a candidate may name. */
export const endpointNames = (services: readonly ServiceListing[]): string[] => [
  EMBEDDED,
  ...services.map(({ endpoint }) => endpoint.name),
];

function resolveOne(text: string, from: ResolveFrom): NamedCandidate {
  const known = endpointNames(from.services);
  const named = parseCandidateName(text, known);
  const { endpoint, isFile, isHub } = named;
  if (endpoint !== null && !known.includes(endpoint)) throw noEndpoint(named, endpoint, known);
  if (isFile || isHub) return embedded(named, from);
  if (endpoint !== EMBEDDED) {
    const services = endpoint === null
      ? from.services
      : from.services.filter((service) => service.endpoint.name === endpoint);
    const { ready, any } = findListed(named, services, from.registry);
    const listed = endpoint === null && ready === null && runsEmbedded(named, from.registry) ? null : any;
    if (listed !== null) return atEndpoint(named, listed.service.endpoint, listed.model, from.registry);
    const unlisted = services.find((service) => service.listed === false);
    if (unlisted !== undefined && (endpoint !== null || !runsEmbedded(named, from.registry))) {
      return atEndpoint(named, unlisted.endpoint, { id: named.whole, ownedBy: null }, from.registry);
    }
    if (endpoint !== null) throw notListed(named, services);
    const at = text.lastIndexOf("@");
    if (at > 0) throw noEndpoint(named, text.slice(at + 1), known);
  }
  return embedded(named, from);
}

function noEndpoint({ text }: CandidateName, endpoint: string, known: readonly string[]): UserError {
  return new UserError(
    `${text}: unknown endpoint "${endpoint}"; known: ${
      known.join(", ")
    }: name one with --endpoint ${endpoint}=URL`,
  );
}

interface Listed {
  readonly service: ServiceListing;
  readonly model: ListedModel;
}

/**
 * An exact id first; then a build of the same model, for the CPU before other devices. A model that its
 * service would have to download first is taken only where no other one has the name.
 */
function findListed(
  { whole, name, parts }: CandidateName,
  services: readonly ServiceListing[],
  registry: Registry,
): { readonly ready: Listed | null; readonly any: Listed | null } {
  const known = findModel(registry, name);
  const matches = ({ id, alias }: ListedModel) =>
    (alias?.toLowerCase() === name.toLowerCase() ||
      (known === undefined ? plainName(id) === plainName(name) : findModel(registry, id) === known)) &&
    parts.every((part) => id.toLowerCase().includes(part.toLowerCase()));
  const all = services.flatMap((service) => service.models.map((model) => ({ service, model })));
  const best = (from: readonly Listed[]): Listed | null => {
    const exact = from.find(({ model }) => model.id.toLowerCase() === whole.toLowerCase());
    if (exact !== undefined) return exact;
    const named = from.filter(({ model }) => matches(model));
    const here = named.filter(({ service }) => service === named[0]?.service);
    return here.find(({ model }) => /cpu/i.test(model.id)) ?? here[0] ?? null;
  };
  const ready = best(all.filter(({ model }) => model.ready !== false));
  return { ready, any: ready ?? best(all) };
}

/** The registry has a file of this model for the embedded engine, or an adapter. */
function runsEmbedded({ name }: CandidateName, registry: Registry): boolean {
  return findModel(registry, name)?.variants.some(runsHere) ?? false;
}

const runsHere = ({ format, file, adapter }: Variant) =>
  adapter !== null || format === "gguf" && file !== null;

/** The request settings in a candidate's info. */
function requestVariation({ text, requestParts }: CandidateName): { request?: RequestVariation } {
  return requestParts.length === 0 ? {} : { request: requestVariationOf(text, requestParts) };
}

function atEndpoint(
  named: CandidateName,
  endpoint: Endpoint,
  listed: ListedModel,
  registry: Registry,
): EndpointCandidate {
  const { id: modelId } = listed;
  const model = findModel(registry, modelId);
  const plain = plainName(modelId);
  const device = modelId.toLowerCase().replace(/:\d+$/, "").slice(plain.length).replace(/^-/, "");
  const alias = model?.alias ?? listed.alias ?? modelId;
  const variant = alias === modelId || device === "" ? null : device;
  const parts = [...(variant === null ? [] : [variant]), ...named.requestParts].join("+");
  return {
    kind: "endpoint",
    endpoint,
    info: {
      // The colon in a service's own id already separates its parts.
      id: `${
        [alias, parts].filter((one) => one !== "").join(alias.includes(":") ? "+" : ":")
      }@${endpoint.name}`,
      alias,
      variant,
      endpoint: endpoint.name,
      model_id: modelId,
      device: listed.device ?? null,
      size_mb: listed.sizeMb ?? null,
      license: model?.license.id ?? null,
      chat_template: "unknown",
      ...(isLoopback(new URL(endpoint.baseUrl)) ? { base_url: endpoint.baseUrl } : {}),
      ...requestVariation(named),
    },
  };
}

function embedded(named: CandidateName, from: ResolveFrom): EmbeddedCandidate {
  const { registry, engine, files } = from;
  const { text, name, parts, requestParts, isFile, isHub } = named;
  const model = isFile || isHub ? files?.get(name) : findModel(registry, name);
  if (model === undefined) throw unknownModel(named, from);
  const settings = parts.filter((part) => part.includes("="));
  const wanted = parts.find((part) => !part.includes("="));
  const runnable = model.variants.filter(runsHere);
  const variant = wanted === undefined ? runnable[0] : findVariant({ ...model, variants: runnable }, wanted);
  if (variant === undefined) throw noVariant(text, model, wanted, runnable);
  if (variant.adapter !== null && settings.length > 0) throw adapterHasNone(text, model, settings);
  const full = [variant.name, ...settings].join("+");
  const merged = { ...variant.engine, ...onlyGiven(engine), ...engineSettingsOf(text, settings) };
  return {
    kind: "embedded",
    model,
    variant,
    engine: merged,
    file: isFile ? name : null,
    info: {
      id: `${model.alias}:${[full, ...requestParts].join("+")}`,
      alias: model.alias,
      variant: full,
      endpoint: EMBEDDED,
      model_id: `${model.alias}:${full}`,
      device: variant.adapter === null ? merged.gpu ?? "auto" : "cpu",
      size_mb: variant.sizeMb,
      license: model.license.id,
      ...(variant.sha256 === null ? {} : { sha256: variant.sha256 }),
      chat_template: model.chatTemplate,
      ...requestVariation(named),
    },
  };
}

/** A flag that was not given has no effect. */
const onlyGiven = (engine: EngineSettings): EngineSettings =>
  Object.fromEntries(Object.entries(engine).filter(([, value]) => value !== undefined));

function notListed({ text, endpoint }: CandidateName, services: readonly ServiceListing[]): UserError {
  const isEmpty = services.every(({ models }) => models.length === 0);
  const advice = isEmpty ? "load one there first" : "give one of these";
  return new UserError(`${text}: ${endpoint} lists ${listedModels(services)}: ${advice}`);
}

function listedModels(services: readonly ServiceListing[]): string {
  const ids = services.flatMap(({ models }) => models.map(({ id }) => id));
  if (ids.length === 0) return "no models";
  return ids.slice(0, 12).join(", ") + (ids.length > 12 ? ` and ${ids.length - 12} more` : "");
}

function adapterHasNone(text: string, { alias }: Model, settings: readonly string[]): UserError {
  return new UserError(
    `${text}: ${alias} is an adapter, which has no engine settings: leave out ${
      settings.join("+")
    } and state ` +
      '"options" in its registry entry',
  );
}

export function unknownModel(
  { text, name, isFile, isHub }: CandidateName,
  { registry, services }: Pick<ResolveFrom, "registry" | "services">,
): UserError {
  if (isHub) {
    return new UserError(`${text}: the repository was not read: name it where models are downloaded`);
  }
  if (isFile) return new UserError(`${text}: the file was not read: give the path of a GGUF file`);
  const near = suggestNames(registry, name);
  const ids = services.some(({ models }) => models.length > 0)
    ? `; the services list ${listedModels(services)}`
    : "";
  const hint = near.length === 0
    ? "deno task models list shows what is known"
    : `did you mean ${near.join(" or ")}?`;
  return new UserError(`${text}: the registry has no model called "${name}"${ids}; ${hint}`);
}

function noVariant(
  text: string,
  { alias }: Model,
  wanted: string | undefined,
  runnable: readonly Variant[],
): UserError {
  if (runnable.length === 0) {
    return new UserError(
      `${text}: models.json has no GGUF file and no adapter for ${alias}: run it in a service and name that with ` +
        "--endpoint URL, or add a source",
    );
  }
  const names = runnable.map(({ name }) => name).join(", ");
  return new UserError(
    `${text}: ${alias} has no variant "${wanted}": give ${names}, engine settings (${ENGINE_SETTINGS}), ` +
      `or request settings (${REQUEST_SETTINGS})`,
  );
}

/** A candidate that is entered twice gets `#2`. */
function withUniqueIds(candidates: readonly NamedCandidate[]): NamedCandidate[] {
  const seen = new Map<string, number>();
  return candidates.map((candidate) => {
    const { id } = candidate.info;
    const count = (seen.get(id) ?? 0) + 1;
    seen.set(id, count);
    return count === 1 ? candidate : { ...candidate, info: { ...candidate.info, id: `${id}#${count}` } };
  });
}

/**
 * The candidates of a resumed run: the same ids, found again from run.json.
 *
 * @throws {UserError} where a model or an endpoint no longer exists
 */
export function resolveAgain(infos: readonly CandidateInfo[], from: ResolveFrom): NamedCandidate[] {
  const known = endpointNames(from.services);
  return infos.map((info) => {
    if (!known.includes(info.endpoint)) {
      throw new UserError(
        `${info.id} was measured at the endpoint ${info.endpoint}, whose address runs don't keep: ` +
          `give --endpoint ${info.endpoint}=URL`,
      );
    }
    return { ...resolveOne(nameAgain(info, from), from), info };
  });
}

/** A model that was named by its file is found only where that file is named again. */
function nameAgain({ id, alias, variant, endpoint, model_id }: CandidateInfo, from: ResolveFrom): string {
  if (endpoint !== EMBEDDED) return `${model_id}@${endpoint}`;
  const file = [...from.files ?? []].find(([, model]) => model.alias === alias);
  if (file !== undefined) return `"${file[0]}":${variant}@${EMBEDDED}`;
  if (findModel(from.registry, alias) !== undefined) return `${model_id}@${EMBEDDED}`;
  throw new UserError(
    `${id} was measured from a file, whose path runs don't store: name it again with --models PATH`,
  );
}
