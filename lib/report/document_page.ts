/** Markdown that Podium writes, as an HTML page of one file: no script, no network, figures inside. */
import { Marked } from "marked";
import { escapeHtml, markup, trusted } from "../markup.ts";
import { inlineCode, pageHead, prose } from "./page_parts.ts";
import { holdsWords } from "./terminal_layout.ts";

/**
 * A page from Markdown. HTML in the Markdown is shown as text, since names of models come from outside.
 *
 * @param figures SVG by the name that the Markdown's images have
 * @param style rules that come after the page's own, as for print
 *
 * @example
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
        const kinds = header.map((_, at) => {
          const column = rows.map((row) => row[at]?.text ?? "");
          if (at > 0 && !holdsWords(column)) return "";
          // Words wrap, but no column gets narrower than its longest word, up to a limit.
          const longest = Math.max(
            ...column.flatMap((cell) => cell.split(/[\s:/+@]/)).map(({ length }) => length),
          );
          return ` class="text" style="min-width:${Math.min(12, longest) + 2}ch"`;
        });
        const line = (tag: "th" | "td", row: typeof header) =>
          `<tr>${
            row.map(({ tokens }, at) => `<${tag}${kinds[at]}>${this.parser.parseInline(tokens)}</${tag}>`)
              .join("")
          }</tr>`;
        return `<div class="scroll" role="region" tabindex="0"><table><thead>${
          line("th", header)
        }</thead><tbody>${rows.map((row) => line("td", row)).join("")}</tbody></table></div>`;
      },
    },
  });
  const title = /^# (.*)$/m.exec(text)?.[1] ?? "Podium";
  const body = String(md.parse(text, { async: false }));
  return String(markup`<!doctype html>
<html lang="en">
${pageHead(title, `td:first-child { padding-left: 0; }\n${style}`)}
<body><main>
${trusted(body)}
</main></body>
</html>
`);
}
