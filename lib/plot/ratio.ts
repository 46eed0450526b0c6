/// <reference lib="dom" />
/** Ratios with their intervals on a log axis, and the band in which a difference does not matter. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName, widthOf } from "./figure.ts";
import { atLeft, dotsWithBars } from "./marks.ts";
import { logScale, shortNumber } from "./scale.ts";

/** One ratio to draw. */
export interface RatioRow {
  /** The two that are compared. */
  readonly label: string;
  /** The first over the second; 1 where they are equal. */
  readonly ratio: number;
  /** Null where too few prompts carry an interval. */
  readonly interval: readonly [number, number] | null;
}

/** Words and the band. */
export interface RatioOptions {
  /** The heading. */
  readonly title: string;
  /** What a ratio over 1 means, e.g. `b takes longer`. */
  readonly over: string;
  /** What a ratio below 1 means. */
  readonly under: string;
  /** Half width of the band of no interest: 0.1 shades 1/1.1 to 1.1. */
  readonly epsilon: number;
  /** Which statistic each mark shows, and the n behind it. */
  readonly caption: string;
}

/**
 * Draws one row per ratio: the point is the estimate, the bar its interval, the shaded band ±ε.
 *
 * @example
 * ```ts
 * const figure = ratioPlot([{ label: "b / a", ratio: 1.4, interval: [1.2, 1.6] }], {
 *   title: "Latency", over: "b slower", under: "b faster", epsilon: 0.1, caption: "n = 20 blocks",
 * });
 * if (!figure.svg.includes("1.4")) throw new Error("the estimate is missing");
 * ```
 */
export function ratioPlot(rows: readonly RatioRow[], options: RatioOptions): Figure {
  const { title, over, under, epsilon, caption } = options;
  const ends = rows.flatMap((row) => [row.ratio, ...(row.interval ?? [])]);
  const reach = Math.max(1 + 2 * epsilon, ...ends.map((end) => Math.max(end, 1 / end))) * 1.05;
  const band = 1 + epsilon;
  const lines = rows.some((row) => widthOf(`${row.label}: ${ratioWithInterval(row)}`) > figureWidth - 30)
    ? 2
    : 1;
  // Band and line only behind the marks: the labels above them stay on plain ground.
  const behind = { y: "label", insetTop: rowHeight(lines) - 17, insetBottom: 0 };
  return drawFigure({
    title,
    description: rows.map((row) => `${row.label}: ${ratioWithInterval(row)}.`).join(" "),
    caption,
    height: 62 + rows.length * rowHeight(lines),
    margins: [6, 12, 40, 12],
    plot: {
      x: {
        type: "log",
        domain: [1 / reach, reach],
        label: `← ${under} · ratio, log scale · ${over} →`,
        labelAnchor: "center",
        ...ratioTicks(reach),
      },
      y: { type: "band", domain: rows.map(({ label }) => label), axis: null },
      marks: [
        Plot.barX(rows, { ...behind, x1: 1 / band, x2: band, fill: "currentColor", fillOpacity: 0.12 }),
        Plot.tickX(rows, { ...behind, x: 1, strokeOpacity: 0.5 }),
        ...dotsWithBars(rows, { x: "ratio", y: "label" }, rowHeight(lines) / 2 - 9),
        ...rowTexts(rows, lines),
      ],
    },
  });
}

/** Ticks on both sides of 1, mirrored: a ratio and its inverse are equally far from it. */
function ratioTicks(reach: number): Pick<ReturnType<typeof logScale>, "ticks" | "tickFormat"> {
  if (reach > 4) return logScale(1 / reach, reach);
  const above = [1, 1.1, 1.25, 1.5, 2, 3].filter((tick) => tick < reach);
  return {
    ticks: [...above.slice(1).map((tick) => 1 / tick), ...above],
    tickFormat: (tick) => shortNumber(Number(tick.toFixed(2))),
  };
}

function rowHeight(lines: 1 | 2): number {
  return lines === 1 ? 36 : 52;
}

function ratioWithInterval({ ratio, interval }: RatioRow): string {
  const text = (value: number) => value < 100 ? value.toPrecision(3) : shortNumber(value);
  return `${text(ratio)} (${interval === null ? "no interval" : interval.map(text).join("–")})`;
}

/** Label and figures above the mark: on one line, or on two where the names are long. */
function rowTexts(rows: readonly RatioRow[], lines: 1 | 2): Plot.Markish[] {
  const top = 10 - rowHeight(lines) / 2;
  const at = { ...atLeft, y: "label" };
  const names = (label: string) => label.split(" / ");
  const short = (label: string) =>
    names(label).map((name) => shortName(name, (figureWidth - 40) / names(label).length)).join(" / ");
  if (lines === 1) {
    return [
      Plot.text(rows, { ...at, dy: top, text: (row: RatioRow) => `${row.label}: ${ratioWithInterval(row)}` }),
    ];
  }
  return [
    Plot.text(rows, { ...at, dy: top, text: (row: RatioRow) => short(row.label) }),
    Plot.text(rows, { ...at, dy: top + 15, text: ratioWithInterval }),
  ];
}
