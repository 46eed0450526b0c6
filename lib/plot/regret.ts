/// <reference lib="dom" />
/** What each way of choosing a model has lost so far, and the estimate of each model's success rate while it serves. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { shortNumber } from "./scale.ts";
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

/** A line is drawn with at most this many points: a curve of 2,000 requests needs no more. */
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

interface Words {
  readonly title: string;
  readonly caption: string;
  /** Requests at which the world changed: dashed uprights. */
  readonly changes: readonly number[];
}

/** The frame of both figures: requests on x, what `upwards` names on y. */
function overRequests(
  lines: readonly RequestLine[],
  { title, caption }: Words,
  { upwards, y, describe, marks }: {
    upwards: string;
    y: Plot.ScaleOptions;
    describe: (last: number, requests: number) => string;
    marks: Plot.Markish[];
  },
): Figure {
  return drawFigure({
    title,
    description: lines.map(({ name, values }) =>
      `${name}: ${describe(values[values.length - 1] ?? 0, values.length)}.`
    ).join(" "),
    caption,
    height: 232,
    upwards,
    legend: lines.map(({ name }) => name),
    plot: {
      marginLeft: 52,
      marginRight: 16,
      marginTop: 12,
      marginBottom: 36,
      x: { label: "requests →", labelArrow: "none", ticks: 5 },
      y: { label: null, grid: true, ticks: 5, ...y },
      marks,
    },
  });
}

const uprights = ({ changes }: Words) => Plot.ruleX(changes, { strokeDasharray: "4 3" });

/**
 * Draws cumulative regret over requests, one line per policy. Dashed vertical lines show where the world changed.
 *
 * @example
 * ```ts
 * const figure = regretPlot([{ name: "uniform", values: [0.2, 0.5, 0.9] }], {
 *   title: "Regret", caption: "n = 1 simulation", changes: [2],
 * });
 * if (!figure.svg.includes("uniform")) throw new Error("the legend is missing");
 * ```
 */
export function regretPlot(lines: readonly RequestLine[], words: Words): Figure {
  return overRequests(lines, words, {
    upwards: "successes lost to the oracle so far",
    y: {
      domain: [0, Math.max(0, ...lines.flatMap(({ values }) => Array.from(values))) || 1],
      nice: true,
      tickFormat: shortNumber,
    },
    describe: (last, requests) => `${last.toFixed(1)} after ${requests} requests`,
    marks: [uprights(words), Plot.ruleY([0]), ...linesOf(lines)],
  });
}

/**
 * Draws the posterior of each model's success rate over requests: mean and 95 % interval.
 *
 * @example
 * ```ts
 * const figure = beliefPlot([{ name: "small", values: [0.5, 0.6], low: [0.1, 0.2], high: [0.9, 0.9] }], {
 *   title: "Posteriors", caption: "n = 2 requests", changes: [],
 * });
 * if (!figure.svg.startsWith("<svg")) throw new Error("not an SVG");
 * ```
 */
export function beliefPlot(lines: readonly BeliefLine[], words: Words): Figure {
  return overRequests(lines, words, {
    upwards: "success rate as believed",
    y: { domain: [0, 1] },
    describe: (last) => `believed success rate ${last.toFixed(2)} at the end`,
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
      uprights(words),
      ...linesOf(lines),
    ],
  });
}
