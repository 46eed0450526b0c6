/**
 * Results that show themselves: HTML in a notebook (the Deno kernel asks for
 * `Symbol.for("Jupyter.display")`), plain text in a terminal (`String(view)`, or `console.log(view)`).
 */
import { type Figure, svgFile } from "../plot/figure.ts";
import { terminalLine, terminalText } from "../terminal_text.ts";
import { escapeHtml } from "../markup.ts";
import { unbroken } from "../report/format.ts";

const displayInNotebook: unique symbol = Symbol.for("Jupyter.display");
const inspectInTerminal: unique symbol = Symbol.for("Deno.customInspect");

/**
 * Something that shows itself: as the last line of a notebook cell, or as text with `console.log(view)`.
 *
 * ```ts
 * import { TextView, View } from "./view.ts";
 * if (String(new TextView("**3** models")) !== "3 models") throw new Error("text has no markup");
 * ```
 */
export abstract class View {
  /** The view as an HTML fragment. */
  abstract readonly html: string;

  /** The view as plain text that is safe to print, without a newline at the end. */
  abstract toString(): string;

  /** The output that the Deno kernel sends to the notebook. */
  [displayInNotebook](): Record<string, string> {
    return { "text/html": this.html, "text/plain": this.toString() };
  }

  /** The text that `console.log(view)` prints. */
  [inspectInTerminal](): string {
    return this.toString();
  }
}

/** The result of a function of Podium: data, views of it, and one view that it shows by itself. */
export abstract class Result extends View {
  /** The view that it shows. */
  abstract main(): View;

  /** The main view as an HTML fragment. */
  override get html(): string {
    return this.main().html;
  }

  /** The main view as plain text. */
  override toString(): string {
    return this.main().toString();
  }
}

/** A paragraph; `**bold**` is the only markup. */
export class TextView extends View {
  /**
   * Makes a paragraph.
   *
   * @param text one paragraph
   */
  constructor(readonly text: string) {
    super();
  }

  /** The HTML fragment. */
  override get html(): string {
    const html = escapeHtml(this.text).replaceAll(/\*\*(.+?)\*\*/g, "<strong>$1</strong>");
    return `<p style="max-width:44em;white-space:pre-line">${html}</p>`;
  }

  /** The plain text. */
  override toString(): string {
    return terminalText(this.text.replaceAll("**", ""));
  }
}

/** A table cell; null is shown as a dash. */
export type CellValue = string | number | null;

/** One row of a table: a cell per column name. */
export type TableRow = Readonly<Record<string, CellValue>>;

const cellText = (value: CellValue | undefined) => value === null || value === undefined ? "–" : `${value}`;

/** A number, text that holds one (`1.360` keeps its digits), or none. */
const isNumeric = (value: CellValue | undefined) =>
  typeof value === "number" || (typeof value === "string" && /^[-−]?[\d.,]+( %)?$/.test(value));

/** A column of numbers is right-aligned, the dashes in it too. */
function isNumericColumn(rows: readonly TableRow[], name: string): boolean {
  const known = rows.map((row) => row[name]).filter((value) => value !== null && value !== undefined);
  return known.length > 0 && known.every(isNumeric);
}

/** In a terminal, longer cells are cut. */
const WIDEST_CELL = 60;

/**
 * A table with a caption. The columns are the keys of the first row.
 *
 * ```ts
 * import { TableView } from "./view.ts";
 * const table = new TableView([{ model: "a", "latency (s)": "0.120" }, { model: "b", "latency (s)": null }], "n = 2");
 * if (String(table) !== "model  latency (s)\na            0.120\nb                –\nn = 2") throw new Error(String(table));
 * ```
 */
export class TableView extends View {
  /**
   * Makes a table.
   *
   * @param rows rounded numbers and text, ready to be shown
   */
  constructor(readonly rows: readonly TableRow[], readonly caption: string) {
    super();
  }

  get #columns(): string[] {
    return Object.keys(this.rows[0] ?? {});
  }

  /** The HTML fragment. */
  override get html(): string {
    const columns = Object.keys(this.rows[0] ?? {}).map((name) => {
      const align = isNumericColumn(this.rows, name) ? NUMBER_STYLE : TEXT_STYLE;
      return {
        head: `<th scope="col" style="${align}">${escapeHtml(name)}</th>`,
        cell: (row: TableRow) => `<td style="${align}">${escapeHtml(cellText(row[name]))}</td>`,
      };
    });
    const body = this.rows.map((row) => `<tr>${columns.map(({ cell }) => cell(row)).join("")}</tr>`);
    return `<table><caption style="caption-side:bottom;text-align:left;padding-top:.4em">` +
      `${escapeHtml(this.caption)}</caption>` +
      `<thead><tr>${columns.map(({ head }) => head).join("")}</tr></thead><tbody>${
        body.join("")
      }</tbody></table>`;
  }

  /** The plain text. */
  override toString(): string {
    const columns = Object.keys(this.rows[0] ?? {}).map((name) => {
      const cells = this.rows.map((row) => shortened(cellText(row[name])));
      const width = Math.max(name.length, ...cells.map((cell) => cell.length));
      const right = isNumericColumn(this.rows, name);
      return [terminalLine(name), ...cells].map((cell) => right ? cell.padStart(width) : cell.padEnd(width));
    });
    const lines = (columns[0] ?? []).map((_, at) => columns.map((cells) => cells[at]).join("  ").trimEnd());
    return [...lines, terminalText(this.caption)].join("\n");
  }
}

const NUMBER_STYLE = "text-align:right;white-space:nowrap";
const TEXT_STYLE = "text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;max-width:32em";

function shortened(text: string): string {
  const line = terminalLine(text);
  return line.length <= WIDEST_CELL ? line : `${line.slice(0, WIDEST_CELL - 1)}…`;
}

/**
 * A figure with its caption, which names the statistic behind each mark and n. In a terminal only the title
 * and the caption are shown; `save` writes the drawing.
 *
 * ```ts
 * import { ecdfPlot } from "../plot/ecdf.ts";
 * import { FigureView } from "./view.ts";
 * const figure = ecdfPlot([{ name: "a", values: [0.1, 0.2] }], { title: "Latency", metric: "latency" });
 * if (!new FigureView(figure).html.includes("<figcaption")) throw new Error("a figure has a caption");
 * ```
 */
export class FigureView extends View {
  /**
   * Makes a figure.
   *
   * @param figure a drawing of lib/plot
   */
  constructor(readonly figure: Figure) {
    super();
  }

  /** The drawing as the text of an .svg file that is readable on light and dark backgrounds. */
  get svg(): string {
    return svgFile(this.figure);
  }

  /** The HTML fragment. */
  override get html(): string {
    const style = "color:var(--jp-content-font-color1,var(--vscode-foreground,inherit))";
    const wide = this.figure.svg.replace(/^(<svg[^>]*?style=")/, "$1width:100%;height:auto;");
    return `<figure style="margin:.5em 0;max-width:46em;${style}">${wide}` +
      `<figcaption style="font-size:.9em;margin-top:.3em"><strong>${
        escapeHtml(this.figure.title)
      }.</strong> ` +
      `${escapeHtml(unbroken(this.figure.caption))}</figcaption></figure>`;
  }

  /** The plain text. */
  override toString(): string {
    return terminalText(`[figure] ${this.figure.title}. ${this.figure.caption}`);
  }

  /**
   * Writes the drawing as an .svg file.
   *
   * @param path absolute, or relative to the working directory
   * @returns this view, so that a cell can end with `await run.ecdf("latency").save("ecdf.svg")`
   * @throws {Deno.errors.NotFound} when the folder does not exist
   */
  async save(path: string): Promise<this> {
    await Deno.writeTextFile(path, this.svg);
    return this;
  }
}

/**
 * Compares a guess that was made before a measurement with what was measured. Numbers differ by a factor;
 * shares in "%" and numbers that are not both positive by their difference.
 *
 * ```ts
 * const text = checkGuess(10, 5, "tokens/s");
 * if (String(text) !== "You guessed 10 tokens/s, measured: 5 tokens/s. Off by a factor of 2.") throw new Error(`${text}`);
 * ```
 *
 * @param guess a number, or a name
 * @param measured what came out; null where nothing could be measured
 * @param unit the unit of both numbers
 */
export function checkGuess(
  guess: number | string,
  measured: number | string | null,
  unit: string = "",
): TextView {
  const rounded = (value: number) => Number(value.toPrecision(2)).toLocaleString("en-GB");
  const words = (value: number | string) =>
    typeof value === "number" ? `${rounded(value)} ${unit}`.trim() : value;
  if (measured === null) return new TextView(`You guessed ${words(guess)}; nothing was measured.`);
  const outcome = `You guessed ${words(guess)}, measured: **${words(measured)}**.`;
  if (typeof guess === "string" || typeof measured === "string") {
    return new TextView(`${outcome} ${guess === measured ? "That is right." : "What did you overlook?"}`);
  }
  if (unit === "%" || guess <= 0 || measured <= 0) {
    return new TextView(`${outcome} Off by ${words(Math.abs(guess - measured))}.`);
  }
  const factor = Math.max(guess / measured, measured / guess);
  return new TextView(`${outcome} ${factor < 1.25 ? "Close." : `Off by a factor of ${rounded(factor)}.`}`);
}
