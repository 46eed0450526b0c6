/// <reference lib="dom" />
/** Tokens as they arrived, one line per request: where the time of an answer went, stalls included. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
import { atLeft } from "./marks.ts";
import { durationAxis, shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

/** One request to draw; all times in seconds since it was due. */
export interface TimelineRequest {
  /** The candidate. Empty where there is only one: its requests then have no legend. */
  readonly series: string;
  /** What was sent, e.g. `p1 · round 2`: requests with the same text stand together under it. */
  readonly group: string;
  /** Arrival of every generated chunk. */
  readonly chunks: readonly number[];
}

/** Words for the drawing. */
export interface TimelineOptions {
  /** The heading. */
  readonly title: string;
  /** All candidates, in the order of their styles. */
  readonly series?: readonly string[];
  /** How the drawn requests were chosen from how many. */
  readonly selection: string;
}

/** A pause inside one answer. */
export interface Stall {
  /** Seconds since the request was due. */
  readonly from: number;
  readonly to: number;
}

/** A gap counts as a stall from this many times the request's median gap … */
const stallFactor = 5;
/** … and from this many seconds: a reader can't see shorter ones, nor can they be told from the timer's noise. */
const stallFloorS = 0.05;

/**
 * The gaps of one answer that are at least five times its median gap and 50 ms long.
 *
 * @example
 * ```ts
 * const stalls = findStalls([0.1, 0.11, 0.12, 0.32, 0.33]);
 * if (stalls.length !== 1 || stalls[0]?.from !== 0.12) throw new Error("the stall was missed");
 * ```
 */
export function findStalls(chunks: readonly number[]): Stall[] {
  const gaps = chunks.slice(1).map((at, i) => at - (chunks[i] ?? at));
  const sorted = [...gaps].sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const least = Math.max(stallFloorS, stallFactor * median);
  return gaps.flatMap((gap, i) => {
    const from = chunks[i];
    return gap >= least && from !== undefined ? [{ from, to: from + gap }] : [];
  });
}

const rowHeight = 13;
const headingHeight = 22;

interface Row extends TimelineRequest {
  /** The middle of its line, in user units from the top. */
  readonly y: number;
  readonly color: string;
}

/**
 * Draws requests as lines on one axis, those of the same prompt and round below one another: one tick per
 * chunk, a thin line from due to the first chunk, a thick line for each stall.
 *
 * @example
 * ```ts
 * const figure = timelinePlot([{ series: "a", group: "p1 · round 1", chunks: [0.05, 0.06, 0.07] }], {
 *   title: "Tokens", selection: "1 of 1 requests",
 * });
 * if (!figure.caption.includes("1 of 1")) throw new Error("the caption must state the selection");
 * ```
 */
export function timelinePlot(requests: readonly TimelineRequest[], options: TimelineOptions): Figure {
  const { title, selection, series = [...new Set(requests.map((request) => request.series))] } = options;
  const ends = requests.map(({ chunks }) => chunks.at(-1) ?? 0);
  const axis = durationAxis(ends);
  const { headings, rows, height } = inRows(requests, series);
  const stalls = rows.flatMap(({ chunks, y }) => findStalls(chunks).map((stall) => ({ ...stall, y })));
  const found = stallsText(stalls);
  const legend = series.map((name, index) => ({ name, index }))
    .filter(({ name }) => name !== "" && requests.some((one) => one.series === name));
  return drawFigure({
    title,
    description: `One line for each of ${requests.length} requests. ${found}`,
    caption: `${selection}. One line per request, from when it was due: thin until the first token, then ` +
      `a tick for each chunk; thick where the stream stalled (a gap of at least ${stallFactor} times the ` +
      `answer's median gap and ${stallFloorS * 1000} ms). ${found}`,
    height: 12 + height + 46,
    margins: [8, 20, 42, 8],
    legend,
    plot: {
      x: {
        type: "linear",
        domain: [0, axis.factor * Math.max(...ends, 1e-3)],
        label: `since due (${axis.unit})`,
        tickFormat: shortNumber,
      },
      y: { domain: [0, height + 4], reverse: true, axis: null },
      marks: [
        Plot.gridX({ strokeOpacity: 0.12 }),
        Plot.text(headings, {
          ...atLeft,
          y: "y",
          text: ({ text }: { text: string }) => shortName(text, 0.82 * figureWidth),
          fontWeight: "600",
        }),
        ...requestMarks(rows, stalls, axis.factor),
      ],
    },
  });
}

/** Each request: thin until its first token, a tick for each chunk, thick where it stalled. */
function requestMarks(
  rows: readonly Row[],
  stalls: readonly (Stall & { readonly y: number })[],
  factor: number,
): Plot.Markish[] {
  return [
    Plot.ruleY(rows, {
      y: "y",
      x1: 0,
      x2: ({ chunks }: Row) => (chunks[0] ?? 0) * factor,
      stroke: ({ color }: Row) => color,
      strokeOpacity: 0.6,
    }),
    chunkTicks(rows, factor),
    Plot.ruleY(stalls, {
      y: "y",
      x1: ({ from }: Stall) => from * factor,
      x2: ({ to }: Stall) => to * factor,
      stroke: "currentColor",
      strokeWidth: 3,
      title: ({ from, to }: Stall) => `stall of ${shortNumber(to - from)} s`,
    }),
  ];
}

/** From the top: each group's heading, and below it a row per request in the order of the series. */
function inRows(requests: readonly TimelineRequest[], series: readonly string[]) {
  let height = 0;
  const headings: { text: string; y: number }[] = [];
  const rows = [...Map.groupBy(requests, ({ group }) => group)].flatMap(([group, own]) => {
    height += headingHeight;
    headings.push({ text: group, y: height - 9 });
    return own.toSorted((a, b) => series.indexOf(a.series) - series.indexOf(b.series)).map((request): Row => {
      height += rowHeight;
      const color = seriesStyle(Math.max(0, series.indexOf(request.series))).color;
      return { ...request, y: height - rowHeight / 2, color };
    });
  });
  return { headings, rows, height };
}

function stallsText(stalls: readonly Stall[]): string {
  if (stalls.length === 0) return "No stalls.";
  const longest = Math.max(...stalls.map(({ from, to }) => to - from));
  return `${stalls.length} stall${stalls.length === 1 ? "" : "s"}, the longest ${shortNumber(longest)} s.`;
}

/** All ticks of a request in one path: thousands of elements would make a page slow to open. */
function chunkTicks(rows: readonly Row[], factor: number): Plot.RenderFunction {
  return (_index, scales, _values, _dimensions, context) => {
    const document = context.ownerSVGElement.ownerDocument;
    const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
    group.setAttribute("aria-label", "chunks");
    for (const row of rows) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      const y = Math.round(Number(scales.y?.(row.y)));
      path.setAttribute("stroke", row.color);
      path.setAttribute("d", tickPath(row.chunks.map((at) => Number(scales.x?.(at * factor))), y));
      group.append(path);
    }
    return group;
  };
}

/** Ticks closer than a third of a unit fall on one another: the repeats are left out. */
function tickPath(xs: readonly number[], y: number): string {
  let last = -Infinity;
  let path = "";
  for (const x of xs) {
    if (x - last < 0.33) continue;
    path += `M${Number(x.toFixed(1))},${y - 4}v8`;
    last = x;
  }
  return path;
}
