/// <reference lib="dom" />
/** Shares from 0 to 1 with their intervals, and the floor that they must reach. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { seriesStyle } from "./series.ts";

/** One share, such as a pass rate. */
export interface RateRow {
  /** The name of the row. */
  readonly label: string;
  /** 0 to 1. */
  readonly rate: number;
  /** The 95 % interval, each end from 0 to 1; null where there is none. */
  readonly interval: readonly [number, number] | null;
}

/**
 * Draws one row per share: a dot, its interval as a bar, and the floor as a dashed line.
 *
 * @example
 * ```ts
 * const figure = ratePlot([{ label: "a", rate: 0.4, interval: [0.2, 0.6] }], {
 *   title: "Prompts passed", axis: "share of prompts", floor: 0.5, caption: "n = 17 prompts",
 * });
 * if (!figure.svg.includes("40 % (20 % to 60 %)")) throw new Error("the figures are missing");
 * ```
 */
export function ratePlot(
  rows: readonly RateRow[],
  options: {
    readonly title: string;
    readonly axis: string;
    readonly floor: number | null;
    readonly caption: string;
  },
): Figure {
  const { floor } = options;
  return drawFigure({
    title: options.title,
    description: rows.map((row) => `${row.label}: ${figures(row)}.`).join(" ") +
      (floor === null ? "" : ` The floor is ${percent(floor)}.`),
    caption: options.caption,
    height: 70 + 52 * rows.length,
    plot: {
      marginLeft: 16,
      marginRight: 26,
      marginTop: floor === null ? 6 : 24,
      marginBottom: 38,
      x: {
        domain: [0, 1],
        label: `${options.axis} →`,
        labelArrow: "none",
        ticks: 5,
        tickFormat: percent,
        grid: true,
      },
      y: { type: "band", domain: rows.map(({ label }) => label), axis: null },
      marks: [
        // Only beside the bars: the labels above them stay free.
        ...(floor === null ? [] : [
          Plot.tickX(rows, { x: floor, y: "label", strokeWidth: 1.5, insetTop: 29 }),
          Plot.text([floor], { x: floor, text: () => "floor", frameAnchor: "top", dy: -10 }),
        ]),
        Plot.ruleY(rows.filter(({ interval }) => interval !== null), {
          y: "label",
          x1: ({ interval }: RateRow) => interval?.[0],
          x2: ({ interval }: RateRow) => interval?.[1],
          stroke: seriesStyle(0).color,
          strokeWidth: 2,
          dy: 14,
        }),
        Plot.dot(rows, { y: "label", x: "rate", fill: seriesStyle(0).color, r: 4, dy: 14 }),
        ...[(row: RateRow) => shortName(row.label, figureWidth - 30), figures].map((text, line) =>
          Plot.text(rows, {
            y: "label",
            text,
            frameAnchor: "left",
            textAnchor: "start",
            dy: 15 * line - 16,
            fill: "currentColor",
          })
        ),
      ],
    },
  });
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

function figures({ rate, interval }: RateRow): string {
  return `${percent(rate)} (${interval === null ? "no interval" : interval.map(percent).join(" to ")})`;
}
