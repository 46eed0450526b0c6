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

/** Space for the names of rows. */
const NAME_WIDTH = 110;

/**
 * Draws a confusion matrix. The shade of a cell is its share of its row: blue on the diagonal, where the
 * answer is right, orange elsewhere. Every cell that is not empty shows its count.
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
  matrix: ConfusionCounts,
  { title, caption }: { readonly title: string; readonly caption: string },
): Figure {
  const { expected, given } = matrix;
  const cells = cellsOf(matrix);
  const cellWidth = (figureWidth - NAME_WIDTH - 10) / given.length;
  // Columns too narrow for counts have the numbers of their names, which the rows show too.
  const numbered = cellWidth < 26;
  // Names of columns that don't fit side by side are written aslant.
  const aslant = !numbered && given.some((name) => widthOf(name) > cellWidth - 4);
  const top = aslant ? 84 : 40;
  const number = (name: string) => String(given.indexOf(name) + 1);
  const columns = shortNames(given, aslant ? 100 : cellWidth - 4);
  const rows = shortNames(expected, NAME_WIDTH - (numbered ? 32 : 12));
  const band = { type: "band", label: null, tickSize: 0, padding: 0.06 } as const;
  const corner = { frameAnchor: "top-left", dx: -NAME_WIDTH } as const;
  return drawFigure({
    title,
    description: cells.filter(({ count }) => count > 0)
      .map(({ row, column, count }) => `${column} given for ${row}: ${count}.`).join(" "),
    caption,
    height: top + 12 + (numbered ? 18 : 30) * expected.length,
    margins: [top, aslant ? 50 : 10, 12, NAME_WIDTH],
    plot: {
      x: {
        ...band,
        domain: given,
        axis: "top",
        tickFormat: (name: string) => numbered ? number(name) : columns.get(name) ?? name,
        ...(aslant ? { tickRotate: -35 } : {}),
      },
      y: {
        ...band,
        domain: expected,
        tickFormat: (name: string) => `${numbered ? `${number(name)} ` : ""}${rows.get(name) ?? name}`,
      },
      marks: [
        Plot.text(["given →"], { ...corner, dy: -34 }),
        Plot.text(["expected ↓"], { ...corner, dy: -19 }),
        ...cellMarks(cells, !numbered),
      ],
      color: { type: "identity" },
    },
  });
}

/** One pair of labels. */
interface Cell {
  readonly row: string;
  readonly column: string;
  readonly count: number;
  /** Of its row. */
  readonly share: number;
}

function cellsOf({ expected, given, counts }: ConfusionCounts): Cell[] {
  return expected.flatMap((row, at) => {
    const all = (counts[at] ?? []).reduce((sum, count) => sum + count, 0);
    return given.map((column, to) => {
      const count = counts[at]?.[to] ?? 0;
      return { row, column, count, share: all === 0 ? 0 : count / all };
    });
  });
}

function cellMarks(cells: readonly Cell[], counted: boolean): Plot.Markish[] {
  const at = { x: "column", y: "row" } as const;
  const filled = cells.filter(({ count }) => count > 0);
  return [
    Plot.cell(cells, { ...at, fill: "currentColor", fillOpacity: 0.05 }),
    Plot.cell(filled, {
      ...at,
      fill: ({ row, column }: Cell) => row === column ? seriesStyle(0).color : alertColor,
      fillOpacity: ({ share }: Cell) => 0.12 + 0.5 * share,
    }),
    Plot.text(counted ? filled : [], { ...at, text: ({ count }: Cell) => String(count) }),
  ];
}
