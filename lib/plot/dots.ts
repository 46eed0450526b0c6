/// <reference lib="dom" />
/** One row per thing, one dot per series: how values differ between rows and within each. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortNames } from "./figure.ts";
import { seriesDots } from "./marks.ts";
import { shortNumber } from "./scale.ts";

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
  return drawFigure({
    title,
    description: rows.map(({ key, label }) => spokenRow(label, dots.filter(({ row }) => row === key))).join(
      " ",
    ),
    caption,
    height: 56 + 21 * rows.length,
    legend: series,
    margins: [8, 12, 40, labelWidth],
    plot: {
      x: {
        domain: [0, most],
        label,
        labelAnchor: "center",
        labelArrow: "none",
        grid: true,
        ticks: Math.round((figureWidth - labelWidth) / 60),
        tickFormat: shortNumber,
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
        ...series.map((name, index) =>
          seriesDots(dots.filter((dot) => dot.series === name), index, {
            x: "value",
            y: "row",
            r: ({ row }: Dot) => row === marked ? 6 : 4,
            fillOpacity: ({ row }: Dot) => marked === null || row === marked ? 1 : 0.55,
          })
        ),
      ],
      r: { type: "identity" },
    },
  });
}

function spokenRow(label: string, dots: readonly Dot[]): string {
  return `${label}: ${dots.map(({ series, value }) => `${series} ${shortNumber(value)}`).join(", ")}.`;
}
