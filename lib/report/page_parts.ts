/** What every page that is one file is made of: a head that lets it load nothing, and running text. */
import { escapeHtml, type Markup, markup, trusted } from "../markup.ts";
import { unbroken } from "./format.ts";
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

/**
 * Running text: figures keep their units, and flags such as `--max-tokens` stay on one line.
 *
 * @example
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
