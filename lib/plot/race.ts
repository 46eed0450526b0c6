/// <reference lib="dom" />
/** The race: how evidence grew, and how many requests a verdict takes. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { atLeft, lineToDot, seriesDots } from "./marks.ts";
import { logScale, shortNumber } from "./scale.ts";

/** The evidence against one candidate after one block. */
export interface EvidencePoint {
  readonly block: number;
  readonly candidate: string;
  /** Sum of its rivals' e-values, above 0. */
  readonly evidence: number;
}

/**
 * Draws the evidence against each candidate over the blocks. A line ends where it reaches the threshold,
 * because its candidate leaves the race there.
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
  const { threshold, title, caption } = options;
  const lines = [...Map.groupBy(points, ({ candidate }) => candidate)];
  const lowest = Math.max(1e-3, Math.min(0.5, ...points.map(({ evidence }) => evidence)));
  const blocks = Math.max(0, ...points.map(({ block }) => block));
  return drawFigure({
    title,
    description: lines.map(([candidate, own]) => {
      const { evidence, block } = own.at(-1) ?? { evidence: 0, block: 0 };
      return `${candidate}: ${shortNumber(evidence)} of ${shortNumber(threshold)} after block ${block}.`;
    }).join(" "),
    caption,
    height: 232,
    margins: [12, 16, 36, 48],
    upwards: "evidence against the candidate, log scale",
    legend: lines.map(([candidate]) => candidate),
    plot: {
      // Blocks are whole: no tick between two of them.
      x: { label: "block", ticks: Math.max(1, Math.min(8, blocks - 1)), tickFormat: "d" },
      y: {
        type: "log",
        domain: [lowest, 3 * threshold],
        grid: false,
        clamp: true,
        ...logScale(lowest, 3 * threshold),
      },
      marks: [
        Plot.ruleY([threshold], { strokeDasharray: "4 3" }),
        Plot.text([threshold], {
          ...atLeft,
          y: (t: number) => t,
          text: (t: number) => `leaves at ${shortNumber(t)}`,
          dx: 4,
          dy: -8,
        }),
        ...lines.flatMap(([, own], i) => lineToDot(own, i, { x: "block", y: "evidence" })),
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
  const { title, caption } = options;
  const points = rows.flatMap(({ world, requests }) =>
    Object.entries(requests).map(([procedure, n]) => ({ world, procedure, n }))
  );
  const procedures = [...Map.groupBy(points, ({ procedure }) => procedure)];
  const counts = points.flatMap(({ n }) => n ?? []);
  const [low, high] = [0.8 * Math.min(...counts), 1.2 * Math.max(...counts)];
  return drawFigure({
    title,
    description: rows.map(spokenCosts).join(" "),
    caption,
    height: 60 + 40 * rows.length,
    margins: [6, 16, 38, 12],
    legend: procedures.map(([name]) => name),
    plot: {
      x: {
        type: "log",
        domain: [low, high],
        label: "requests until a decision, log scale",
        grid: true,
        ...logScale(low, high),
      },
      y: { type: "band", domain: rows.map(({ world }) => world), axis: null },
      marks: [
        Plot.ruleY(rows, { y: "world", strokeOpacity: 0.25, dy: 8 }),
        ...procedures.map(([, own], i) =>
          seriesDots(own.filter(({ n }) => n !== null), i, { x: "n", y: "world", r: 5, dy: 8 })
        ),
        Plot.text(rows, {
          ...atLeft,
          y: "world",
          text: ({ world }: CostRow) => shortName(world, figureWidth - 30),
          dy: -9,
        }),
      ],
    },
  });
}

function spokenCosts({ world, requests }: CostRow): string {
  const each = Object.entries(requests).map(([name, n]) => `${name} ${n === null ? "none" : shortNumber(n)}`);
  return `${world}: ${each.join(", ")}.`;
}
