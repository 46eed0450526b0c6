/// <reference lib="dom" />
/**
 * Simulations, step by step: what each way of choosing a model loses, what a router
 * believes, how often a test errs.
 */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { lineToDot } from "./marks.ts";
import { percentText, shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

/** One value after each request or check, from the first on. */
export interface SimulatedLine {
  readonly name: string;
  readonly values: ArrayLike<number>;
}

/** An interval after each request, drawn as a band. */
export interface BeliefLine extends SimulatedLine {
  readonly low: ArrayLike<number>;
  readonly high: ArrayLike<number>;
}

/** Title, caption and changes of a figure. */
interface Words {
  readonly title: string;
  readonly caption: string;
  /** Requests at which the world changed: dashed uprights. */
  readonly changes: readonly number[];
}

/**
 * Draws cumulative regret over requests, one line per policy. Dashed vertical lines
 * show where the world changed.
 *
 * @example
 * ```ts
 * const figure = regretPlot([{ name: "uniform", values: [0.2, 0.5, 0.9] }], {
 *   title: "Regret", caption: "n = 1 simulation", changes: [2],
 * });
 * if (!figure.svg.includes("uniform")) throw new Error("the legend is missing");
 * ```
 */
export function regretPlot(lines: readonly SimulatedLine[], words: Words): Figure {
  return overSteps(lines, words, {
    upwards: "successes lost to the oracle so far",
    x: "requests",
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
  return overSteps(lines, words, {
    upwards: "success rate as believed",
    x: "requests",
    y: { domain: [0, 1] },
    describe: (last) => `believed success rate ${last.toFixed(2)} at the end`,
    marks: [
      ...lines.map((line, i) =>
        Plot.areaY(thinnedPoints(line), {
          x: "step",
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

/**
 * Draws how often each test has gone wrong when its result is checked again and again: one line per test over
 * the number of checks, and the promised share as a dashed line.
 *
 * @param lines the share of simulated measurements that had gone wrong after 1, 2, … checks
 *
 * @example
 * ```ts
 * const figure = repeatedTestingPlot([{ name: "naive", values: [0, 0.1, 0.2] }], {
 *   title: "False winners", promised: 0.05, caption: "simulated",
 * });
 * if (!figure.svg.includes("promised")) throw new Error("the promise is missing");
 * ```
 */
export function repeatedTestingPlot(
  lines: readonly SimulatedLine[],
  { promised, ...words }: { readonly title: string; readonly promised: number; readonly caption: string },
): Figure {
  const highest = Math.max(2 * promised, ...lines.flatMap(({ values }) => Array.from(values)));
  return overSteps(lines, words, {
    upwards: "share that was wrong by then",
    x: "checks, one per block",
    y: { domain: [0, 1.1 * highest], ticks: 4, tickFormat: percentText },
    describe: (last, checks) => `${percentText(last)} after ${checks} checks`,
    marks: [
      Plot.ruleY([promised], { strokeDasharray: "4 3" }),
      Plot.text([promised], {
        y: promised,
        text: () => `promised: ${percentText(promised)}`,
        frameAnchor: "right",
        textAnchor: "end",
        dy: -8,
      }),
      ...linesOf(lines),
    ],
  });
}

/** A line is drawn with at most this many points: a curve of 2,000 requests needs no more. */
const POINTS = 120;

function thinnedPoints(line: BeliefLine | SimulatedLine) {
  const n = line.values.length;
  const step = Math.max(1, Math.floor(n / POINTS));
  return Array.from({ length: n }, (_, at) => at).filter((at) => at % step === 0 || at === n - 1)
    .map((at) => ({
      step: at + 1,
      value: line.values[at] ?? 0,
      low: "low" in line ? line.low[at] ?? 0 : 0,
      high: "high" in line ? line.high[at] ?? 0 : 0,
    }));
}

const linesOf = (lines: readonly SimulatedLine[]) =>
  lines.flatMap((line, i) => lineToDot(thinnedPoints(line), i, { x: "step", y: "value" }));

/** The frame of all three: requests or checks on x, what `upwards` names on y. */
function overSteps(
  lines: readonly SimulatedLine[],
  { title, caption }: Pick<Words, "title" | "caption">,
  { upwards, x, y, describe, marks }: {
    upwards: string;
    x: string;
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
    margins: [12, 16, 36, 52],
    plot: {
      x: { label: x, ticks: 5 },
      y,
      marks,
    },
  });
}

const uprights = ({ changes }: Words) => Plot.ruleX(changes, { strokeDasharray: "4 3" });
