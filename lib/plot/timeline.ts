/// <reference lib="dom" />
/** Tokens as they arrived, one line per request: where the time of an answer went, stalls included. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortName } from "./figure.ts";
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
 * Draws requests as lines on one axis, those of the same prompt and round below one another: one tick per chunk, a thin
 * line from due to the first chunk, a thick line for each stall.
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
  const axis = durationAxis(requests.flatMap((request) => request.chunks.slice(-1)));
  const series = options.series ?? [...new Set(requests.map((request) => request.series))];
  const groups = [...new Set(requests.map(({ group }) => group))];
  let y = 0;
  const headings: { text: string; y: number }[] = [];
  const rows = groups.flatMap((group) => {
    headings.push({ text: group, y: y + headingHeight - 9 });
    y += headingHeight;
    return requests.filter((request) => request.group === group)
      .toSorted((a, b) => series.indexOf(a.series) - series.indexOf(b.series))
      .map((request): Row => {
        y += rowHeight;
        const color = seriesStyle(Math.max(0, series.indexOf(request.series))).color;
        return { ...request, y: y - rowHeight / 2, color };
      });
  });
  const stalls = rows.flatMap((row) => findStalls(row.chunks).map((stall) => ({ ...stall, y: row.y })));
  const lengths = stalls.map((stall) => stall.to - stall.from);
  const found = stalls.length === 0
    ? "No stalls."
    : `${stalls.length} stall${stalls.length === 1 ? "" : "s"}, the longest ${
      shortNumber(Math.max(...lengths))
    } s.`;
  const k = axis.factor;
  return drawFigure({
    title: options.title,
    description: `One line for each of ${requests.length} requests. ${found}`,
    caption:
      `${options.selection}. One line per request, from when it was due: thin until the first token, then ` +
      `a tick for each chunk; thick where the stream stalled (a gap of at least ${stallFactor} times the ` +
      `answer's median gap and ${stallFloorS * 1000} ms). ${found}`,
    height: 12 + y + 46,
    ...(series.some((name) => name !== "")
      ? {
        legend: series.map((name, index) => ({ name, index })).filter(({ name }) =>
          requests.some((one) => one.series === name)
        ),
      }
      : {}),
    plot: {
      marginLeft: 8,
      marginRight: 20,
      marginTop: 8,
      marginBottom: 42,
      x: {
        type: "linear",
        domain: [0, Math.max(...ends(requests), 1e-3) * k],
        label: `since due (${axis.unit})`,
        tickFormat: shortNumber,
      },
      y: { domain: [0, y + 4], reverse: true, axis: null },
      marks: [
        Plot.gridX({ strokeOpacity: 0.12 }),
        Plot.text(headings, {
          y: "y",
          text: ({ text }: { text: string }) => shortName(text, 0.82 * figureWidth),
          frameAnchor: "left",
          textAnchor: "start",
          fontWeight: "600",
          fill: "currentColor",
        }),
        Plot.ruleY(rows, {
          y: "y",
          x1: 0,
          x2: (row: Row) => (row.chunks[0] ?? 0) * k,
          stroke: (row: Row) => row.color,
          strokeOpacity: 0.6,
        }),
        chunkTicks(rows, k),
        Plot.ruleY(stalls, {
          y: "y",
          x1: (stall: Stall) => stall.from * k,
          x2: (stall: Stall) => stall.to * k,
          stroke: "currentColor",
          strokeWidth: 3,
          title: (stall: Stall) => `stall of ${shortNumber(stall.to - stall.from)} s`,
        }),
      ],
    },
  });
}

function ends(requests: readonly TimelineRequest[]): number[] {
  return requests.map((request) => request.chunks.at(-1) ?? 0);
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
