/**
 * How fast a model will decode and read a prompt on a machine where other models were measured. A time is a sum of
 * terms whose sizes the file's header gives; what one unit of each term costs here is learned from the measurements.
 */
import {
  type LinearPosterior,
  linearPosterior,
  type LinearRow,
  predictLinear,
} from "../stats/bayes_linear.ts";
import { meanOf, sumOf } from "../stats/mean.ts";
import { quantile } from "../stats/quantile.ts";
import { studentTQuantile } from "../stats/t.ts";
import { bytesPerToken, EXPERTS, type GgufLayout, valuesPerPromptToken } from "./gguf_layout.ts";

/** What of a model its speed depends on. */
export interface SpeedFeatures {
  /** Bytes of weights that one generated token reads, by number format. */
  readonly readBytes: Readonly<Record<string, number>>;
  /**
   * Weights that one prompt token is multiplied with, by number format; `Q4_K experts` where a router chooses them,
   * since each of them then sees a few tokens of the prompt alone.
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

/** A predicted time and the interval that holds 90 % of such predictions. */
export interface Predicted {
  readonly seconds: number;
  readonly low: number;
  readonly high: number;
}

/** What is to be predicted. */
export type SpeedQuestion = Pick<SpeedSample, "features" | "kind" | "device" | "threads" | "tokens">;

/**
 * One term of a time: its size in a model, what a unit costs on an ordinary processor, and how far a machine's own
 * cost may be from that, as a share of it.
 */
interface Term {
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
 * What formats cost on a processor with AVX-512 (AMD EPYC), rounded from a fit over 14 files of `deno task bench:fit`:
 * the start from which a machine's own measurements depart. Formats that llama.cpp keeps with rows side by side
 * (`Q4_0`, `Q4_K`) multiply a prompt fastest.
 */
const USUAL_COSTS: FormatCosts = {
  F16: { read: 0.6, multiply: 1.4 },
  BF16: { read: 0.6, multiply: 1.4 },
  Q8_0: { read: 0.75, multiply: 0.85 },
  Q4_0: { read: 0.6, multiply: 0.5 },
  Q4_1: { read: 1.15, multiply: 1.85 },
  Q5_0: { read: 1.15, multiply: 1.1 },
  Q4_K: { read: 0.9, multiply: 0.6 },
  Q6_K: { read: 0.8, multiply: 1.3 },
};

function termsOf({ features, kind, tokens }: SpeedQuestion, costs: FormatCosts): Term[] {
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

const secondsOf = (terms: readonly Term[]) => sumOf(terms.map(({ seconds }) => seconds));

/** Noise of a single measured time, as a share of it. */
const NOISE = { decode: 0.06, prefill: 0.08 } as const;
/** Further spread per e-fold of size between a model and the nearest one that was measured. */
const SIZE_SPREAD = 0.08;
/** Further spread of features that were estimated without a header. */
const APPROXIMATE_SPREAD = 0.15;
/** Further spread per doubling of threads, where no run had this number. */
const THREADS_SPREAD = 0.25;
/** Spread of a machine of which nothing was measured. */
const UNKNOWN_SPREAD = 0.8;
/** As many predictions as the spreads above count for, beside those of this machine. */
const PRIOR_WEIGHT = 4;
const COVERAGE = 0.9;

/** What the measurements of one machine say about every model. */
export class SpeedModel {
  readonly #samples: readonly SpeedSample[];
  readonly #fits = new Map<string, Fitted>();
  readonly #factors = new Map<SpeedKind, { readonly factor: number; readonly df: number }>();

  /** @param costs where the fit starts from; `{}` takes all formats for equal */
  constructor(samples: readonly SpeedSample[], readonly costs: FormatCosts = USUAL_COSTS) {
    this.#samples = samples;
  }

  /** How many models were measured. */
  get models(): number {
    return new Set(this.#samples.map(({ model }) => model)).size;
  }

  /** A time and its 90 % interval. */
  predict(question: SpeedQuestion): Predicted {
    const { mean, spread } = this.#expect(question);
    const { factor, df } = this.#factor(question.kind);
    const reach = Math.exp(studentTQuantile((1 + COVERAGE) / 2, df) * spread * factor);
    return { seconds: mean, low: mean / reach, high: mean * reach };
  }

  /** The measured times of a model, each beside what the other models alone would have predicted for it. */
  leftOut(): { readonly sample: SpeedSample; readonly predicted: Predicted | null }[] {
    return leaveOneOut(this.#samples, this.costs).flatMap(({ own, others }) =>
      own.map((sample) => ({ sample, predicted: others === null ? null : others.predict(sample) }))
    );
  }

  /** Bytes of weights per second, over every measured decode at the highest thread count; null without one. */
  bandwidth(): number | null {
    const decodes = this.#samples.filter(({ kind }) => kind === "decode");
    if (decodes.length === 0) return null;
    const threads = Math.max(...decodes.map((sample) => sample.threads));
    const rates = decodes.filter((sample) => sample.threads === threads).map(({ features, seconds }) =>
      sumOf(Object.values(features.readBytes)) / seconds
    );
    return quantile(rates, 0.5);
  }

  #expect(question: SpeedQuestion): { mean: number; spread: number } {
    const terms = termsOf(question, this.costs);
    const usual = secondsOf(terms);
    const fitted = this.#nearest(question);
    if (fitted === null) {
      return { mean: usual / Math.max(1, question.threads) ** 0.7, spread: UNKNOWN_SPREAD };
    }
    const { mean, sd } = predictLinear(fitted.posterior, termShares(terms, usual, fitted.names));
    const unseen = terms.filter(({ name }) => !fitted.names.includes(name))
      .map(({ seconds, spread }) => seconds / usual * spread);
    const level = Math.max(0.05, mean);
    const spread = Math.hypot(
      sd / level,
      ...unseen,
      NOISE[question.kind],
      SIZE_SPREAD * this.#sizeDistance(question),
      question.features.approximate ? APPROXIMATE_SPREAD : 0,
      THREADS_SPREAD * Math.abs(Math.log2(fitted.threads / question.threads)),
    );
    const speedUp = (question.threads / fitted.threads) ** 0.7;
    return { mean: usual * level * fitted.scale / speedUp, spread };
  }

  /** What the measurements with this device and the nearest number of threads say; null without any. */
  #nearest({ kind, device, threads }: SpeedQuestion): Fitted | null {
    const samples = this.#samples.filter((sample) => sample.kind === kind && sample.device === device);
    const distance = (count: number) => Math.abs(Math.log(count / threads));
    const [count] = [...new Set(samples.map((sample) => sample.threads))]
      .sort((a, b) => distance(a) - distance(b));
    if (count === undefined) return null;
    const key = `${kind} ${device} ${count}`;
    const fitted = this.#fits.get(key) ??
      fit(samples.filter((sample) => sample.threads === count), count, this.costs);
    this.#fits.set(key, fitted);
    return fitted;
  }

  #sizeDistance({ features, kind }: SpeedQuestion): number {
    const own = sizeOf(features, kind);
    const distances = this.#samples.filter((sample) => sample.kind === kind)
      .map((sample) => Math.abs(Math.log(own / sizeOf(sample.features, kind))));
    return Math.min(...distances);
  }

  /**
   * How much wider or narrower than the spreads above the intervals must be, by how far each measured model was from
   * what the others predicted: a scaled inverse chi-squared estimate of the variance, one figure per model, since the
   * errors of one model go together.
   */
  #factor(kind: SpeedKind): { factor: number; df: number } {
    const known = this.#factors.get(kind);
    if (known !== undefined) return known;
    const ofKind = this.#samples.filter((sample) => sample.kind === kind);
    const squares = leaveOneOut(ofKind, this.costs).flatMap(({ own, others }) => {
      if (others === null) return [];
      const errors = own.map((sample) => {
        const { mean, spread } = others.#expect(sample);
        return (Math.log(sample.seconds / mean) / spread) ** 2;
      });
      return [meanOf(errors)];
    });
    const df = PRIOR_WEIGHT + squares.length;
    const found = { factor: Math.sqrt((PRIOR_WEIGHT + sumOf(squares)) / df), df };
    this.#factors.set(kind, found);
    return found;
  }
}

/** The samples of each model, with what those of the others alone say; null where there are no others. */
function leaveOneOut(
  samples: readonly SpeedSample[],
  costs: FormatCosts,
): { readonly own: readonly SpeedSample[]; readonly others: SpeedModel | null }[] {
  return [...Map.groupBy(samples, ({ model }) => model)].map(([name, own]) => {
    const rest = samples.filter(({ model }) => model !== name);
    return { own, others: rest.length === 0 ? null : new SpeedModel(rest, costs) };
  });
}

const sizeOf = ({ readBytes, promptValues }: SpeedFeatures, kind: SpeedKind) =>
  Math.max(1, sumOf(Object.values(kind === "decode" ? readBytes : promptValues)));

/** What one group of measurements says: the first coefficient is the machine's level, the others are its deviations. */
interface Fitted {
  readonly names: readonly string[];
  readonly posterior: LinearPosterior;
  /** Times here / times of the ordinary processor. */
  readonly scale: number;
  readonly threads: number;
}

/** Each measured time is divided by what the terms give on the ordinary processor, and by the median of these. */
function fit(samples: readonly SpeedSample[], threads: number, costs: FormatCosts): Fitted {
  const rows = samples.map((sample) => {
    const terms = termsOf(sample, costs);
    const usual = secondsOf(terms);
    return { sample, terms, usual, ratio: sample.seconds / usual };
  });
  const scale = quantile(rows.map(({ ratio }) => ratio), 0.5);
  const spreads = new Map(rows.flatMap(({ terms }) => terms.map(({ name, spread }) => [name, spread])));
  const names = [...spreads.keys()];
  const linear: LinearRow[] = rows.map(({ sample, terms, usual, ratio }) => ({
    x: termShares(terms, usual, names),
    value: ratio / scale,
    sd: NOISE[sample.kind] * ratio / scale,
  }));
  const prior = { mean: [1, ...names.map(() => 0)], sd: [0.5, ...spreads.values()] };
  return { names, posterior: linearPosterior(linear, prior), scale, threads };
}

/** Each term as a share of what all of them take usually, after a 1 for the machine's level. */
const termShares = (terms: readonly Term[], usual: number, names: readonly string[]): number[] => [
  1,
  ...names.map((name) => (terms.find((term) => term.name === name)?.seconds ?? 0) / usual),
];
