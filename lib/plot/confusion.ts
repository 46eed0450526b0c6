/// <reference lib="dom" />
/** What was expected against what was given: one cell per pair of labels. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortNames, widthOf } from "./figure.ts";
import { alertColor, seriesStyle } from "./series.ts";

/** Counts of answers, rows by what was expected. */
export interface ConfusionCounts {
  readonly expected: readonly string[];
  readonly given: readonly string[];
  readonly counts: readonly (readonly number[])[];
}

/** Room for the names of rows, and of columns. */
const NAME_WIDTH = 110;
const ROW_HEIGHT = 30;

/**
 * Draws a confusion matrix. The shade of a cell is its share of its row: blue on the diagonal, where the answer is
 * right, orange elsewhere. Every cell that is not empty shows its count.
 *
 * @example
 * ```ts
 * const figure = confusionPlot({ expected: ["a", "b"], given: ["a", "b"], counts: [[8, 2], [1, 9]] }, {
 *   title: "Confusion", caption: "n = 20 answers",
 * });
 * if (!figure.svg.includes("a given for a: 8")) throw new Error("the counts are missing");
 * ```
 */
export function confusionPlot(
  { expected, given, counts }: ConfusionCounts,
  options: { readonly title: string; readonly caption: string },
): Figure {
  const cells = expected.flatMap((row, at) => {
    const values = counts[at] ?? [];
    const all = values.reduce((sum, value) => sum + value, 0);
    return given.map((column, to) => ({
      row,
      column,
      count: values[to] ?? 0,
      share: all === 0 ? 0 : (values[to] ?? 0) / all,
    }));
  });
  const cellWidth = (figureWidth - NAME_WIDTH - 10) / given.length;
  // Columns too narrow for counts have the numbers of their names, which the rows show too.
  const numbered = cellWidth < 26;
  // Names of columns that don't fit side by side are written aslant.
  const aslant = !numbered && given.some((name) => widthOf(name) > cellWidth - 4);
  const top = aslant ? 84 : 40;
  const rowHeight = numbered ? 18 : ROW_HEIGHT;
  const number = (name: string) => String(given.indexOf(name) + 1);
  const [columns, rows] = [
    shortNames(given, aslant ? 100 : cellWidth - 4),
    shortNames(expected, NAME_WIDTH - (numbered ? 32 : 12)),
  ];
  return drawFigure({
    title: options.title,
    description: cells.filter(({ count }) => count > 0)
      .map(({ row, column, count }) => `${column} given for ${row}: ${count}.`).join(" "),
    caption: options.caption,
    height: top + 12 + rowHeight * expected.length,
    plot: {
      marginLeft: NAME_WIDTH,
      marginRight: aslant ? 50 : 10,
      marginTop: top,
      marginBottom: 12,
      x: {
        type: "band",
        domain: given,
        axis: "top",
        label: null,
        tickSize: 0,
        padding: 0.06,
        tickFormat: (name: string) => numbered ? number(name) : columns.get(name) ?? name,
        ...(aslant ? { tickRotate: -35 } : {}),
      },
      y: {
        type: "band",
        domain: expected,
        label: null,
        tickSize: 0,
        padding: 0.06,
        tickFormat: (name: string) => `${numbered ? `${number(name)} ` : ""}${rows.get(name) ?? name}`,
      },
      marks: [
        ...["given →", "expected ↓"].map((text, line) =>
          Plot.text([text], {
            frameAnchor: "top-left",
            text: () => text,
            dx: -NAME_WIDTH,
            dy: 15 * line - 34,
          })
        ),
        Plot.cell(cells, { x: "column", y: "row", fill: "currentColor", fillOpacity: 0.05 }),
        Plot.cell(cells.filter(({ count }) => count > 0), {
          x: "column",
          y: "row",
          fill: ({ row, column }) => row === column ? seriesStyle(0).color : alertColor,
          fillOpacity: ({ share }) => 0.12 + 0.5 * share,
        }),
        Plot.text(cells.filter(({ count }) => count > 0 && !numbered), {
          x: "column",
          y: "row",
          text: ({ count }) => String(count),
          fill: "currentColor",
        }),
      ],
      color: { type: "identity" },
    },
  });
}
