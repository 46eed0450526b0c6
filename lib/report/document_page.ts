/** Markdown that Podium writes, as an HTML page of one file: no script, no network, figures inside. */
import { Marked, type Tokens } from "marked";
import { escapeHtml, markup, trusted } from "../markup.ts";
import { inlineCode, pageHead, prose, type TableColumn, tableMarkup } from "./page_parts.ts";
import { holdsWords } from "./terminal_layout.ts";

/** The first column may be a rank; where it holds words, it is as wide as in other reports. */
const tableStyle = "tbody th:not(.text) { width: auto; min-width: 0; }\ntd.text { min-width: 7.6rem; }\n";

/**
 * A page from Markdown. HTML in the Markdown is shown as text, since names of models come from outside.
 *
 * @param figures SVG by the name that the Markdown's images have
 * @param style rules that come after the page's own, as for print
 *
 * ```ts
 * const page = documentPage("# Winner: <b>", new Map());
 * if (!page.includes("Winner: &lt;b&gt;")) throw new Error(page);
 * ```
 */
export function documentPage(text: string, figures: ReadonlyMap<string, string>, style = ""): string {
  const md = new Marked({
    renderer: {
      html: ({ text }) => escapeHtml(text),
      image: ({ href, text }) => figures.get(href) ?? escapeHtml(text),
      link: ({ href, text }) =>
        /^https?:/.test(href) ? `<a href="${escapeHtml(href)}">${escapeHtml(text)}</a>` : escapeHtml(text),
      text(token) {
        if ("tokens" in token && token.tokens !== undefined) return this.parser.parseInline(token.tokens);
        return "escaped" in token && token.escaped ? token.text : String(prose(token.text));
      },
      codespan: ({ text }) => String(inlineCode(text)),
      table({ header, rows }) {
        const html = (cell: Tokens.TableCell | undefined) =>
          trusted(this.parser.parseInline(cell?.tokens ?? []));
        return String(tableMarkup(
          "",
          rows,
          header.map((head, at): TableColumn<Tokens.TableCell[]> => [
            html(head),
            (row) => html(row[at]),
            holdsWords(rows.map((row) => row[at]?.text ?? "")) && "text",
          ]),
        ));
      },
    },
  });
  const title = /^# (.*)$/m.exec(text)?.[1] ?? "Podium";
  const body = String(md.parse(text, { async: false }));
  return String(markup`<!doctype html>
<html lang="en">
${pageHead(title, tableStyle + style)}
<body><main>
${trusted(body)}
</main></body>
</html>
`);
}
