/// <reference lib="dom" />
/** Shares from 0 to 1 with their intervals, and the floor that they must reach. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { atLeft, dotsWithBars } from "./marks.ts";
import { percentText } from "./scale.ts";

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
  const { title, axis, floor, caption } = options;
  const names = (row: RateRow) => shortName(row.label, figureWidth - 30);
  return drawFigure({
    title,
    description: rows.map((row) => `${row.label}: ${rateWithInterval(row)}.`).join(" ") +
      (floor === null ? "" : ` The floor is ${percentText(floor)}.`),
    caption,
    height: 70 + 52 * rows.length,
    margins: [floor === null ? 6 : 24, 26, 38, 16],
    plot: {
      x: { domain: [0, 1], label: axis, ticks: 5, tickFormat: percentText, grid: true },
      y: { type: "band", domain: rows.map(({ label }) => label), axis: null },
      marks: [
        // Only beside the bars: the labels above them stay free.
        ...(floor === null ? [] : [
          Plot.tickX(rows, { x: floor, y: "label", strokeWidth: 1.5, insetTop: 29 }),
          Plot.text([floor], { x: floor, text: () => "floor", frameAnchor: "top", dy: -10 }),
        ]),
        ...dotsWithBars(rows, { x: "rate", y: "label" }, 14),
        Plot.text(rows, { ...atLeft, y: "label", text: names, dy: -16 }),
        Plot.text(rows, { ...atLeft, y: "label", text: rateWithInterval, dy: -1 }),
      ],
    },
  });
}

function rateWithInterval({ rate, interval }: RateRow): string {
  return `${percentText(rate)} (${
    interval === null ? "no interval" : interval.map(percentText).join(" to ")
  })`;
}
