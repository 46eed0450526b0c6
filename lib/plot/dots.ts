/// <reference lib="dom" />
/** One row per thing, one dot per series: how values differ between rows and within each. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortNames } from "./figure.ts";
import { shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

/** One dot. */
export interface Dot {
  /** The key of its row; several dots of a series may share a row. */
  readonly row: string;
  readonly series: string;
  readonly value: number;
}

/** Words, rows and series, in the order in which they are drawn. */
export interface DotOptions {
  readonly title: string;
  /** The metric with its unit, e.g. `mean E2E latency (s)`. */
  readonly label: string;
  readonly rows: readonly { readonly key: string; readonly label: string }[];
  readonly series: readonly string[];
  /** The highlighted row; null where none is. */
  readonly marked: string | null;
  readonly caption: string;
}

const labelWidth = 130;

/**
 * Draws dots on an axis that starts at zero.
 *
 * @example
 * ```ts
 * const figure = dotPlot([{ row: "1", series: "small", value: 0.8 }], {
 *   title: "Latency", label: "mean latency (s)", rows: [{ key: "1", label: "ana" }], series: ["small"],
 *   marked: null, caption: "n = 20 requests",
 * });
 * if (!figure.svg.includes("ana")) throw new Error("the row's label is missing");
 * ```
 */
export function dotPlot(dots: readonly Dot[], options: DotOptions): Figure {
  const { title, label, rows, series, marked, caption } = options;
  const short = shortNames(rows.map(({ label }) => label), labelWidth - 14);
  const labels = new Map(rows.map(({ key, label }) => [key, short.get(label) ?? label]));
  const most = Math.max(...dots.map(({ value }) => value), 0) * 1.05 || 1;
  const said = rows.map(({ key, label }) => {
    const own = dots.filter(({ row }) => row === key);
    return `${label}: ${own.map(({ series, value }) => `${series} ${shortNumber(value)}`).join(", ")}.`;
  });
  return drawFigure({
    title,
    description: said.join(" "),
    caption,
    height: 56 + 21 * rows.length,
    legend: series,
    plot: {
      marginLeft: labelWidth,
      marginRight: 12,
      marginTop: 8,
      marginBottom: 40,
      x: {
        domain: [0, most],
        label,
        labelAnchor: "center",
        labelArrow: "none",
        grid: true,
        ticks: Math.round((figureWidth - labelWidth) / 60),
        tickFormat: (value: number) => shortNumber(value),
      },
      y: {
        type: "point",
        domain: rows.map(({ key }) => key),
        label: null,
        tickSize: 0,
        tickFormat: (key: string) => labels.get(key) ?? key,
      },
      marks: [
        Plot.ruleY(rows, { y: "key", strokeOpacity: 0.15 }),
        ...(marked === null ? [] : [Plot.ruleY([marked], { strokeOpacity: 0.25, strokeWidth: 19 })]),
        ...series.map((name, index) => {
          const { color, symbol } = seriesStyle(index);
          const own = dots.filter((dot) => dot.series === name);
          return Plot.dot(own, {
            x: "value",
            y: "row",
            fill: color,
            symbol,
            r: ({ row }: Dot) => row === marked ? 6 : 4,
            fillOpacity: ({ row }: Dot) => marked === null || row === marked ? 1 : 0.55,
          });
        }),
      ],
      r: { type: "identity" },
    },
  });
}
