/**
 * How fast a model will decode and read a prompt on a machine where other models were measured. A time is a
 * sum of terms (`speed_terms.ts`); what one unit of each term costs here is learned from the measurements.
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
import {
  type FormatCosts,
  secondsOf,
  type SpeedFeatures,
  type SpeedKind,
  type SpeedQuestion,
  type SpeedSample,
  type Term,
  termsOf,
  USUAL_COSTS,
} from "./speed_terms.ts";

/** A predicted time and the interval that holds 90 % of such predictions. */
export interface Predicted {
  readonly seconds: number;
  readonly low: number;
  readonly high: number;
}

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
   * How much wider or narrower than the spreads above the intervals must be, by how far each measured model
   * was from what the others predicted: a scaled inverse chi-squared estimate of the variance, one figure per
   * model, since the errors of one model go together.
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
