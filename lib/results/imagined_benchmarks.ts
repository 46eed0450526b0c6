/** Imagined benchmarks of few rounds: the bootstrap, drawn and shown. */
import { boxPlot } from "../plot/box.ts";
import { lowestShares, p95Of, shortBenchmarks } from "../stats/few_rounds.ts";
import { quantile } from "../stats/quantile.ts";
import { seededRandom } from "../stats/random.ts";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

/** A model and every latency that was measured of it, in seconds. */
export interface MeasuredModel {
  /** Its name in figures and tables. */
  readonly name: string;
  /** In seconds, in any order. */
  readonly latencies: readonly number[];
}

/** Share of benchmarks that must name the same model before rounds are called enough. */
const SURE = 0.95;

/**
 * Benchmarks of few rounds, drawn with replacement from the measured values (Efron, 1979). The same values
 * give the same draws.
 *
 * ```ts
 * const models = [{ name: "a", latencies: [1, 1.2, 1.1] }, { name: "b", latencies: [2, 2.2, 2.1] }];
 * const imagined = new ImaginedBenchmarks(models, [3, 10], 200);
 * if (imagined.winners().rows[0]?.["a : b"] !== "100 % : 0 %") throw new Error("a is always faster");
 * ```
 */
export class ImaginedBenchmarks extends Result {
  /**
   * Made by `Run.imagine`.
   *
   * @param sizes rounds per benchmark
   * @param draws benchmarks per size and model
   */
  constructor(
    readonly models: readonly MeasuredModel[],
    readonly sizes: readonly number[],
    readonly draws: number,
  ) {
    super();
  }

  /** What it shows: `box()`. */
  override main(): View {
    return this.box();
  }

  /** The means that the benchmarks would report, one box per model and number of rounds. */
  box(): FigureView {
    const cells = this.sizes.flatMap((rounds) =>
      this.models.map((model) => ({
        series: model.name,
        group: `${rounds} rounds`,
        values: this.#means(model, rounds),
      }))
    );
    return new FigureView(boxPlot(cells, {
      title: `Means that ${this.draws.toLocaleString("en-GB")} teams would report`,
      metric: "reported mean latency",
    }));
  }

  /** Share of the benchmarks in which the first model has the lower mean, against each other model. */
  winners(): TableView {
    const [first, ...others] = this.models;
    return new TableView(
      this.sizes.map((rounds) => ({
        rounds,
        ...Object.fromEntries(others.map((other) => [
          `${first?.name} : ${other.name}`,
          this.#shares(other, rounds).map((share) => `${(100 * share).toFixed(0)} %`).join(" : "),
        ])),
      })),
      `Share of ${
        this.draws.toLocaleString("en-GB")
      } imagined benchmarks in which each of the two has the lower mean.`,
    );
  }

  /** The first of `sizes` at which 95 % of the benchmarks name the same one of the first and the last model. */
  enough(): TextView {
    const last = this.models.at(-1);
    const enough = this.sizes.find((rounds) =>
      last !== undefined && Math.max(...this.#shares(last, rounds)) >= SURE
    );
    return new TextView(
      enough === undefined
        ? `Not even ${
          this.sizes.at(-1)
        } rounds are enough. The two are too close, or the machine is too noisy.`
        : `${enough} round${enough === 1 ? " is" : "s are"} enough for this pair. Twins never get there.`,
    );
  }

  /** Where the p95 of `rounds` requests lies, compared with the p95 of all requests of the first model. */
  p95(rounds: number): TextView {
    const [first] = this.models;
    const latencies = first?.latencies ?? [];
    const reported = shortBenchmarks(latencies, {
      rounds,
      draws: this.draws,
      random: seededRandom("p95"),
      digest: p95Of,
    });
    const all = p95Of(Float64Array.from(latencies));
    const low = reported.filter((value) => value < all).length / this.draws;
    return new TextView(
      `p95 of all ${latencies.length} requests: ${
        all.toFixed(3)
      } s. Of ${rounds}: half of the teams report ` +
        `${quantile(reported, 0.5).toFixed(3)} s or less, and ${
          (100 * low).toFixed(0)
        } % of them report too little.`,
    );
  }

  #means({ name, latencies }: MeasuredModel, rounds: number): Float64Array {
    return shortBenchmarks(latencies, {
      rounds,
      draws: this.draws,
      random: seededRandom(`${name} ${rounds}`),
    });
  }

  #shares(other: MeasuredModel, rounds: number): number[] {
    const [first = other] = this.models;
    return lowestShares([this.#means(first, rounds), this.#means(other, rounds)]);
  }
}
