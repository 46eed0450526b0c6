/**
 * What every page that is one file is made of: a head that lets it load nothing, and
 * running text, tables and figures.
 */
import { type Content, escapeHtml, type Markup, markup, trusted } from "../markup.ts";
import type { Figure } from "../plot/figure.ts";
import { seriesStyle, symbolPaths } from "../plot/series.ts";
import { counted, unbroken } from "./format.ts";
import { pageStyle } from "./page_style.ts";
import { holdsWords } from "./terminal_layout.ts";

/**
 * The head of a page that opens anywhere. Its content security policy forbids scripts and loads of any kind.
 *
 * @param more style that comes after the common one
 *
 * ```ts
 * if (!String(pageHead("a < b")).includes("<title>a &lt; b · Podium</title>")) throw new Error("the title is escaped");
 * ```
 */
export function pageHead(title: string, more = ""): Markup {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  return markup`<head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="${policy}">
        <meta name="color-scheme" content="light dark">
        <link rel="icon" href="data:,">
        <title>${title} · Podium</title>
        <style>${trusted(pageStyle + more)}</style>
      </head>`;
}

/**
 * Running text: figures keep their units, and flags such as `--max-tokens` stay on one line.
 *
 * ```ts
 * if (!String(prose("raise --max-tokens")).includes('class="flag">--max-tokens<')) throw new Error("the flag breaks");
 * ```
 */
export function prose(text: string): Markup {
  return trusted(withFlags(unbroken(text)));
}

/** Code in running text, such as a command: its flags stay on one line. */
export function inlineCode(text: string): Markup {
  return trusted(`<code>${withFlags(text)}</code>`);
}

const withFlags = (text: string) =>
  escapeHtml(text).replaceAll(/--[a-z][\w-]*/g, '<span class="flag">$&</span>');

/** A sentence in which names are between backticks: they become code. */
export function withNames(text: string): Markup[] {
  return text.split("`").map((part, at) => at % 2 === 1 ? inlineCode(part) : prose(part));
}

/** A name that may break where its parts meet. */
export function breakable(name: string): Markup[] {
  return name.split(/(?<=[/:@+_-])/).map((part, i) => i === 0 ? markup`${part}` : markup`<wbr>${part}`);
}

/** A second line in a cell; none for no text. */
export function subline(text: string): Markup | null {
  return text === "" ? null : markup`<span class="sub">${unbroken(text)}</span>`;
}

/** The mark that identifies a candidate in figures and tables. */
export function swatch(index: number): Markup {
  const { color, symbol } = seriesStyle(index);
  return markup`
    <svg class="swatch" viewBox="-5 -5 10 10" aria-hidden="true">
      <path d="${symbolPaths[symbol]}" fill="${color}" />
    </svg>
  `;
}

/** A heading and what the cells below it show of a row; `text` aligns words left, figures are aligned right. */
export type TableColumn<Row> = readonly [head: Content, cell: (row: Row) => Content, kind?: "text" | false];

/**
 * A table in a box of its own that scrolls sideways, so that the page does not. The
 * first column names the rows.
 *
 * @param caption empty where the text before the table says what it shows
 * @param columns false leaves one out
 * @param instead what a row shows instead of its figures; null where it has some
 *
 * ```ts
 * const table = tableMarkup("Sizes", [{ id: "a", mb: 12 }], [["Model", ({ id }) => id], ["MB", ({ mb }) => mb]]);
 * if (!String(table).includes('<tr><th scope="row">a</th><td>12</td></tr>')) throw new Error(String(table));
 * ```
 */
export function tableMarkup<Row>(
  caption: string,
  rows: readonly Row[],
  columns: readonly (TableColumn<Row> | false)[],
  instead: (row: Row) => string | null = () => null,
): Markup {
  const shown = columns.filter((one) => one !== false);
  const [name, ...figures] = shown;
  const classOf = (kind: "text" | false | undefined) => kind === "text" && trusted(' class="text"');
  const lines = rows.map((row) => {
    const reason = instead(row);
    const cells = reason === null
      ? figures.map(([, cell, kind]) => markup`<td${classOf(kind)}>${cell(row)}</td>`)
      : markup`<td colspan="${figures.length}">${reason}</td>`;
    return markup`<tr${reason !== null && trusted(' class="failed"')}><th scope="row"${classOf(name?.[2])}>${
      name?.[1](row)
    }</th>${cells}</tr>`;
  });
  return markup`
    <div class="scroll" role="region" tabindex="0" aria-label="${caption || "Table"}">
      <table>
        ${caption !== "" && markup`<caption>${caption} <span class="more">scroll →</span></caption>`}
        <thead>
          <tr>${shown.map(([head, , kind]) => markup`<th scope="col"${classOf(kind)}>${head}</th>`)}</tr>
        </thead>
        <tbody>${lines}</tbody>
      </table>
    </div>
  `;
}

/** A table of text, aligned as on a terminal: columns of words left, of figures right. */
export function textTableMarkup(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): Markup {
  return tableMarkup(
    caption,
    rows,
    head.map((name, at): TableColumn<readonly string[]> => {
      const cell = (row: readonly string[]) => row[at] ?? "";
      return at === 0
        ? [name, (row) => breakable(cell(row))]
        : [name, cell, holdsWords(rows.map(cell)) && "text"];
    }),
  );
}

/** Text as it came, up to `most` characters: line breaks are kept, the direction follows the language. */
export function textBlock(text: string, most: number): Markup {
  const more = text.length - most;
  const shown = more <= 0 ? text : `${text.slice(0, most)} … (${counted(more, "more character")})`;
  return markup`<pre class="text-block" dir="auto">${shown === "" ? "(empty)" : shown}</pre>`;
}

/** The start of a text on one line. */
export function excerpt(text: string, most: number): string {
  const flat = text.replaceAll(/\s+/g, " ").trim();
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat;
}

/** A figure with its heading and caption. */
export function figureMarkup({ title, svg, caption }: Figure): Markup {
  return markup`<figure><h3>${title}</h3>${trusted(svg)}<figcaption>${
    unbroken(caption)
  }</figcaption></figure>`;
}
