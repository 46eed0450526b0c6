/** What a model's time is made of: terms whose sizes the file's header gives, with their usual cost on a processor. */
import { sumOf } from "../stats/mean.ts";
import { bytesPerToken, EXPERTS, type GgufLayout, valuesPerPromptToken } from "./gguf_layout.ts";

/** What of a model its speed depends on. */
export interface SpeedFeatures {
  /** Bytes of weights that one generated token reads, by number format. */
  readonly readBytes: Readonly<Record<string, number>>;
  /**
   * Weights that one prompt token is multiplied with, by number format; `Q4_K experts` where a router chooses
   * them, since each of them then sees a few tokens of the prompt alone.
   */
  readonly promptValues: Readonly<Record<string, number>>;
  readonly layers: number;
  readonly vocabulary: number;
  /** Attention heads × (key + value length) over all layers: those that see every token, and those with a window. */
  readonly attention: { readonly full: number; readonly windowed: number; readonly window: number };
  /** Estimated from the size of the file, without its header. */
  readonly approximate: boolean;
}

/** The features of a model whose header was read. */
export function speedFeatures(layout: GgufLayout): SpeedFeatures {
  const windowed = layout.kvLayers.filter((layer) => layer.windowed).length;
  const share = layout.kvLayers.length === 0 ? 0 : windowed / layout.kvLayers.length;
  return {
    readBytes: Object.fromEntries(bytesPerToken(layout)),
    promptValues: Object.fromEntries(valuesPerPromptToken(layout)),
    layers: layout.layers,
    vocabulary: layout.vocabulary,
    attention: {
      full: layout.attentionWidth * (1 - share),
      windowed: layout.attentionWidth * share,
      window: layout.window ?? 0,
    },
    approximate: false,
  };
}

/** `decode`: seconds per token at this depth; `prefill`: seconds until the first token of a prompt of this length. */
export type SpeedKind = "decode" | "prefill";

/** One measured time of one model. */
export interface SpeedSample {
  /** `ALIAS:VARIANT`, or whatever names the file. */
  readonly model: string;
  readonly features: SpeedFeatures;
  readonly kind: SpeedKind;
  /** What ran it: `cpu`, or `vulkan: NAME`. */
  readonly device: string;
  readonly threads: number;
  /** Tokens in the context: of the prompt, and for `decode` half of the answer too. */
  readonly tokens: number;
  readonly seconds: number;
}

/** What is to be predicted. */
export type SpeedQuestion = Pick<SpeedSample, "features" | "kind" | "device" | "threads" | "tokens">;

/**
 * One term of a time: its size in a model, what a unit costs on an ordinary processor, and how far a
 * machine's own cost may be from that, as a share of it.
 */
export interface Term {
  readonly name: string;
  readonly seconds: number;
  readonly spread: number;
}

/** Bytes per second that one core reads at, and weights per second that it multiplies; only their ratios matter. */
const READ_RATE = 20e9;
const MULTIPLY_RATE = 50e9;

/** What a number format costs, per byte read and per weight multiplied, as a multiple of the rates above. */
export type FormatCosts = Readonly<Record<string, { readonly read: number; readonly multiply: number }>>;

/**
 * What formats cost on a processor with AVX-512 (AMD EPYC), rounded from a fit over 14 files of `deno task
 * bench:fit`: the start from which a machine's own measurements depart. Formats that llama.cpp keeps with
 * rows side by side (`Q4_0`, `Q4_K`) multiply a prompt fastest.
 */
export const USUAL_COSTS: FormatCosts = {
  F16: { read: 0.6, multiply: 1.4 },
  BF16: { read: 0.6, multiply: 1.4 },
  Q8_0: { read: 0.75, multiply: 0.85 },
  Q4_0: { read: 0.6, multiply: 0.5 },
  Q4_1: { read: 1.15, multiply: 1.85 },
  Q5_0: { read: 1.15, multiply: 1.1 },
  Q4_K: { read: 0.9, multiply: 0.6 },
  Q6_K: { read: 0.8, multiply: 1.3 },
};

/** The terms of a time. */
export function termsOf({ features, kind, tokens }: SpeedQuestion, costs: FormatCosts): Term[] {
  const { readBytes, promptValues, layers, vocabulary, attention } = features;
  const { full, windowed, window } = attention;
  const read = Object.entries(readBytes).filter(([format]) => format !== "F32").map(([format, bytes]) => ({
    name: `read ${format}`,
    seconds: bytes / READ_RATE * (costs[format]?.read ?? 1),
    spread: 0.35,
  }));
  if (kind === "decode") {
    const seen = full * tokens + windowed * Math.min(tokens, window);
    return [
      ...read,
      { name: "layers", seconds: layers * 40e-6, spread: 0.7 },
      { name: "vocabulary", seconds: vocabulary * 4e-9, spread: 0.7 },
      { name: "attention", seconds: seen * 0.1e-9, spread: 0.7 },
    ];
  }
  const pairs = full * tokens * tokens / 2 +
    windowed * (tokens <= window ? tokens * tokens / 2 : window * (tokens - window / 2));
  return [
    ...Object.entries(promptValues).filter(([format]) => format !== "F32").map(([format, values]) => ({
      name: `multiply ${format}`,
      seconds: values * tokens / MULTIPLY_RATE * (costs[format.replace(EXPERTS, "")]?.multiply ?? 1),
      spread: 0.4,
    })),
    { name: "attention", seconds: pairs * 0.015e-9, spread: 0.7 },
    { name: "first token", seconds: secondsOf(read), spread: 0.7 },
  ];
}

/** What terms take together, on an ordinary processor. */
export const secondsOf = (terms: readonly Term[]) => sumOf(terms.map(({ seconds }) => seconds));
