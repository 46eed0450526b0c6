/** Markdown that Podium writes, such as a decision, as text for a terminal. */
import { marked, type Token, type Tokens } from "marked";
import { fittedTable } from "./fitted_table.ts";
import { indented, type Painter, wrap } from "./terminal_layout.ts";

/**
 * Markdown as text of at most `columns` characters per line: headings in bold,
 * tables fitted, figures left out.
 *
 * ```ts
 * import { painter } from "./terminal_layout.ts";
 * const text = terminalMarkdown("# Winner\n\n- **a**: `fast`\n\n![a figure](a.svg)\n", 40, painter(false));
 * if (text !== "Winner\n\n• a: fast") throw new Error(JSON.stringify(text));
 * ```
 */
export function terminalMarkdown(text: string, columns: number, paint: Painter): string {
  return marked.lexer(text).map((token) => block(token, columns, paint))
    .filter((part) => part !== "").join("\n\n");
}

const isList = (token: Token): token is Tokens.List => token.type === "list";
const isTable = (token: Token): token is Tokens.Table => token.type === "table";

function block(token: Token, columns: number, paint: Painter): string {
  if (token.type === "space") return "";
  if (isList(token)) {
    return token.items.map((item) => indented(wordsOf(item.tokens), columns, "•").join("\n")).join("\n");
  }
  if (isTable(token)) {
    const cells = (row: readonly Tokens.TableCell[]) => row.map(({ tokens }) => wordsOf(tokens));
    return fittedTable(cells(token.header), token.rows.map(cells), columns);
  }
  const text = wordsOf([token]);
  if (token.type === "heading") return paint.bold(text);
  if (token.type === "code") return text.split("\n").map((line) => `  ${line}`).join("\n");
  return text === "" ? "" : wrap(text, columns).join("\n");
}

/** The words of inline tokens; a figure has none. */
function wordsOf(tokens: readonly Token[] | undefined): string {
  return (tokens ?? []).map((token) => {
    if (token.type === "image") return "";
    if ("tokens" in token && token.tokens !== undefined) return wordsOf(token.tokens);
    return "text" in token ? token.text : token.raw;
  }).join("");
}
