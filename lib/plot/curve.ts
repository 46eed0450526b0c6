/// <reference lib="dom" />
/** One figure against another: time to first token against prompt length, goodput against load, speed against time. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { seriesDots, seriesLine } from "./marks.ts";
import { shortNumber } from "./scale.ts";
import { alertColor, seriesStyle } from "./series.ts";

const marginLeft = 52;
const marginRight = 22;

/** One measured point; without `low` and `high` it has no interval. */
export interface CurvePoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

/** One line of the figure. */
export interface CurveSeries {
  readonly name: string;
  readonly points: readonly CurvePoint[];
}

/** Words, axes and marks of the figure. */
export interface CurveOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly caption: string;
  /** `log` doubles from tick to tick: for lengths and loads. @default "linear" */
  readonly xScale?: "linear" | "log";
  /** A limit, drawn as a dashed line across. */
  readonly limit?: number | null;
  /** Places on the x axis that a reader should see, each with its name: a knee, a change. */
  readonly marks?: readonly { readonly x: number; readonly name: string }[];
  /** False draws dots alone: for hundreds of single requests. @default true */
  readonly joined?: boolean;
  /** False lets the y axis begin above zero: for a temperature. @default true */
  readonly fromZero?: boolean;
}

/**
 * Draws lines over a common x axis: a dot per point, its interval as a bar, the limit
 * dashed, and named uprights.
 *
 * @example
 * ```ts
 * const figure = curvePlot([{ name: "a", points: [{ x: 256, y: 0.2 }, { x: 1024, y: 0.9, low: 0.8, high: 1 }] }], {
 *   title: "Time to first token", x: "prompt tokens", y: "seconds", caption: "n = 2", xScale: "log", limit: 0.5,
 * });
 * if (!figure.svg.includes("limit 0.5")) throw new Error("the limit is missing");
 * ```
 */
export function curvePlot(series: readonly CurveSeries[], options: CurveOptions): Figure {
  const { xScale = "linear", limit = null, marks = [], joined = true, fromZero = true } = options;
  const xs = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  return drawFigure({
    title: options.title,
    description: series.map((one) => `${one.name}: ${spokenCurve(one.points, options)}.`).join(" ") +
      marks.map(({ x, name }) => ` ${name} at ${shortNumber(x)}.`).join(""),
    caption: options.caption,
    height: 230,
    margins: [14 + 13 * marks.length, marginRight, 40, marginLeft],
    upwards: limit === null ? options.y : `${options.y}; dashed: limit ${shortNumber(limit)}`,
    ...(series.length < 2 ? {} : { legend: series.map(({ name }) => name) }),
    plot: {
      x: {
        type: xScale,
        ...(xScale === "log" ? { base: 2, ticks: spread(xs) } : { ticks: 6 }),
        tickFormat: shortNumber,
        label: options.x,
      },
      y: { nice: true, zero: fromZero, tickFormat: shortNumber },
      marks: [
        ...(fromZero ? [Plot.ruleY([0])] : []),
        ...(limit === null ? [] : [Plot.ruleY([limit], { strokeDasharray: "4 3" })]),
        ...namedUprights(marks, xs, xScale),
        intervalBars(series),
        ...series.flatMap(({ points }, index) => [
          ...(joined ? [seriesLine(points, index, { x: "x", y: "y" })] : []),
          seriesDots(points, index, { x: "x", y: "y", r: joined ? 4 : 2, stroke: "none" }),
        ]),
      ],
    },
  });
}

function intervalBars(series: readonly CurveSeries[]): Plot.Markish {
  const barred = series.flatMap(({ points }, index) =>
    points.filter(({ low, high }) => low !== undefined && high !== undefined)
      .map((point) => ({ ...point, color: seriesStyle(index).color }))
  );
  return Plot.ruleX(barred, {
    x: "x",
    y1: "low",
    y2: "high",
    stroke: ({ color }) => color,
    strokeOpacity: 0.5,
    strokeWidth: 2,
  });
}

/** Dashed uprights; each name runs from its own towards the further edge, on a line of its own. */
function namedUprights(
  marks: NonNullable<CurveOptions["marks"]>,
  xs: readonly number[],
  xScale: "linear" | "log",
): Plot.Markish[] {
  const place = xScale === "log" ? Math.log : (x: number) => x;
  const ends = [...xs, ...marks.map(({ x }) => x)].map(place);
  const middle = (Math.min(...ends) + Math.max(...ends)) / 2;
  return [
    Plot.ruleX(marks, { x: "x", stroke: alertColor, strokeDasharray: "2 2" }),
    ...marks.map((mark, at) =>
      Plot.text([mark], {
        x: "x",
        text: () => shortName(mark.name, (figureWidth - marginLeft - marginRight) / 2),
        textAnchor: place(mark.x) <= middle ? "start" : "end",
        frameAnchor: "top",
        dy: -4 - 13 * at,
        lineAnchor: "bottom",
      })
    ),
  ];
}

/** Those of the ascending values whose labels don't meet on a logarithmic axis, the first among them. */
function spread(values: readonly number[]): number[] {
  const [first, last] = [values[0] ?? 1, values.at(-1) ?? 1];
  const gap = Math.max(0.1 * Math.log(last / first), 1e-9);
  return values.reduce<number[]>((kept, value) => {
    const before = kept.at(-1);
    return before === undefined || Math.log(value / before) >= gap ? [...kept, value] : kept;
  }, []);
}

function spokenCurve(points: readonly CurvePoint[], { x, y }: CurveOptions): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return "nothing measured";
  return `${y} from ${shortNumber(first.y)} at ${shortNumber(first.x)} to ${shortNumber(last.y)} at ${
    shortNumber(last.x)
  } ${x}, ${points.length} points`;
}
