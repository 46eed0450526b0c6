/// <reference lib="dom" />
/** The empirical distribution of each series: every value counts, and there are no bins to choose. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { seriesDots, seriesLine } from "./marks.ts";
import { durationAxis, percentText, shortNumber } from "./scale.ts";

/** One line of an ECDF. */
export interface EcdfSeries {
  /** The name in the legend. */
  readonly name: string;
  /** Seconds, in any order. */
  readonly values: ArrayLike<number>;
}

/** Words for the drawing. */
export interface EcdfOptions {
  /** The heading. */
  readonly title: string;
  /** What the values are, e.g. `latency`. */
  readonly metric: string;
  /** A longer series is drawn at this many of its ranks. @default maxEcdfPoints */
  readonly points?: number;
}

/** What `points` is by default: the smallest and the largest value are always among them. */
export const maxEcdfPoints = 400;

/** A value in seconds and the share of values up to it. */
interface EcdfPoint {
  readonly value: number;
  readonly share: number;
}

/**
 * The points `[x, share of values ≤ x]` of a sorted series, at most `limit` of them: evenly spaced ranks, so
 * the drawn share is never off by more than 1 / (limit − 1).
 *
 * @example
 * ```ts
 * const points = ecdfPoints([1, 2, 3, 4], 4);
 * if (points[0]?.share !== 0.25 || points[3]?.share !== 1) throw new Error("wrong shares");
 * ```
 */
export function ecdfPoints(sorted: ArrayLike<number>, limit: number): EcdfPoint[] {
  const n = sorted.length;
  const count = Math.min(n, limit);
  return Array.from({ length: count }, (_, i) => {
    const rank = count === n ? i : Math.round((i * (n - 1)) / (count - 1));
    return { value: sorted[rank] ?? NaN, share: (rank + 1) / n };
  });
}

/**
 * Draws the ECDF of durations: for each x, the share of requests that took x or less. The symbol on each
 * line is its median. Series without values are named in the caption and not drawn.
 *
 * @example
 * ```ts
 * const figure = ecdfPlot([{ name: "a", values: [0.1, 0.2, 0.4] }], { title: "Latency", metric: "latency" });
 * if (!figure.caption.includes("n = 3")) throw new Error("n is missing");
 * ```
 */
export function ecdfPlot(series: readonly EcdfSeries[], options: EcdfOptions): Figure {
  const { title, metric, points: limit = maxEcdfPoints } = options;
  const drawn = series.map(({ name, values }, index) => {
    const points = ecdfPoints(Float64Array.from(values).sort(), limit);
    return { name, index, n: values.length, points };
  });
  const axis = durationAxis(drawn.flatMap(({ points }) => points.map(({ value }) => value)));
  const counts = drawn.map(({ name, n }) => `${name} n = ${n.toLocaleString("en-GB")}`).join("; ");
  const thinned = drawn.some(({ n }) => n > limit)
    ? ` Lines of more than ${limit} requests are drawn at ${limit} ranks.`
    : "";
  return drawFigure({
    title,
    description: drawn.map(({ name, points }) => spokenDistribution(name, points, metric)).join(" "),
    caption:
      `Share of requests whose ${metric} was x or less; the symbol marks the median. ${counts}.${thinned}`,
    height: 240,
    margins: [12, 20, 42, 50],
    upwards: "share of requests",
    legend: drawn.filter(({ n }) => n > 0),
    plot: {
      x: { ...axis.scale, label: axis.label(metric) },
      y: { domain: [0, 1], tickFormat: percentText },
      marks: [
        Plot.ruleY([0], { strokeOpacity: 0.35 }),
        ...drawn.filter(({ n }) => n > 0).flatMap(({ points, index }) => {
          const at = { x: ({ value }: EcdfPoint) => value * axis.factor, y: "share" };
          const start = points.slice(0, 1).map(({ value }) => ({ value, share: 0 }));
          const median = points.filter(({ share }) => share >= 0.5).slice(0, 1);
          return [
            seriesLine([...start, ...points], index, { ...at, curve: "step-after", strokeWidth: 1.75 }),
            seriesDots(median, index, { ...at, r: 4.5 }),
          ];
        }),
      ],
    },
  });
}

function spokenDistribution(name: string, points: readonly EcdfPoint[], metric: string): string {
  const at = (share: number) => points.find((point) => point.share >= share)?.value;
  const [half, most] = [at(0.5), at(0.9)];
  if (half === undefined || most === undefined) return `${name}: no values.`;
  return `${name}: half of the requests had a ${metric} of at most ${
    shortNumber(half)
  } s, nine in ten of at most ${shortNumber(most)} s.`;
}
