/// <reference lib="dom" />
/**
 * From Observable Plot's marks to a finished figure: an SVG string with a legend, a description for screen
 * readers, and a caption. Text uses `currentColor`, so a figure suits light and dark pages.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { terminalText } from "../terminal_text.ts";
import { seriesStyle, symbolPaths } from "./series.ts";

/** A drawing with its title and caption. */
export interface Figure {
  /** The heading. */
  readonly title: string;
  /** Inline SVG, for a page or for a notebook as text/html. `svgFile` makes a file of it. */
  readonly svg: string;
  /** Which statistic each mark shows, and the n behind it. */
  readonly caption: string;
}

/** One item of a legend. */
export interface LegendItem {
  readonly name: string;
  /** The argument of `seriesStyle`. */
  readonly index: number;
}

/** What `drawFigure` needs in addition to the marks. */
export interface FigureOptions {
  readonly title: string;
  /** What the drawing shows, in a sentence or two, for readers who can't see it. */
  readonly description: string;
  readonly caption: string;
  readonly height: number;
  /** Space around the frame in user units; the legend and `upwards` are added above it. */
  readonly margins: readonly [top: number, right: number, bottom: number, left: number];
  /** What the y axis shows, written above it, where its numbers are; it then has a grid. */
  readonly upwards?: string;
  /** The series; a bare name gets the style of its position. Without it there is no legend. */
  readonly legend?: readonly (string | LegendItem)[];
  readonly plot: Plot.PlotOptions;
}

/** The width of all figures in user units; they scale down to a phone and up to half a desktop page. */
export const figureWidth = 420;
const fontSize = 12;
const legendRow = 18;
/**
 * Draws marks as a figure.
 *
 * @example
 * ```ts
 * import * as Plot from "@observablehq/plot";
 * const figure = drawFigure({
 *   title: "A line", description: "Two points, joined.", caption: "n = 2", height: 120, margins: [8, 8, 30, 40],
 *   plot: { marks: [Plot.line([[0, 0], [1, 1]])] },
 * });
 * if (!figure.svg.startsWith("<svg")) throw new Error("not an SVG");
 * ```
 */
export function drawFigure(options: FigureOptions): Figure {
  const document = figureDocument();
  const legend = placeLegend(
    (options.legend ?? []).map((item, index) => typeof item === "string" ? { name: item, index } : item),
  );
  const above = legend.height + (options.upwards === undefined ? 0 : 14);
  const [marginTop, marginRight, marginBottom, marginLeft] = options.margins;
  const drawn = Plot.plot({
    ...options.plot,
    ...(options.upwards === undefined ? {} : { y: { label: null, grid: true, ticks: 5, ...options.plot.y } }),
    document,
    width: figureWidth,
    height: options.height + above,
    marginTop: marginTop + above,
    marginRight,
    marginBottom,
    marginLeft,
    style: { fontSize: `${fontSize}px`, background: "none", color: "inherit" },
  });
  const svg = drawn.tagName.toLowerCase() === "svg" ? drawn : drawn.querySelector("svg");
  if (svg === null) throw new TypeError("Cannot draw a figure: Plot returned no SVG");
  svg.setAttribute("role", "img");
  // An angle bracket in an attribute is fine in HTML, and an error in an .svg file.
  const label = `${options.title}. ${options.description}`.replaceAll("<", "‹").replaceAll(">", "›");
  svg.setAttribute("aria-label", label);
  tidyTicks(svg);
  for (const entry of legend.entries) svg.append(legendEntry(document, entry));
  if (options.upwards !== undefined) {
    const text = `↑ ${shortName(options.upwards, figureWidth - 14)}`;
    svg.append(placedText(document, text, 0, legend.height + fontSize / 2));
  }
  svg.prepend(
    textElement(document, "title", options.title),
    textElement(document, "desc", options.description),
  );
  return { title: options.title, svg: terminalText(svg.outerHTML), caption: options.caption };
}

/**
 * The figure as a file of its own: with its name space, and readable on light and dark backgrounds.
 *
 * @example
 * ```ts
 * const text = svgFile({ title: "t", svg: "<svg></svg>", caption: "" });
 * if (!text.includes("xmlns=")) throw new Error("no name space");
 * ```
 */
export function svgFile(figure: Figure): string {
  const style = "<style>svg{color:#1b1f24}@media(prefers-color-scheme:dark){svg{color:#e6e8eb}}</style>";
  const named = figure.svg.includes("xmlns=")
    ? figure.svg
    : figure.svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
  return named.replace(/^(<svg[^>]*>)/, `$1${style}`) + "\n";
}

/**
 * The figure without styles of its own, for a page whose content security policy allows none: the page's
 * style sheet gives the font size.
 *
 * @example
 * ```ts
 * const text = withoutStyles({ title: "t", svg: '<svg style="color: red"><style>a {}</style></svg>', caption: "" });
 * if (text.includes("style")) throw new Error(text);
 * ```
 */
export function withoutStyles(figure: Figure): string {
  const svg = parseHTML(`<body>${figure.svg}</body>`).document.querySelector("svg");
  if (svg === null) throw new TypeError("Cannot show a figure: it holds no SVG");
  for (const one of svg.querySelectorAll("style")) one.remove();
  for (const one of [svg, ...svg.querySelectorAll("[style]")]) one.removeAttribute("style");
  return svg.outerHTML;
}

/** Width of a glyph in a wide sans serif such as DejaVu Sans: narrow ones, wide ones, and all others. */
const glyphWidth = (char: string) =>
  /[fijlrtI.,:;'|!()[\]/ -]/.test(char) ? 4.6 : /[mwMW@%+=<>~…]/.test(char) ? 11.5 : 7.7;

/** The most user units that a text takes. */
export const widthOf = (text: string) => [...text].reduce((sum, char) => sum + glyphWidth(char), 0);

/**
 * A name that fits into `width` user units. The middle of a longer one gives way to `…`, since both ends tell
 * names apart: the model at the start, its settings and endpoint at the end.
 *
 * @example
 * ```ts
 * if (shortName("short", 200) !== "short") throw new Error("it fits");
 * if (!/^a+…a+$/.test(shortName("a".repeat(99), 200))) throw new Error("the middle must give way");
 * ```
 */
export function shortName(name: string, width: number): string {
  if (widthOf(name) <= width) return name;
  const chars = [...name];
  for (let kept = chars.length - 1; kept > 2; kept--) {
    const [start, end] = [Math.ceil(kept / 2), Math.floor(kept / 2)];
    const short = `${chars.slice(0, start).join("")}…${chars.slice(-end).join("")}`;
    if (widthOf(short) <= width) return short;
  }
  return "…";
}

/**
 * The names of one figure, each within `width` user units, by full name. Where two would read the same, the
 * end or the start that all have in common gives way first.
 *
 * @example
 * ```ts
 * const short = shortNames([`${"m".repeat(40)}1${"n".repeat(40)}`, `${"m".repeat(40)}2${"n".repeat(40)}`], 100);
 * if (new Set(short.values()).size !== 2) throw new Error("two names read the same");
 * ```
 */
export function shortNames(names: readonly string[], width: number): ReadonlyMap<string, string> {
  const all = [...new Set(names)];
  const same = (at: number) => all.every((name) => name.at(at) === all[0]?.at(at));
  const least = all.length < 2 ? 0 : Math.min(...all.map(({ length }) => length));
  let [start, end] = [0, 0];
  while (start < least && same(start)) start++;
  while (end < least - start && same(-1 - end)) end++;
  const tries = [[0, 0], [0, end], [start, 0], [start, end]].map(([from = 0, to = 0]) =>
    all.map((name) =>
      shortName(`${from > 0 ? "…" : ""}${name.slice(from, name.length - to)}${to > 0 ? "…" : ""}`, width)
    )
  );
  const short = tries.find((tried) => new Set(tried).size === all.length) ?? tries[0] ?? [];
  return new Map(all.map((name, at) => [name, short[at] ?? name]));
}

let shared: Document | undefined;

/** One empty document for all figures: making it takes longer than drawing. */
function figureDocument(): Document {
  shared ??= parseHTML("<!doctype html><html><body></body></html>").document;
  return shared;
}

/** Where the numbers below the x axis would meet, only every second or third one stays; none leaves the picture. */
function tidyTicks(svg: Element): void {
  const labels = [...svg.querySelectorAll('[aria-label="x-axis tick label"] text')].flatMap((text) => {
    const [, x, y] = /^translate\(([\d.]+),([\d.]+)\)$/.exec(text.getAttribute("transform") ?? "") ?? [];
    if (x === undefined) return [];
    const width = widthOf(text.textContent ?? "");
    const middle = Math.max(width / 2, Math.min(figureWidth - width / 2, Number(x)));
    if (middle !== Number(x)) text.setAttribute("transform", `translate(${middle},${y})`);
    return [{ text, from: middle - width / 2, to: middle + width / 2 }];
  }).sort((a, b) => a.from - b.from);
  const apart = (step: number) =>
    labels.filter((_, at) => at % step === 0)
      .every(({ from }, at, kept) => at === 0 || from > (kept[at - 1]?.to ?? 0) + 3);
  let step = 1;
  while (!apart(step)) step++;
  for (const [at, { text }] of labels.entries()) if (at % step > 0) text.remove();
}

interface LegendEntry extends LegendItem {
  readonly x: number;
  readonly y: number;
}

/** Names in reading order, as many per row as fit. */
function placeLegend(items: readonly LegendItem[]): { height: number; entries: LegendEntry[] } {
  const entries: LegendEntry[] = [];
  const short = shortNames(items.map(({ name }) => name), figureWidth - 34);
  let x = 0;
  let row = 0;
  for (const { name: full, index } of items) {
    const name = short.get(full) ?? full;
    const width = 34 + widthOf(name) + 14;
    if (x > 0 && x + width > figureWidth) {
      x = 0;
      row++;
    }
    entries.push({ index, name, x, y: row * legendRow + legendRow / 2 });
    x += width;
  }
  return { height: items.length === 0 ? 0 : (row + 1) * legendRow + 6, entries };
}

const svgNamespace = "http://www.w3.org/2000/svg";

function textElement(document: Document, tag: string, text: string): Element {
  const element = document.createElementNS(svgNamespace, tag);
  element.textContent = text;
  return element;
}

function legendEntry(document: Document, { index, name, x, y }: LegendEntry): Element {
  const style = seriesStyle(index);
  const group = document.createElementNS(svgNamespace, "g");
  const line = document.createElementNS(svgNamespace, "path");
  line.setAttribute("d", `M${x + 1},${y}h26`);
  line.setAttribute("stroke", style.color);
  line.setAttribute("stroke-width", "2");
  if (style.dash !== "none") line.setAttribute("stroke-dasharray", style.dash);
  const mark = document.createElementNS(svgNamespace, "path");
  mark.setAttribute("d", symbolPaths[style.symbol]);
  mark.setAttribute("transform", `translate(${x + 14},${y})`);
  mark.setAttribute("fill", style.color);
  group.append(line, mark, placedText(document, name, x + 34, y));
  return group;
}

/** Text that begins at x, its middle at y. */
function placedText(document: Document, content: string, x: number, y: number): Element {
  const text = textElement(document, "text", content);
  text.setAttribute("x", String(x));
  text.setAttribute("y", String(y));
  text.setAttribute("dy", "0.32em");
  text.setAttribute("text-anchor", "start");
  return text;
}
