/** Markdown that Podium writes, as an HTML page of one file: no script, no network, figures inside. */
import { Marked } from "marked";
import { escapeHtml, markup, trusted } from "./markup.ts";
import { pageStyle } from "./page_style.ts";

/**
 * A page from Markdown. HTML in the Markdown is shown as text, since names of models come from outside.
 *
 * @param figures SVG by the name that the Markdown's images have
 *
 * @example
 * ```ts
 * const page = documentPage("# Winner: <b>", new Map());
 * if (!page.includes("Winner: &lt;b&gt;")) throw new Error(page);
 * ```
 */
export function documentPage(text: string, figures: ReadonlyMap<string, string>): string {
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
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  return String(markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title} · Podium</title>
<style>${trusted(pageStyle)}
td, th { text-align: left; }
td:first-child { padding-left: 0; }</style>
</head>
<body><main>
${trusted(body)}
</main></body>
</html>
`);
}
