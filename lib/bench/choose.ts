/**
 * From the names a person gives to the candidates of a run. A name is
 * `NAME[:VARIANT][@ENDPOINT]`: NAME is any name of the registry or an endpoint's own id, VARIANT a variant of
 * the registry or options of the embedded engine, joined by `+` (`q4_1+threads=1`).
 */
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
import type { ListedModel } from "../services/discovery.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { UserError } from "../errors.ts";
import type { CandidateInfo } from "./records.ts";

/** The endpoint's name of a candidate that our own engine runs. */
export const EMBEDDED = "embedded";

/** A service and what it lists. */
export interface Service {
  readonly endpoint: Endpoint;
  readonly models: readonly ListedModel[];
  /** False where the service has no list: a model that is named is requested all the same. */
  readonly listed?: boolean;
}

interface EmbeddedChoice {
  readonly kind: "embedded";
  readonly info: CandidateInfo;
  readonly entry: Model;
  readonly variant: Variant;
  readonly engine: EngineSettings;
}

interface EndpointChoice {
  readonly kind: "endpoint";
  readonly info: CandidateInfo;
  readonly endpoint: Endpoint;
}

/** A candidate that is named but not yet loaded or reached. */
export type Choice = EmbeddedChoice | EndpointChoice;

/** Whether it takes llama.cpp to run it: an adapter and a service don't. */
export const runsInEngine = (choice: Choice): boolean =>
  choice.kind === "embedded" && choice.variant.adapter === null;

export interface ChooseFrom {
  readonly registry: Registry;
  readonly services: readonly Service[];
  /** Engine options that hold unless a candidate's own say otherwise. */
  readonly engine: EngineSettings;
}

/**
 * The candidates that `names` stand for, in their order, each with an id of its own.
 *
 * A name that a service lists, or whose model one lists, is measured there; otherwise the embedded engine runs
 * it, where models.json has a GGUF file for it. `@ENDPOINT` (or `@embedded`) decides.
 *
 * @throws {UserError} naming the value, what is there, and what comes near
 *
 * ```ts
 * import { parseRegistry } from "../catalog/registry.ts";
 * const registry = parseRegistry('{"phi-4-mini": {"capabilities": ["general"], "size_mb": 2000}}', "models.json");
 * const service = {
 *   endpoint: { name: "foundry", baseUrl: "http://127.0.0.1:5273/v1" },
 *   models: [{ id: "phi-4-mini-generic-cpu:5", ownedBy: null }],
 * };
 * const [choice] = chooseCandidates(["phi-4-mini"], { registry, services: [service], engine: {} });
 * if (choice?.info.id !== "phi-4-mini:generic-cpu@foundry") throw new Error(choice?.info.id);
 * ```
 */
export function chooseCandidates(names: readonly string[], from: ChooseFrom): Choice[] {
  return withUniqueIds(names.map((name) => chooseOne(name, from)));
}

function chooseOne(text: string, from: ChooseFrom): Choice {
  const { name, where } = splitEndpoint(text, from);
  if (where !== EMBEDDED) {
    const services = where === null
      ? from.services
      : from.services.filter(({ endpoint }) => endpoint.name === where);
    const { ready, any } = findListed(name, services, from.registry);
    const listed = where === null && ready === null && runsEmbedded(name, from.registry) ? null : any;
    if (listed !== null) return atEndpoint(listed.service.endpoint, listed.model, from.registry);
    const unlisted = services.find((service) => service.listed === false);
    if (unlisted !== undefined && (where !== null || !runsEmbedded(name, from.registry))) {
      return atEndpoint(unlisted.endpoint, { id: name, ownedBy: null }, from.registry);
    }
    if (where !== null) throw notListed(name, where, services);
  }
  return embedded(text, name, from);
}

/** `@` parts a name from its endpoint only where that endpoint is known: ids may hold an @ of their own. */
function splitEndpoint(text: string, { services }: ChooseFrom): { name: string; where: string | null } {
  const at = text.lastIndexOf("@");
  if (at <= 0) return { name: text, where: null };
  const where = text.slice(at + 1);
  const known = [EMBEDDED, ...services.map(({ endpoint }) => endpoint.name)];
  if (known.includes(where)) return { name: text.slice(0, at), where };
  if (services.some(({ models }) => models.some(({ id }) => id === text))) return { name: text, where: null };
  throw new UserError(
    `--models ${text}: there is no endpoint "${where}"; known: ${known.join(", ")}: ` +
      `name one with --endpoint ${where}=URL`,
  );
}

interface Listed {
  readonly service: Service;
  readonly model: ListedModel;
}

/**
 * An exact id first; then what stands for the same model, CPU before other devices. What a service would have
 * to download first is taken only where nothing else bears the name.
 */
function findListed(
  name: string,
  services: readonly Service[],
  registry: Registry,
): { readonly ready: Listed | null; readonly any: Listed | null } {
  const { alias, variant } = splitVariant(name);
  const entry = findModel(registry, alias);
  const bears = ({ id, alias: own }: ListedModel) =>
    (own?.toLowerCase() === alias.toLowerCase() ||
      (entry === undefined ? plainName(id) === plainName(alias) : findModel(registry, id) === entry)) &&
    (variant === null || id.toLowerCase().includes(variant.toLowerCase()));
  const all = services.flatMap((service) => service.models.map((model) => ({ service, model })));
  const best = (from: readonly Listed[]): Listed | null => {
    const exact = from.find(({ model }) => model.id.toLowerCase() === name.toLowerCase());
    if (exact !== undefined) return exact;
    const named = from.filter(({ model }) => bears(model));
    const here = named.filter(({ service }) => service === named[0]?.service);
    return here.find(({ model }) => /cpu/i.test(model.id)) ?? here[0] ?? null;
  };
  const ready = best(all.filter(({ model }) => model.ready !== false));
  return { ready, any: ready ?? best(all) };
}

/** The registry has a file of this model for the embedded engine, or an adapter. */
function runsEmbedded(name: string, registry: Registry): boolean {
  return findModel(registry, splitVariant(name).alias)?.variants.some(runsHere) ?? false;
}

const runsHere = ({ format, file, adapter }: Variant) =>
  adapter !== null || format === "gguf" && file !== null;

function atEndpoint(endpoint: Endpoint, model: ListedModel, registry: Registry): EndpointChoice {
  const { id: modelId } = model;
  const entry = findModel(registry, modelId);
  const plain = plainName(modelId);
  const device = modelId.toLowerCase().replace(/:\d+$/, "").slice(plain.length).replace(/^-/, "");
  const alias = entry?.alias ?? model.alias ?? modelId;
  const variant = alias === modelId || device === "" ? null : device;
  return {
    kind: "endpoint",
    endpoint,
    info: {
      id: `${alias}${variant === null ? "" : `:${variant}`}@${endpoint.name}`,
      alias,
      variant,
      endpoint: endpoint.name,
      model_id: modelId,
      device: model.device ?? null,
      size_mb: model.sizeMb ?? null,
      license: entry?.license.id ?? null,
      chat_template: "unknown",
    },
  };
}

function embedded(text: string, name: string, { registry, services, engine }: ChooseFrom): EmbeddedChoice {
  const { alias, variant: told } = splitVariant(name);
  const entry = findModel(registry, alias);
  if (entry === undefined) throw unknownModel(text, alias, registry, services);
  const parts = (told ?? "").split("+").filter((part) => part !== "");
  const options = parts.filter((part) => part.includes("="));
  const wanted = parts.find((part) => !part.includes("="));
  const runnable = entry.variants.filter(runsHere);
  const variant = wanted === undefined ? runnable[0] : findVariant({ ...entry, variants: runnable }, wanted);
  if (variant === undefined) throw noVariant(text, entry, wanted, runnable);
  if (variant.adapter !== null && options.length > 0) {
    throw new UserError(
      `--models ${text}: ${entry.alias} is an adapter, which has no engine options: leave ${
        options.join("+")
      } out, ` +
        'and state "options" in its registry entry',
    );
  }
  const full = [variant.name, ...options].join("+");
  const merged = { ...engine, ...variant.engine, ...engineOptions(text, options) };
  return {
    kind: "embedded",
    entry,
    variant,
    engine: merged,
    info: {
      id: `${entry.alias}:${full}`,
      alias: entry.alias,
      variant: full,
      endpoint: EMBEDDED,
      model_id: `${entry.alias}:${full}`,
      device: variant.adapter === null ? merged.gpu ?? "auto" : "cpu",
      size_mb: variant.sizeMb,
      license: entry.license.id,
      chat_template: entry.chatTemplate,
    },
  };
}

function splitVariant(name: string): { alias: string; variant: string | null } {
  const at = name.indexOf(":");
  return at <= 0 ? { alias: name, variant: null } : { alias: name.slice(0, at), variant: name.slice(at + 1) };
}

const ENGINE_OPTIONS = "threads=N, context=TOKENS, flash=on|off, gpu=auto|off|vulkan|cuda|metal";

function engineOptions(text: string, options: readonly string[]): EngineSettings {
  return Object.assign({}, ...options.map((option) => engineOption(text, option)));
}

function engineOption(text: string, option: string): EngineSettings {
  const [key = "", value = ""] = option.split("=");
  const number = /^\d{1,7}$/.test(value) && Number(value) > 0 ? Number(value) : null;
  if (key === "threads" && number !== null) return { threads: number };
  if (key === "context" && number !== null) return { contextTokens: number };
  if (key === "flash" && (value === "on" || value === "off")) return { flashAttention: value === "on" };
  if (key === "gpu") {
    if (value === "auto" || value === "off" || value === "vulkan" || value === "cuda" || value === "metal") {
      return { gpu: value };
    }
  }
  throw new UserError(`--models ${text}: "${option}" is no engine option: give ${ENGINE_OPTIONS}`);
}

function notListed(name: string, where: string, services: readonly Service[]): UserError {
  return new UserError(`--models ${name}@${where}: ${where} lists ${listOf(services)}: give one of these`);
}

function listOf(services: readonly Service[]): string {
  const ids = services.flatMap(({ models }) => models.map(({ id }) => id));
  if (ids.length === 0) return "no models";
  return ids.slice(0, 12).join(", ") + (ids.length > 12 ? ` and ${ids.length - 12} more` : "");
}

function unknownModel(
  text: string,
  alias: string,
  registry: Registry,
  services: readonly Service[],
): UserError {
  const near = suggestNames(registry, alias);
  const ids = services.some(({ models }) => models.length > 0)
    ? `; the services list ${listOf(services)}`
    : "";
  const hint = near.length === 0
    ? "deno task models list shows what is known"
    : `did you mean ${near.join(" or ")}?`;
  return new UserError(`--models ${text}: no model of the registry is called "${alias}"${ids}; ${hint}`);
}

function noVariant(
  text: string,
  entry: Model,
  wanted: string | undefined,
  runnable: readonly Variant[],
): UserError {
  if (runnable.length === 0) {
    return new UserError(
      `--models ${text}: models.json has no GGUF file for ${entry.alias} and no adapter: run it in a service and name that with ` +
        "--endpoint URL, or add a source",
    );
  }
  const names = runnable.map(({ name }) => name).join(", ");
  return new UserError(
    `--models ${text}: ${entry.alias} has no variant "${wanted}": give ${names}, or engine options (${ENGINE_OPTIONS})`,
  );
}

/** A model that is entered twice gets `#2`. */
function withUniqueIds(choices: readonly Choice[]): Choice[] {
  const seen = new Map<string, number>();
  return choices.map((choice) => {
    const count = (seen.get(choice.info.id) ?? 0) + 1;
    seen.set(choice.info.id, count);
    return count === 1 ? choice : { ...choice, info: { ...choice.info, id: `${choice.info.id}#${count}` } };
  });
}

/**
 * The candidates of a run that is resumed: the same ids, found again by what run.json tells of them.
 *
 * @throws {UserError} where a model or an endpoint is not there any more
 */
export function chooseAgain(infos: readonly CandidateInfo[], from: ChooseFrom): Choice[] {
  return infos.map((info) => {
    const known = info.endpoint === EMBEDDED ||
      from.services.some(({ endpoint }) => endpoint.name === info.endpoint);
    if (!known) {
      throw new UserError(
        `${info.id} was measured at the endpoint ${info.endpoint}, whose address runs don't keep: ` +
          `give --endpoint ${info.endpoint}=URL`,
      );
    }
    return { ...chooseOne(`${info.model_id}@${info.endpoint}`, from), info };
  });
}
