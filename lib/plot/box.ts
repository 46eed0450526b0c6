/// <reference lib="dom" />
/** Box plots: one band per group (a prompt), one row per series in it, flagged outliers shown. */
import * as Plot from "@observablehq/plot";
import { flagOutliers } from "../stats/outliers.ts";
import { quantile } from "../stats/quantile.ts";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { type DurationAxis, durationAxis, shortNumber } from "./scale.ts";
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
  /** Whether the series are named above the figure. @default true */
  readonly legend?: boolean;
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
  /** Its style, and its place among the rows that are drawn. */
  readonly index: number;
  readonly place: number;
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
  const names = [...new Set(cells.map((cell) => cell.series))];
  const groups = [...new Set(cells.map((cell) => cell.group))];
  const series = names.map((name, index) => ({ name, index }))
    .filter(({ name }) => cells.some((cell) => cell.series === name && cell.values.length > 0));
  const rows = cells.flatMap((cell): Row[] => {
    const glyph = boxGlyph(cell.values);
    if (glyph === null) return [];
    const values = glyph.n < boxFrom ? Array.from(cell.values) : [];
    const place = series.findIndex(({ name }) => name === cell.series);
    return [{
      group: cell.group,
      series: cell.series,
      index: names.indexOf(cell.series),
      place,
      glyph,
      values,
    }];
  });
  const axis = durationAxis(rows.flatMap(({ glyph }) => [glyph.low, glyph.high, ...glyph.outliers]));
  const heading = groups.length > 1 || groups[0] !== "" ? headingHeight : 6;
  const bandHeight = heading + series.length * rowHeight + 6;
  return drawFigure({
    title: options.title,
    description: describe(rows, options.metric),
    caption: caption(rows, options.metric),
    height: 12 + groups.length * bandHeight + 42,
    ...(options.legend === false ? {} : { legend: series }),
    plot: {
      marginLeft: 8,
      marginRight: 12,
      marginTop: 12,
      marginBottom: 42,
      x: { ...axis.scale, inset: 5, label: axis.label(options.metric) },
      y: { axis: null, domain: [0, bandHeight], reverse: true },
      fy: { axis: null, domain: groups, padding: 0 },
      marks: boxMarks(rows, axis, heading),
    },
  });
}

function boxMarks(rows: readonly Row[], axis: DurationAxis, heading: number): Plot.Markish[] {
  const marks: Plot.Markish[] = [Plot.ruleY([0], { strokeOpacity: 0.18 })];
  if (heading === headingHeight) {
    marks.push(Plot.text([...new Set(rows.map((row) => row.group))], {
      fy: (group: string) => group,
      text: (group: string) => shortName(group, 0.82 * figureWidth),
      frameAnchor: "top-left",
      dx: 2,
      dy: 12,
      textAnchor: "start",
      fontWeight: "600",
    }));
  }
  for (const row of rows) marks.push(...rowMarks(row, axis.factor, heading));
  return marks;
}

function rowMarks(
  { group, index, place, glyph, values, series }: Row,
  factor: number,
  top: number,
): Plot.Markish[] {
  const { color, symbol } = seriesStyle(index);
  const y = top + place * rowHeight + rowHeight / 2;
  const at = { fy: [group], stroke: color };
  const text = `${series}: median ${shortNumber(glyph.p50)} s, n = ${glyph.n}`;
  const far = [...glyph.outliers].sort((a, b) => Math.abs(b - glyph.p50) - Math.abs(a - glyph.p50))
    .slice(0, maxDrawnOutliers);
  return [
    Plot.ruleY([y], {
      ...at,
      y: [y],
      x1: [glyph.low * factor],
      x2: [glyph.high * factor],
      strokeWidth: 1.25,
    }),
    values.length > 0
      ? Plot.ruleX(values, {
        fy: values.map(() => group),
        x: values.map((value) => value * factor),
        y1: values.map(() => y - 5.5),
        y2: values.map(() => y + 5.5),
        stroke: color,
      })
      : Plot.rect([y], {
        ...at,
        x1: [glyph.p25 * factor],
        x2: [glyph.p75 * factor],
        y1: [y - 5.5],
        y2: [y + 5.5],
        fill: color,
        fillOpacity: 0.22,
        title: [text],
      }),
    Plot.dot([y], { ...at, x: [glyph.p50 * factor], y: [y], fill: color, symbol, r: 3 }),
    Plot.dot(far, {
      fy: far.map(() => group),
      x: far.map((value) => value * factor),
      y: far.map(() => y),
      r: 3,
      stroke: color,
      fill: "none",
      title: far.map((value) => `outlier: ${shortNumber(value)} s`),
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

function describe(rows: readonly Row[], metric: string): string {
  const described = rows.slice(0, 12).map(({ group, series, glyph }) =>
    `${series}${group === "" ? "" : ` on ${group}`}: median ${metric} ${
      shortNumber(glyph.p50)
    } s, n = ${glyph.n}.`
  );
  const rest = rows.length > described.length ? ` And ${rows.length - described.length} more rows.` : "";
  return described.join(" ") + rest;
}
