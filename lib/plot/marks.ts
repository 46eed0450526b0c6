/// <reference lib="dom" />
/** Marks that several figures share. */
import * as Plot from "@observablehq/plot";
import { seriesStyle } from "./series.ts";

/** A line in the style of series `index`. */
export function seriesLine(points: Plot.Data, index: number, options: Plot.LineOptions): Plot.Markish {
  const { color, dash } = seriesStyle(index);
  return Plot.line(points, { stroke: color, strokeDasharray: dash, strokeWidth: 2, ...options });
}

/** Dots in the style of series `index`. */
export function seriesDots(points: Plot.Data, index: number, options: Plot.DotOptions): Plot.Markish {
  const { color, symbol } = seriesStyle(index);
  return Plot.dot(points, { fill: color, symbol, r: 4, ...options });
}

/** A line in the style of series `index` with a dot at its last point. */
export function lineToDot<Point>(
  points: readonly Point[],
  index: number,
  channels: { readonly x: keyof Point & string; readonly y: keyof Point & string },
): Plot.Markish[] {
  return [seriesLine(points, index, channels), seriesDots(points.slice(-1), index, channels)];
}

/** One dot per row and its interval as a bar, `dy` below the middle of the row. */
export function dotsWithBars<Row extends { readonly interval: readonly [number, number] | null }>(
  rows: readonly Row[],
  channels: { readonly x: keyof Row & string; readonly y: keyof Row & string },
  dy: number,
): Plot.Markish[] {
  return [
    Plot.ruleY(rows.filter(({ interval }) => interval !== null), {
      y: channels.y,
      x1: ({ interval }: Row) => interval?.[0],
      x2: ({ interval }: Row) => interval?.[1],
      stroke: seriesStyle(0).color,
      strokeWidth: 2,
      dy,
    }),
    seriesDots(rows, 0, { ...channels, dy }),
  ];
}

/** Where a text begins at the left edge of the frame. */
export const atLeft = { frameAnchor: "left", textAnchor: "start" } as const;
