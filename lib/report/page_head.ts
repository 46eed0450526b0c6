/** The head of every page that is one file: no script, no load from anywhere, one style. */
import { type Markup, markup, trusted } from "./markup.ts";
import { pageStyle } from "./page_style.ts";

/**
 * The head of a page that opens anywhere. Its content security policy forbids scripts and loads of any kind.
 *
 * @param more style that comes after the common one
 *
 * @example
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
