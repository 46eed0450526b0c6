/// <reference lib="dom" />
/** What each way of choosing a model has lost so far, and what is believed of each model while it serves. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { seriesStyle } from "./series.ts";

/** One value after each request, from the first on. */
export interface RequestLine {
  readonly name: string;
  readonly values: ArrayLike<number>;
}

/** An interval after each request, drawn as a band. */
export interface BeliefLine extends RequestLine {
  readonly low: ArrayLike<number>;
  readonly high: ArrayLike<number>;
}

/** Points that a line is drawn with at most: a curve of 2,000 requests needs no more. */
const POINTS = 120;

function pointsOf(line: BeliefLine | RequestLine) {
  const n = line.values.length;
  const step = Math.max(1, Math.floor(n / POINTS));
  return Array.from({ length: n }, (_, at) => at).filter((at) => at % step === 0 || at === n - 1)
    .map((at) => ({
      request: at + 1,
      value: line.values[at] ?? 0,
      low: "low" in line ? line.low[at] ?? 0 : 0,
      high: "high" in line ? line.high[at] ?? 0 : 0,
    }));
}

const linesOf = (lines: readonly RequestLine[]) =>
  lines.flatMap((line, i) => [
    Plot.line(pointsOf(line), {
      x: "request",
      y: "value",
      stroke: seriesStyle(i).color,
      strokeDasharray: seriesStyle(i).dash,
      strokeWidth: 2,
    }),
    Plot.dot(pointsOf(line).slice(-1), {
      x: "request",
      y: "value",
      fill: seriesStyle(i).color,
      symbol: seriesStyle(i).symbol,
      r: 4,
    }),
  ]);

/**
 * Draws cumulative regret over requests, one line a policy; dashed upright: where the world changed.
 *
 * @example
 * ```ts
 * const figure = regretPlot([{ name: "uniform", values: [0.2, 0.5, 0.9] }], {
 *   title: "Regret", caption: "n = 1 simulation", changes: [2],
 * });
 * if (!figure.svg.includes("uniform")) throw new Error("the legend is missing");
 * ```
 */
export function regretPlot(
  lines: readonly RequestLine[],
  { title, caption, changes }: { title: string; caption: string; changes: readonly number[] },
): Figure {
  return drawFigure({
    title,
    description: lines.map(({ name, values }) =>
      `${name}: ${(values[values.length - 1] ?? 0).toFixed(1)} after ${values.length} requests.`
    ).join(" "),
    caption,
    height: 240,
    legend: lines.map(({ name }) => name),
    plot: {
      marginLeft: 44,
      marginRight: 16,
      marginBottom: 36,
      x: {
        label: "requests →   (upwards: successes lost to the oracle so far)",
        labelArrow: "none",
        ticks: 5,
      },
      y: { label: null, grid: true, ticks: 5, zero: true },
      marks: [Plot.ruleX(changes, { strokeDasharray: "4 3" }), Plot.ruleY([0]), ...linesOf(lines)],
    },
  });
}

/**
 * Draws what is believed of each arm's success rate over requests: mean and 95 % interval of the posterior.
 *
 * @example
 * ```ts
 * const figure = beliefPlot([{ name: "small", values: [0.5, 0.6], low: [0.1, 0.2], high: [0.9, 0.9] }], {
 *   title: "Posteriors", caption: "n = 2 requests", changes: [],
 * });
 * if (!figure.svg.startsWith("<svg")) throw new Error("not an SVG");
 * ```
 */
export function beliefPlot(
  lines: readonly BeliefLine[],
  { title, caption, changes }: { title: string; caption: string; changes: readonly number[] },
): Figure {
  return drawFigure({
    title,
    description: lines.map(({ name, values }) =>
      `${name}: believed success rate ${(values[values.length - 1] ?? 0).toFixed(2)} at the end.`
    ).join(" "),
    caption,
    height: 240,
    legend: lines.map(({ name }) => name),
    plot: {
      marginLeft: 44,
      marginRight: 16,
      marginBottom: 36,
      x: { label: "requests →   (upwards: success rate as believed)", labelArrow: "none", ticks: 5 },
      y: { label: null, grid: true, ticks: 5, domain: [0, 1] },
      marks: [
        ...lines.map((line, i) =>
          Plot.areaY(pointsOf(line), {
            x: "request",
            y1: "low",
            y2: "high",
            fill: seriesStyle(i).color,
            fillOpacity: 0.15,
          })
        ),
        Plot.ruleX(changes, { strokeDasharray: "4 3" }),
        ...linesOf(lines),
      ],
    },
  });
}
