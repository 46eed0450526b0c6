/// <reference lib="dom" />
/** Tokens as they arrived, one line per request: where the time of an answer went, stalls included. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { durationAxis, shortNumber } from "./scale.ts";

/** One request to draw; all times in seconds since it was due. */
export interface TimelineRequest {
  /** Short, shown at the line's start, e.g. `p1 · round 2`. */
  readonly label: string;
  /** Arrival of every generated chunk. */
  readonly chunks: readonly number[];
}

/** Words for the drawing. */
export interface TimelineOptions {
  readonly title: string;
  readonly color?: string;
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

/**
 * Draws requests as lines: one tick per chunk, a thin line from due to the first chunk, a thick line for each stall.
 *
 * @example
 * ```ts
 * const figure = timelinePlot([{ label: "p1", chunks: [0.05, 0.06, 0.07] }], {
 *   title: "Tokens", selection: "1 of 1 requests",
 * });
 * if (!figure.caption.includes("1 of 1")) throw new Error("the caption must state the selection");
 * ```
 */
export function timelinePlot(requests: readonly TimelineRequest[], options: TimelineOptions): Figure {
  const axis = durationAxis(requests.flatMap((request) => request.chunks.slice(-1)));
  const color = options.color ?? "currentColor";
  const stalls = requests.flatMap((request, row) =>
    findStalls(request.chunks).map((stall) => ({ ...stall, row, label: request.label }))
  );
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
    height: 18 + requests.length * 18 + 42,
    plot: {
      marginLeft: 106,
      marginRight: 20,
      marginTop: 12,
      marginBottom: 42,
      x: {
        type: "linear",
        domain: [0, Math.max(...ends(requests), 1e-3) * k],
        label: `since due (${axis.unit})`,
      },
      y: { domain: [-0.5, requests.length - 0.5], reverse: true, axis: null },
      marks: [
        Plot.gridX({ strokeOpacity: 0.12 }),
        Plot.text(requests, {
          x: 0,
          y: (_: TimelineRequest, i: number) => i,
          text: (request: TimelineRequest) => shorten(request.label),
          textAnchor: "end",
          dx: -6,
        }),
        Plot.ruleY(requests, {
          y: (_: TimelineRequest, i: number) => i,
          x1: 0,
          x2: (request: TimelineRequest) => (request.chunks[0] ?? 0) * k,
          strokeOpacity: 0.35,
        }),
        chunkTicks(requests, k, color),
        Plot.ruleY(stalls, {
          y: "row",
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

/** The middle gives way: the start tells the prompt, the end the round. */
function shorten(label: string): string {
  return label.length > 15 ? `${label.slice(0, 9)}…${label.slice(-5)}` : label;
}

/** All ticks of a request in one path: thousands of elements would make a page slow to open. */
function chunkTicks(
  requests: readonly TimelineRequest[],
  factor: number,
  color: string,
): Plot.RenderFunction {
  return (_index, scales, _values, _dimensions, context) => {
    const document = context.ownerSVGElement.ownerDocument;
    const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
    group.setAttribute("stroke", color);
    group.setAttribute("aria-label", "chunks");
    requests.forEach((request, row) => {
      const y = Math.round(Number(scales.y?.(row)));
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", tickPath(request.chunks.map((at) => Number(scales.x?.(at * factor))), y));
      group.append(path);
    });
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
