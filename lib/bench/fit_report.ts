/** `fit`: which models run here, how long a context may be, how fast they will be, and which one to take. */
import { leastDisturbed, readCalibration, type RecordedSpeed } from "../catalog/calibration.ts";
import { freeBytes } from "../catalog/files.ts";
import {
  estimateFit,
  type FitConditions,
  type FitEstimate,
  layoutFromRegistry,
} from "../catalog/fit_estimate.ts";
import { type GgufLayout, readGgufLayout } from "../catalog/gguf_layout.ts";
import { hubUrl } from "../catalog/hub.ts";
import { describeMachine, type Machine } from "../catalog/machine.ts";
import { ENGINE_USE } from "../catalog/memory.ts";
import { findModel, findVariant, type Model, type Variant } from "../catalog/model.ts";
import { SpeedModel } from "../catalog/speed.ts";
import { type SpeedFeatures, speedFeatures, type SpeedSample } from "../catalog/speed_terms.ts";
import { locate } from "../catalog/store.ts";
import { UserError } from "../errors.ts";
import { defaultThreads } from "../engine/options.ts";
import { quantile } from "../stats/quantile.ts";
import { engineSettingsOf, parseCandidateName } from "./candidate_name.ts";
import type { SessionResources } from "./candidate_request.ts";
import { modelFiles } from "./model_file.ts";
import { recordedSpeeds } from "./recorded_speed.ts";
import { unknownModel } from "./named_candidate.ts";

/** The request to `fit`; everything has a default. */
export interface FitRequest {
  /** Candidates as `--models` takes them; null: every model of the registry. */
  readonly names?: readonly string[] | null;
  readonly task?: string | undefined;
  readonly capability?: string | undefined;
  /** @default 4096 */
  readonly contextTokens?: number | undefined;
  /** @default "f16" */
  readonly kvCache?: "f16" | "q8_0" | "q4_0" | undefined;
  /** Tokens of the prompt whose time to the first token is predicted. @default 512 */
  readonly promptTokens?: number | undefined;
  /** @default the engine's own: one less than the number of cores */
  readonly threads?: number | undefined;
  /** Users at once. @default 1 */
  readonly users?: number | undefined;
  /** What if this many GB of memory were free. */
  readonly ramGb?: number | undefined;
  /** What if there were a graphics card with this many GB. */
  readonly vramGb?: number | undefined;
  /** What if memory delivered this many GB per second. */
  readonly bandwidthGbS?: number | undefined;
  /** The least decode speed of the recommended model, in tokens per second. @default 8 */
  readonly minSpeed?: number | undefined;
  /** The folder of runs. @default "reports" */
  readonly reports?: string | undefined;
}

/** A measured time, and its prediction from the other models alone. */
export interface PredictedAndMeasured {
  readonly kind: SpeedSample["kind"];
  readonly threads: number;
  readonly tokens: number;
  readonly measuredS: number;
  /** Null where nothing else was measured. */
  readonly predictedS: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** One variant: the estimate, and its measurements. */
export interface FitRow extends FitEstimate {
  readonly measured: readonly PredictedAndMeasured[];
  /** Largest resident size that a run saw, in megabytes (10^6 bytes). */
  readonly measuredResidentMb: number | null;
}

/** How far predictions were off on this machine, each measured model predicted from the others. */
export interface FitAccuracy {
  readonly models: number;
  readonly comparisons: number;
  /** Median of |predicted / measured − 1|. */
  readonly medianError: number;
}

/** The document that `fit --json` is made from. */
export interface FitReport {
  /** This machine, or the one that was imagined. */
  readonly machine: Machine;
  /** What the predictions assume: context, memory, disk, prompt length. */
  readonly conditions: FitConditions;
  /** One row per variant, in the order of the registry. */
  readonly rows: readonly FitRow[];
  /** How far such predictions were off on this machine; null where too few models were measured. */
  readonly accuracy: { readonly decode: FitAccuracy | null; readonly ttft: FitAccuracy | null };
  /** Models that were measured on this machine, and the rate at which weights were read. */
  readonly calibration: { readonly models: number; readonly bandwidthGbS: number | null };
  /** The variant to take and the reason; null where none fits and is fast enough. */
  readonly recommended: { readonly row: FitRow; readonly because: string } | null;
}

type FitResources = Pick<SessionResources, "registry" | "store" | "fetch" | "env" | "note">;

/** A variant, its file where it is downloaded, and the file's header. */
interface Wanted {
  readonly model: Model;
  readonly variant: Variant;
  readonly path: string | null;
  readonly layout: GgufLayout | null;
}

/**
 * Estimates every wanted variant. Nothing is downloaded but the headers of repositories that are named.
 *
 * @throws {UserError} for a name that is unknown, and where a named repository can't be reached
 *
 * ```ts ignore
 * const { recommended } = await fitReport({ ramGb: 4 }, resources);
 * console.log(recommended?.row.model.alias, recommended?.because);
 * ```
 */
export async function fitReport(request: FitRequest, resources: FitResources): Promise<FitReport> {
  const machine = await describeMachine();
  const conditions = await conditionsOf(request, machine, resources);
  const here = await layoutsHere(resources);
  const wanted = request.names === undefined || request.names === null
    ? fromRegistry(request, resources, here)
    : await modelsNamed(request.names, resources, here);
  const { samples, residentMb } = await ownMeasurements(request, machine, resources, here);
  const speed = new SpeedModel(samples);
  const comparisons = speed.leftOut();
  const rows = wanted.map((one): FitRow => {
    const key = `${one.model.alias}:${one.variant.name}`;
    return {
      ...estimateFit({ ...one, here: one.path !== null }, conditions, speed),
      measured: comparisons.filter(({ sample }) => sample.model === key).map(({ sample, predicted }) => ({
        kind: sample.kind,
        threads: sample.threads,
        tokens: Math.round(sample.tokens),
        measuredS: sample.seconds,
        predictedS: predicted?.seconds ?? null,
        low: predicted?.low ?? null,
        high: predicted?.high ?? null,
      })),
      measuredResidentMb: residentMb.get(key) ?? null,
    };
  });
  const bandwidth = speed.bandwidth();
  return {
    machine,
    conditions,
    rows,
    accuracy: {
      decode: predictionAccuracy(comparisons, "decode"),
      ttft: predictionAccuracy(comparisons, "prefill"),
    },
    calibration: { models: speed.models, bandwidthGbS: bandwidth === null ? null : bandwidth / 1e9 },
    recommended: recommend(rows, request),
  };
}

async function conditionsOf(request: FitRequest, machine: Machine, { store }: FitResources) {
  return {
    use: {
      ...ENGINE_USE,
      contextTokens: request.contextTokens ?? ENGINE_USE.contextTokens,
      kvCache: request.kvCache ?? ENGINE_USE.kvCache,
      users: request.users ?? 1,
    },
    promptTokens: request.promptTokens ?? 512,
    threads: request.threads ?? defaultThreads(machine.cores),
    freeRamGb: request.ramGb ?? machine.freeRamGb,
    vramGb: request.vramGb ?? machine.vramGb ?? 0,
    bandwidthGbS: request.bandwidthGbS ?? null,
    machine,
    freeDiskBytes: await freeBytes(store.dir),
  };
}

/** The downloaded files with their headers, by `ALIAS:VARIANT`. */
async function layoutsHere({ registry, store }: FitResources): Promise<Map<string, Wanted>> {
  const found = new Map<string, Wanted>();
  for (const model of registry.models) {
    for (const variant of model.variants.filter(({ format }) => format === "gguf")) {
      const path = await locate(store, model, variant).catch(() => null);
      if (path === null) continue;
      const layout = await layoutAt(path).catch(() => null);
      found.set(`${model.alias}:${variant.name}`, { model, variant, path, layout });
    }
  }
  return found;
}

/** A large vocabulary takes seconds to parse, and a notebook needs it more than once. */
const layouts = new Map<string, Promise<GgufLayout>>();

async function layoutAt(path: string): Promise<GgufLayout> {
  const { size, mtime } = await Deno.stat(path);
  const key = `${path} ${size} ${mtime?.getTime() ?? 0}`;
  const layout = layouts.get(key) ?? readGgufLayout(path);
  layouts.set(key, layout);
  return await layout;
}

/** The registry's models whose files are here, the smallest first. */
export async function modelsHere(
  { registry, store }: Pick<FitResources, "registry" | "store">,
): Promise<{ name: string; path: string }[]> {
  const found: { name: string; path: string; bytes: number }[] = [];
  for (const model of registry.models) {
    for (const variant of model.variants.filter(({ format }) => format === "gguf")) {
      const path = await locate(store, model, variant);
      if (path === null) continue;
      found.push({ name: `${model.alias}:${variant.name}`, path, bytes: (await Deno.stat(path)).size });
    }
  }
  return found.sort((a, b) => a.bytes - b.bytes).map(({ name, path }) => ({ name, path }));
}

function fromRegistry(
  { task, capability }: FitRequest,
  { registry }: FitResources,
  here: ReadonlyMap<string, Wanted>,
): Wanted[] {
  return registry.models
    .filter((model) =>
      (task === undefined || model.task.includes(task)) &&
      (capability === undefined || model.capabilities.includes(capability))
    )
    .flatMap((model) =>
      model.variants.filter(({ format }) => format === "gguf").map((variant) =>
        wantedOf(model, variant, here)
      )
    );
}

async function modelsNamed(
  names: readonly string[],
  resources: FitResources,
  here: ReadonlyMap<string, Wanted>,
): Promise<Wanted[]> {
  const { registry } = resources;
  const files = await modelFiles(names, [], resources);
  const found: Wanted[] = [];
  for (const text of names) {
    const parsed = parseCandidateName(text, ["embedded"]);
    const { name, parts, isFile, isHub } = parsed;
    engineSettingsOf(text, parts.filter((part) => part.includes("=")));
    const model = files.get(name) ?? findModel(registry, name);
    if (model === undefined) throw unknownModel(parsed, { registry, services: [] });
    const variants = variantsNamed(text, model, parts.find((part) => !part.includes("=")));
    if (isHub) found.push(...await fromHub(model, variants, resources));
    else {
      const layout = isFile ? await readGgufLayout(name) : null;
      found.push(
        ...variants.map((variant) =>
          layout === null ? wantedOf(model, variant, here) : { model, variant, path: name, layout }
        ),
      );
    }
  }
  return found;
}

function variantsNamed(text: string, model: Model, name: string | undefined): readonly Variant[] {
  if (name === undefined) return model.variants;
  const variant = findVariant(model, name);
  if (variant !== undefined) return [variant];
  const names = model.variants.map((one) => one.name).join(", ");
  throw new UserError(`${text}: ${model.alias} has no variant "${name}": give ${names}`);
}

/** A variant of the registry, with its file and layout where it is here. */
const wantedOf = (model: Model, variant: Variant, here: ReadonlyMap<string, Wanted>): Wanted =>
  here.get(`${model.alias}:${variant.name}`) ?? { model, variant, path: null, layout: null };

/** One header tells the shape; the other variants of a repository differ in the size and format of their weights. */
async function fromHub(
  model: Model,
  variants: readonly Variant[],
  { fetch, env }: FitResources,
): Promise<Wanted[]> {
  const [first] = variants;
  const source = first?.sources.find((one) => one.kind === "huggingface");
  if (source === undefined) return [];
  const { url, token } = hubUrl(source, env);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const header = await readGgufLayout(url, { fetch, headers });
  return variants.map((variant) => ({
    model,
    variant,
    path: null,
    layout: variant === first ? header : withWeightsOf(header, model, variant),
  }));
}

function withWeightsOf(header: GgufLayout, model: Model, variant: Variant): GgufLayout | null {
  const other = layoutFromRegistry({ ...model, activeParametersB: null }, variant);
  const format = other?.weights[0]?.format;
  if (other === null || format === undefined) return null;
  const known = header.weights.reduce((sum, { bytes }) => sum + bytes, 0);
  const weights = header.weights.map((group) => ({
    ...group,
    format: group.format === "F32" ? "F32" : format,
    bytes: group.bytes * other.fileBytes / known,
  }));
  return { ...header, fileBytes: other.fileBytes, weights };
}

async function ownMeasurements(
  { reports = "reports" }: FitRequest,
  machine: Machine,
  { store }: FitResources,
  here: ReadonlyMap<string, Wanted>,
): Promise<{ samples: SpeedSample[]; residentMb: ReadonlyMap<string, number> }> {
  const features = (model: string): SpeedFeatures | null => {
    const layout = here.get(model)?.layout ?? null;
    return layout === null ? null : speedFeatures(layout);
  };
  const recorded = await recordedSpeeds(reports, machine, features);
  const probed: RecordedSpeed[] = await readCalibration(store, machine);
  return { samples: leastDisturbed([...probed, ...recorded.speeds]), residentMb: recorded.residentMb };
}

function predictionAccuracy(
  comparisons: ReturnType<SpeedModel["leftOut"]>,
  kind: SpeedSample["kind"],
): FitAccuracy | null {
  const own = comparisons.filter(({ sample }) => sample.kind === kind);
  const errors = own.flatMap(({ sample, predicted }) =>
    predicted === null ? [] : [Math.abs(predicted.seconds / sample.seconds - 1)]
  );
  if (errors.length === 0) return null;
  return {
    models: new Set(own.map(({ sample }) => sample.model)).size,
    comparisons: errors.length,
    medianError: quantile(errors, 0.5),
  };
}

/** A variant with more bits per weight than this costs memory and speed, without a gain that tests can find. */
const ENOUGH_BITS = 8.6;

/**
 * The largest model that fits and is fast enough at the low end of its interval, in the variant with the most
 * bits per weight that still is. How good its answers are is not predicted.
 */
function recommend(
  rows: readonly FitRow[],
  { minSpeed = 8, task }: FitRequest,
): FitReport["recommended"] {
  const chats = rows.filter(({ model }) => task !== undefined || !model.task.includes("completion"));
  const fitting = chats.filter(({ reasons, place }) => reasons.length === 0 && place.kind !== "none");
  const quick = fitting.filter(({ decode, decodePerUser }) =>
    (decodePerUser ?? decode) !== null && ((decodePerUser ?? decode)?.low ?? 0) >= minSpeed
  );
  const bits = ({ parts, model }: FitRow) => (parts?.weights ?? 0) * 8 / ((model.parametersB ?? 1) * 1e9);
  const size = ({ model, parts }: FitRow) => model.parametersB ?? (parts?.weights ?? 0) / 0.6e9;
  const [row] = quick.toSorted((a, b) =>
    size(b) - size(a) || a.model.priority - b.model.priority ||
    Number(bits(a) > ENOUGH_BITS) - Number(bits(b) > ENOUGH_BITS) || bits(b) - bits(a)
  );
  if (row === undefined) return null;
  const rate = row.decodePerUser ?? row.decode;
  const larger = fitting.filter((other) => size(other) > size(row)).length;
  const chosen = fitting.length === 1
    ? "it is the only variant that fits, and decodes"
    : `of ${fitting.length} variants that fit, it is the largest that decodes`;
  const because =
    `${chosen} at least ${minSpeed} tokens/s${row.decodePerUser === null ? "" : " for each user"} ` +
    `(predicted ${rate?.tokensPerS.toFixed(0)}, ` +
    `90 % interval ${rate?.low.toFixed(0)} to ${rate?.high.toFixed(0)})` +
    (larger > 0 ? `; ${larger} larger ${larger === 1 ? "one" : "ones"} may be too slow` : "");
  return { row, because };
}
