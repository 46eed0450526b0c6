/// <reference lib="dom" />
/** The race: how evidence grew, and how many requests a verdict takes. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { logScale, shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

/** The evidence against one candidate after one block. */
export interface EvidencePoint {
  readonly block: number;
  readonly candidate: string;
  /** Sum of its rivals' e-values, above 0. */
  readonly evidence: number;
}

/**
 * Draws the evidence against each candidate over the blocks. A line ends where it reaches the threshold, because its
 * candidate leaves the race there.
 *
 * @example
 * ```ts
 * const points = [1, 2, 3].flatMap((block) => [
 *   { block, candidate: "a", evidence: 1 / block },
 *   { block, candidate: "b", evidence: 2 ** block },
 * ]);
 * const figure = evidencePlot(points, { threshold: 40, title: "Evidence", caption: "3 blocks" });
 * if (!figure.svg.includes("leaves at 40")) throw new Error("the threshold is missing");
 * ```
 */
export function evidencePlot(
  points: readonly EvidencePoint[],
  options: { readonly threshold: number; readonly title: string; readonly caption: string },
): Figure {
  const candidates = [...new Set(points.map(({ candidate }) => candidate))];
  const last = candidates.flatMap((candidate) =>
    points.findLast((point) => point.candidate === candidate) ?? []
  );
  const { threshold } = options;
  const lowest = Math.max(1e-3, Math.min(0.5, ...points.map(({ evidence }) => evidence)));
  return drawFigure({
    title: options.title,
    description: last.map(({ candidate, evidence, block }) =>
      `${candidate}: ${shortNumber(evidence)} of ${shortNumber(threshold)} after block ${block}.`
    ).join(" "),
    caption: options.caption,
    height: 232,
    upwards: "evidence against the candidate, log scale",
    legend: candidates,
    plot: {
      marginLeft: 48,
      marginRight: 16,
      marginTop: 12,
      marginBottom: 36,
      x: {
        label: "block →",
        labelArrow: "none",
        // Blocks are whole: no tick between two of them.
        ticks: Math.max(1, Math.min(8, Math.max(0, ...points.map(({ block }) => block)) - 1)),
        tickFormat: "d",
      },
      y: {
        type: "log",
        domain: [lowest, 3 * threshold],
        label: null,
        clamp: true,
        ...logScale(lowest, 3 * threshold),
      },
      marks: [
        Plot.ruleY([threshold], { strokeDasharray: "4 3" }),
        Plot.text([threshold], {
          y: (t: number) => t,
          text: (t: number) => `leaves at ${shortNumber(t)}`,
          frameAnchor: "left",
          textAnchor: "start",
          dx: 4,
          dy: -8,
        }),
        ...candidates.map((candidate, i) =>
          Plot.line(points.filter((point) => point.candidate === candidate), {
            x: "block",
            y: "evidence",
            stroke: seriesStyle(i).color,
            strokeDasharray: seriesStyle(i).dash,
            strokeWidth: 2,
          })
        ),
        ...candidates.map((candidate, i) =>
          Plot.dot(last.filter((point) => point.candidate === candidate), {
            x: "block",
            y: "evidence",
            fill: seriesStyle(i).color,
            symbol: seriesStyle(i).symbol,
            r: 4,
          })
        ),
      ],
    },
  });
}

/** The requests that several procedures need in one simulated world. */
export interface CostRow {
  readonly world: string;
  /** Requests by procedure, in the order of the legend; null where none was enough. */
  readonly requests: Readonly<Record<string, number | null>>;
}

/**
 * Draws one row per world and one mark per procedure, on a logarithmic axis of requests.
 *
 * @example
 * ```ts
 * const figure = costPlot([{ world: "gap 10 %", requests: { race: 96, fixed: 132 } }], {
 *   title: "Requests", caption: "simulated",
 * });
 * if (!figure.svg.includes("gap 10 %")) throw new Error("the world is missing");
 * ```
 */
export function costPlot(
  rows: readonly CostRow[],
  options: { readonly title: string; readonly caption: string },
): Figure {
  const procedures = [...new Set(rows.flatMap(({ requests }) => Object.keys(requests)))];
  const points = rows.flatMap(({ world, requests }) =>
    Object.entries(requests).flatMap(([procedure, n]) => n === null ? [] : [{ world, procedure, n }])
  );
  const [low, high] = [
    0.8 * Math.min(...points.map(({ n }) => n)),
    1.2 * Math.max(...points.map(({ n }) => n)),
  ];
  return drawFigure({
    title: options.title,
    description: rows.map(({ world, requests }) =>
      `${world}: ${
        Object.entries(requests).map(([name, n]) => `${name} ${n === null ? "none" : shortNumber(n)}`).join(
          ", ",
        )
      }.`
    ).join(" "),
    caption: options.caption,
    height: 60 + 40 * rows.length,
    legend: procedures,
    plot: {
      marginLeft: 12,
      marginRight: 16,
      marginTop: 6,
      marginBottom: 38,
      x: {
        type: "log",
        domain: [low, high],
        label: "requests until a decision, log scale →",
        labelArrow: "none",
        grid: true,
        ...logScale(low, high),
      },
      y: { type: "band", domain: rows.map(({ world }) => world), axis: null },
      marks: [
        Plot.ruleY(rows, { y: "world", strokeOpacity: 0.25, dy: 8 }),
        ...procedures.map((procedure, i) =>
          Plot.dot(points.filter((point) => point.procedure === procedure), {
            x: "n",
            y: "world",
            fill: seriesStyle(i).color,
            symbol: seriesStyle(i).symbol,
            r: 5,
            dy: 8,
          })
        ),
        Plot.text(rows, {
          y: "world",
          text: ({ world }: CostRow) => shortName(world, figureWidth - 30),
          frameAnchor: "left",
          textAnchor: "start",
          dy: -9,
          fill: "currentColor",
        }),
      ],
    },
  });
}
