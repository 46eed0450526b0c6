/// <reference lib="dom" />
/** Box plots: one band per group (a prompt), one row per series in it, flagged outliers shown. */
import * as Plot from "@observablehq/plot";
import { flagOutliers } from "../stats/outliers.ts";
import { quantile } from "../stats/quantile.ts";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { seriesDots } from "./marks.ts";
import { durationAxis, shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

/** The values of one series in one group. */
export interface BoxCell {
  /** The name of the series, as in the legend. */
  readonly series: string;
  /** Empty if there is only one group: its band then has no heading. */
  readonly group: string;
  /** Seconds, in any order. */
  readonly values: ArrayLike<number>;
}

/** Words for the drawing. */
export interface BoxOptions {
  /** The heading. */
  readonly title: string;
  /** What the values are, e.g. `latency`. */
  readonly metric: string;
}

/** What one row shows, in seconds. */
export interface BoxGlyph {
  readonly n: number;
  readonly p25: number;
  readonly p50: number;
  readonly p75: number;
  /** The furthest values that are not flagged as outliers. */
  readonly low: number;
  readonly high: number;
  readonly outliers: readonly number[];
}

/** A row draws at most this many of its flagged values, the furthest from the median. */
export const maxDrawnOutliers = 60;
/** With fewer values a box means little: every value is drawn instead. */
const boxFrom = 5;
const rowHeight = 17;
const headingHeight = 24;

/**
 * The numbers behind a box: quartiles, and whiskers to the furthest values within median ± 3.5 scaled MAD.
 *
 * @example
 * ```ts
 * const glyph = boxGlyph([1, 2, 3, 4, 100]);
 * if (glyph?.p50 !== 3 || glyph.high !== 4 || glyph.outliers.length !== 1) throw new Error("wrong box");
 * ```
 */
export function boxGlyph(values: ArrayLike<number>): BoxGlyph | null {
  const sorted = Array.from(values).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const flags = flagOutliers(sorted);
  const kept = sorted.filter((_, i) => flags[i] !== true);
  const [low, high] = [kept[0], kept.at(-1)];
  if (low === undefined || high === undefined) return null;
  return {
    n: sorted.length,
    p25: quantile(sorted, 0.25),
    p50: quantile(sorted, 0.5),
    p75: quantile(sorted, 0.75),
    low,
    high,
    outliers: sorted.filter((_, i) => flags[i] === true),
  };
}

interface Row {
  readonly group: string;
  readonly series: string;
  /** Its style. */
  readonly index: number;
  /** Its middle, in user units from the top of its band. */
  readonly y: number;
  readonly glyph: BoxGlyph;
  /** Every value, where there are too few for a box. */
  readonly values: readonly number[];
}

/**
 * Draws durations as boxes, series by series within each group; a longer group list makes a taller figure.
 *
 * @example
 * ```ts
 * const figure = boxPlot([{ series: "a", group: "", values: [0.1, 0.2, 0.3, 0.4, 0.5] }], {
 *   title: "Latency", metric: "latency",
 * });
 * if (!figure.caption.includes("quartile")) throw new Error("the caption must say what a box is");
 * ```
 */
export function boxPlot(cells: readonly BoxCell[], options: BoxOptions): Figure {
  const { title, metric } = options;
  const groups = [...new Set(cells.map(({ group }) => group))];
  const series = [...new Set(cells.map((cell) => cell.series))].map((name, index) => ({ name, index }))
    .filter(({ name }) => cells.some((cell) => cell.series === name && cell.values.length > 0));
  const isHeaded = groups.length > 1 || groups[0] !== "";
  const top = isHeaded ? headingHeight : 6;
  const rows = cells.flatMap(({ group, series: name, values }): Row[] => {
    const glyph = boxGlyph(values);
    const place = series.findIndex((one) => one.name === name);
    if (glyph === null || place < 0) return [];
    return [{
      group,
      series: name,
      index: series[place]?.index ?? 0,
      y: top + (place + 0.5) * rowHeight,
      glyph,
      values: glyph.n < boxFrom ? Array.from(values) : [],
    }];
  });
  const axis = durationAxis(rows.flatMap(({ glyph }) => [glyph.low, glyph.high, ...glyph.outliers]));
  const bandHeight = top + series.length * rowHeight + 6;
  return drawFigure({
    title,
    description: spokenBoxes(rows, metric),
    caption: caption(rows, metric),
    height: 12 + groups.length * bandHeight + 42,
    margins: [12, 12, 42, 8],
    legend: series,
    plot: {
      x: { ...axis.scale, inset: 5, label: axis.label(metric) },
      y: { axis: null, domain: [0, bandHeight], reverse: true },
      fy: { axis: null, domain: groups, padding: 0 },
      marks: [
        Plot.ruleY([0], { strokeOpacity: 0.18 }),
        ...(isHeaded ? [headings(groups)] : []),
        ...rows.flatMap((row) => rowMarks(row, axis.factor)),
      ],
    },
  });
}

function headings(groups: readonly string[]): Plot.Markish {
  return Plot.text(groups, {
    fy: (group: string) => group,
    text: (group: string) => shortName(group, 0.82 * figureWidth),
    frameAnchor: "top-left",
    dx: 2,
    dy: 12,
    textAnchor: "start",
    fontWeight: "600",
  });
}

/** Whiskers, the box or every value, the median, and the furthest of the flagged values. */
function rowMarks({ group, series, index, y, glyph, values }: Row, factor: number): Plot.Markish[] {
  const { color } = seriesStyle(index);
  const at = { fy: () => group, stroke: color };
  const upright = { y1: () => y - 5.5, y2: () => y + 5.5 };
  const x = (seconds: number) => seconds * factor;
  const far = [...glyph.outliers].sort((a, b) => Math.abs(b - glyph.p50) - Math.abs(a - glyph.p50))
    .slice(0, maxDrawnOutliers);
  return [
    Plot.ruleY([glyph], {
      ...at,
      y: () => y,
      x1: ({ low }: BoxGlyph) => x(low),
      x2: ({ high }: BoxGlyph) => x(high),
      strokeWidth: 1.25,
    }),
    values.length > 0 ? Plot.ruleX(values, { ...at, ...upright, x }) : Plot.rect([glyph], {
      ...at,
      ...upright,
      x1: ({ p25 }: BoxGlyph) => x(p25),
      x2: ({ p75 }: BoxGlyph) => x(p75),
      fill: color,
      fillOpacity: 0.22,
      title: ({ p50, n }: BoxGlyph) => `${series}: median ${shortNumber(p50)} s, n = ${n}`,
    }),
    seriesDots([glyph], index, { ...at, x: ({ p50 }: BoxGlyph) => x(p50), y: () => y, r: 3 }),
    Plot.dot(far, {
      ...at,
      x,
      y: () => y,
      r: 3,
      fill: "none",
      title: (seconds: number) => `outlier: ${shortNumber(seconds)} s`,
    }),
  ];
}

function caption(rows: readonly Row[], metric: string): string {
  const flagged = rows.reduce((sum, row) => sum + row.glyph.outliers.length, 0);
  const counts = rows.map((row) => row.glyph.n);
  const n = counts.length === 0 ? "0" : [...new Set([Math.min(...counts), Math.max(...counts)])]
    .map((one) => one.toLocaleString("en-GB")).join(" to ");
  const hidden = rows.some((row) => row.glyph.outliers.length > maxDrawnOutliers)
    ? ` A row draws at most ${maxDrawnOutliers} of them.`
    : "";
  const name = `${metric[0]?.toUpperCase()}${metric.slice(1)}`;
  if (rows.length > 0 && rows.every((row) => row.glyph.n < boxFrom)) {
    return `${name}: each tick is one request, since fewer than ${boxFrom} per row are too few for a box; the symbol ` +
      `is the median. n = ${n} per row.`;
  }
  const few = rows.some((row) => row.glyph.n < boxFrom)
    ? ` Rows with fewer than ${boxFrom} requests show each as a tick instead.`
    : "";
  return `${name}: a box spans the first to the third quartile, its symbol is the median, and whiskers reach the ` +
    `furthest values within median ± 3.5 scaled MAD. Values beyond are shown as rings (${flagged} here) and are part ` +
    `of every figure.${hidden}${few} n = ${n} per row.`;
}

function spokenBoxes(rows: readonly Row[], metric: string): string {
  const described = rows.slice(0, 12).map(({ group, series, glyph }) =>
    `${series}${group === "" ? "" : ` on ${group}`}: median ${metric} ${
      shortNumber(glyph.p50)
    } s, n = ${glyph.n}.`
  );
  const rest = rows.length > described.length ? ` And ${rows.length - described.length} more rows.` : "";
  return described.join(" ") + rest;
}
