/** Whether a model fits a machine, how long a context may be, and how fast it will be: before any download. */
import { sumOf } from "../stats/mean.ts";
import { bitsPerWeight } from "./gguf.ts";
import type { GgufLayout } from "./gguf_layout.ts";
import { asksForMore, GB, type Machine, RESERVE_GB } from "./machine.ts";
import {
  type ContextUse,
  largestContext,
  type MemoryParts,
  memoryParts,
  neededBytes,
  residentBytes,
} from "./memory.ts";
import type { Model, Variant } from "./model.ts";
import type { Predicted, SpeedModel } from "./speed.ts";
import { type SpeedFeatures, speedFeatures } from "./speed_terms.ts";

/** The conditions of the estimate; null means as on this machine. */
export interface FitConditions {
  readonly use: ContextUse;
  /** Tokens of the prompt whose time to the first token is predicted. */
  readonly promptTokens: number;
  readonly threads: number;
  /** GB of memory that are free. */
  readonly freeRamGb: number;
  /** GB of the graphics card's own memory; 0 without one. */
  readonly vramGb: number;
  /** What if memory delivered this many GB (10^9 bytes) per second; null: what was measured here. */
  readonly bandwidthGbS: number | null;
  readonly machine: Machine;
  readonly freeDiskBytes: number;
}

/** The memory that would hold the weights and the context. */
export type MemoryPlacement =
  | { readonly kind: "memory" }
  | { readonly kind: "gpu" }
  /** Only some layers fit into the graphics card's memory. */
  | { readonly kind: "split"; readonly layersOnGpu: number; readonly layers: number }
  | { readonly kind: "none" };

/** A rate in tokens per second and the interval that holds 90 % of such predictions. */
export interface PredictedRate {
  readonly tokensPerS: number;
  readonly low: number;
  readonly high: number;
}

/** One variant on one machine. */
export interface FitEstimate {
  readonly model: Model;
  readonly variant: Variant;
  /** Whether its file is on this machine. */
  readonly here: boolean;
  /** `header`: from the file's own header; `registry`: from what models.json says; `nothing`: its size is unknown. */
  readonly basis: "header" | "registry" | "nothing";
  readonly parts: MemoryParts | null;
  readonly neededBytes: number | null;
  /** Resident size of the engine's process, as the system would report it. */
  readonly residentBytes: number | null;
  readonly place: MemoryPlacement;
  /** Why it doesn't fit; empty where it does. */
  readonly reasons: readonly string[];
  /** The longest context that fits, in tokens; null where it is unknown or not even the shortest fits. */
  readonly largestContext: number | null;
  /** For one user at the end of a prompt of the wanted length; null where no prediction is possible. */
  readonly decode: PredictedRate | null;
  /** Seconds to the first token of a prompt of the wanted length. */
  readonly ttft: Predicted | null;
  /** For each of the users, where there are several. */
  readonly decodePerUser: PredictedRate | null;
}

/**
 * The estimate for one variant.
 *
 * @param layout what its header says; null where the header was not read, so that models.json is used
 */
export function estimateFit(
  { model, variant, here, layout }: {
    readonly model: Model;
    readonly variant: Variant;
    readonly here: boolean;
    readonly layout: GgufLayout | null;
  },
  conditions: FitConditions,
  speed: SpeedModel,
): FitEstimate {
  const known = layout ?? layoutFromRegistry(model, variant);
  const basis = layout !== null ? "header" : known !== null ? "registry" : "nothing";
  const common = { model, variant, here, basis } as const;
  if (known === null) return { ...common, ...UNKNOWN };
  const limit = known.contextTokens ?? Infinity;
  const use = { ...conditions.use, contextTokens: Math.min(conditions.use.contextTokens, limit) };
  const parts = memoryParts(known, use, conditions.machine.arch);
  const needed = neededBytes(parts);
  const { place, reasons } = placement(needed, known, conditions);
  const diskBytes = variant.sizeBytes ?? known.fileBytes;
  const noDisk = !here && conditions.freeDiskBytes < diskBytes
    ? [`its file takes ${gb(diskBytes)}, the disk has ${gb(conditions.freeDiskBytes)} free`]
    : [];
  // Other memory means an imagined machine.
  const real = conditions.freeRamGb === conditions.machine.freeRamGb && conditions.vramGb === 0;
  const asked = real ? asksForMore(model, conditions.machine) : [];
  const room = Math.max(conditions.freeRamGb, conditions.vramGb) - RESERVE_GB;
  return {
    ...common,
    parts,
    neededBytes: needed,
    residentBytes: residentBytes(parts, use),
    place,
    reasons: [...asked, ...reasons, ...noDisk],
    largestContext: largestContext(known, use, { bytes: room * GB, arch: conditions.machine.arch }),
    ...speeds(known, basis === "registry", place, conditions, speed),
  };
}

const UNKNOWN = {
  parts: null,
  neededBytes: null,
  residentBytes: null,
  place: { kind: "none" },
  reasons: ["the size of its file is unknown: name its repository (hf:OWNER/REPO) or its file"],
  largestContext: null,
  decode: null,
  ttft: null,
  decodePerUser: null,
} as const;

const gb = (bytes: number) => `${(bytes / GB).toFixed(1)} GB`;

function placement(
  needed: number,
  { layers }: GgufLayout,
  { freeRamGb, vramGb }: FitConditions,
): { place: MemoryPlacement; reasons: string[] } {
  const ram = Math.max(0, freeRamGb - RESERVE_GB) * GB;
  const vram = Math.max(0, vramGb - RESERVE_GB) * GB;
  if (needed <= vram) return { place: { kind: "gpu" }, reasons: [] };
  if (vram > 0 && needed <= vram + ram) {
    const layersOnGpu = Math.floor(layers * vram / needed);
    return { place: { kind: "split", layersOnGpu, layers }, reasons: [] };
  }
  if (needed <= ram) return { place: { kind: "memory" }, reasons: [] };
  const has = vramGb > 0 ? `${freeRamGb} GB and ${vramGb} GB on the graphics card` : `${freeRamGb} GB`;
  return {
    place: { kind: "none" },
    reasons: [
      `it needs ${gb(needed)} and ${RESERVE_GB} GB in reserve, ${has} are free: ` +
      "stop other programs, or take a smaller variant, a shorter context or --kv q8_0",
    ],
  };
}

/** Share of the memory's bandwidth that decoding uses: the range that llama.cpp reaches on processors and GPUs. */
const BANDWIDTH_SHARE = { usual: 0.65, low: 0.4, high: 0.9 };

function speeds(
  layout: GgufLayout,
  approximate: boolean,
  place: MemoryPlacement,
  { promptTokens, threads, bandwidthGbS, use }: FitConditions,
  speed: SpeedModel,
): Pick<FitEstimate, "decode" | "ttft" | "decodePerUser"> {
  const features: SpeedFeatures = { ...speedFeatures(layout), approximate };
  if (bandwidthGbS !== null) {
    const bytes = sumOf(Object.values(features.readBytes));
    const rate = (share: number) => bandwidthGbS * 1e9 * share / bytes;
    const { usual, low, high } = BANDWIDTH_SHARE;
    return {
      decode: { tokensPerS: rate(usual), low: rate(low), high: rate(high) },
      ttft: null,
      decodePerUser: null,
    };
  }
  // Measurements on the processor don't predict a graphics card.
  if (place.kind === "gpu" || place.kind === "split") {
    return { decode: null, ttft: null, decodePerUser: null };
  }
  const question = { features, device: "cpu", threads } as const;
  const decode = speed.predict({ ...question, kind: "decode", tokens: promptTokens });
  const ttft = speed.predict({ ...question, kind: "prefill", tokens: promptTokens });
  return {
    decode: tokenRate(decode),
    ttft,
    decodePerUser: use.users === 1 ? null : tokenRate(shared(decode, ttft, promptTokens, use.users)),
  };
}

const tokenRate = ({ seconds, low, high }: Predicted): PredictedRate => ({
  tokensPerS: 1 / seconds,
  low: 1 / high,
  high: 1 / low,
});

/**
 * A step that decodes one token for each user: the weights are read once, and every further user costs what a
 * prompt token costs, at most as much as decoding alone. Not measured, so the interval is widened by half.
 */
function shared(decode: Predicted, ttft: Predicted, promptTokens: number, users: number): Predicted {
  const further = Math.min(decode.seconds, ttft.seconds / promptTokens);
  const seconds = decode.seconds + (users - 1) * further;
  const reach = (decode.high / decode.seconds) * 1.5;
  return { seconds, low: seconds / reach, high: seconds * reach };
}

/** Number formats by the names of their mixes in files: most of the weights of Q4_K_M are Q4_K. */
function weightFormat(quantization: string | null): string {
  const name = (quantization ?? "Q4_K").toUpperCase().replace(/^UD-/, "");
  const base = /^(Q\d_K|Q\d_[01]|IQ\d_\w+|MXFP4|BF16|F16|F32)/.exec(name)?.[1] ?? "Q4_K";
  return bitsPerWeight(base) === undefined ? "Q4_K" : base;
}

/**
 * A stand-in for a header, from what models.json says: the size of the file, the parameters, the KV bytes per
 * token. Null where the size of the file is unknown.
 */
export function layoutFromRegistry(model: Model, variant: Variant): GgufLayout | null {
  const bytes = variant.sizeBytes ?? (variant.sizeMb === null ? null : variant.sizeMb * 1e6);
  if (bytes === null || variant.format !== "gguf") return null;
  const format = weightFormat(variant.quantization);
  const parametersB = model.parametersB ?? bytes * 8 / (bitsPerWeight(format) ?? 4.5) / 1e9;
  const active = model.activeParametersB ?? parametersB;
  const perToken = model.kvBytesPerToken ?? 65_536 * Math.sqrt(parametersB);
  const embeddingLength = Math.round(700 * active ** 0.42);
  return {
    architecture: "unknown",
    fileBytes: bytes,
    contextTokens: model.contextTokens,
    weights: [{ part: "layers", format, bytes: bytes * active / parametersB, values: active * 1e9 * 0.9 }, {
      part: "embedding",
      format,
      bytes: bytes * (1 - active / parametersB),
      values: 0,
    }],
    layers: 28,
    kvLayers: [{ values: perToken / 2, windowed: false }],
    window: null,
    embeddingLength,
    feedForwardLength: embeddingLength * 4,
    // Grouped heads: four query heads share their keys and values.
    attentionWidth: perToken / 2 * 4,
    vocabulary: 130_000,
    experts: null,
    recurrent: false,
    license: null,
    chatTemplate: null,
  };
}
