/// <reference lib="dom" />
/** The empirical distribution of each series: every value counts, and there are no bins to choose. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { durationAxis, shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

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
  /** False where a neighbouring figure already shows the legend. @default true */
  readonly legend?: boolean;
  /** A longer series is drawn at this many of its ranks. @default maxEcdfPoints */
  readonly points?: number;
}

/** What `points` is by default: the smallest and the largest value are always among them. */
export const maxEcdfPoints = 400;

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
export function ecdfPoints(sorted: ArrayLike<number>, limit: number): { value: number; share: number }[] {
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
  const limit = options.points ?? maxEcdfPoints;
  const drawn = series.map((one, index) => {
    const sorted = Float64Array.from(one.values).sort();
    const points = ecdfPoints(sorted, limit);
    return { name: one.name, index, n: sorted.length, points, style: seriesStyle(index) };
  });
  const axis = durationAxis(drawn.flatMap((one) => one.points.map((point) => point.value)));
  const scaled = drawn.map((one) => ({
    ...one,
    points: one.points.map(({ value, share }) => ({ value: value * axis.factor, share })),
  }));
  const marks: Plot.Markish[] = [Plot.ruleY([0], { strokeOpacity: 0.35 })];
  for (const { points, style } of scaled) {
    const first = points[0];
    const median = points.find((point) => point.share >= 0.5);
    if (first === undefined || median === undefined) continue;
    marks.push(
      Plot.line([{ value: first.value, share: 0 }, ...points], {
        x: "value",
        y: "share",
        curve: "step-after",
        stroke: style.color,
        strokeDasharray: style.dash,
        strokeWidth: 1.75,
      }),
      Plot.dot([median], { x: "value", y: "share", fill: style.color, symbol: style.symbol, r: 4.5 }),
    );
  }
  const counts = drawn.map((one) => `${one.name} n = ${one.n.toLocaleString("en-GB")}`).join("; ");
  const thinned = drawn.some((one) => one.n > limit)
    ? ` Lines of more than ${limit} requests are drawn at ${limit} ranks.`
    : "";
  return drawFigure({
    title: options.title,
    description: drawn.map((one) => describe(one.name, one.points, options.metric)).join(" "),
    caption: `Share of requests whose ${options.metric} was x or less; the symbol marks the median. ` +
      `${counts}.${thinned}`,
    height: 240,
    upwards: "share of requests",
    ...(options.legend === false ? {} : { legend: drawn.filter((one) => one.n > 0) }),
    plot: {
      marginLeft: 50,
      marginTop: 12,
      marginBottom: 42,
      x: { ...axis.scale, label: axis.label(options.metric) },
      y: {
        label: null,
        grid: true,
        domain: [0, 1],
        tickFormat: (share: number) => `${Math.round(100 * share)} %`,
        ticks: 5,
      },
      marks,
    },
  });
}

function describe(name: string, points: readonly { value: number; share: number }[], metric: string): string {
  const at = (share: number) => points.find((point) => point.share >= share)?.value;
  const [half, most] = [at(0.5), at(0.9)];
  if (half === undefined || most === undefined) return `${name}: no values.`;
  return `${name}: half of the requests had a ${metric} of at most ${
    shortNumber(half)
  } s, nine in ten of at most ${shortNumber(most)} s.`;
}
