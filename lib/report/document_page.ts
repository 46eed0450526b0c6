/** Markdown that Podium writes, as an HTML page of one file: no script, no network, figures inside. */
import { Marked } from "marked";
import { escapeHtml, markup, trusted } from "./markup.ts";
import { pageHead } from "./page_head.ts";

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
    },
  });
  const title = /^# (.*)$/m.exec(text)?.[1] ?? "Podium";
  const body = String(md.parse(text, { async: false }))
    .replaceAll("<table>", '<div class="scroll"><table>').replaceAll("</table>", "</table></div>");
  return String(markup`<!doctype html>
<html lang="en">
${pageHead(title, `td, th { text-align: left; }\ntd:first-child { padding-left: 0; }\n${style}`)}
<body><main>
${trusted(body)}
</main></body>
</html>
`);
}
