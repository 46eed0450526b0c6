/**
 * A notebook's two forms. The source is a TypeScript file in the percent format (as jupytext reads it), which
 * can be checked, linted and reviewed; the .ipynb is derived from it and holds no outputs.
 *
 * A cell opens with `// %%` (code) or `// %% [markdown]` (every line a comment). Options stand behind it as
 * `key=JSON` and become the cell's metadata: `figures=1` says how many figures the cell must show (none
 * without it), `quiet=true` that it may show nothing, `jupyter={"source_hidden": true}` folds a solution.
 */

/** One cell, as far as both forms know it. */
export interface Cell {
  readonly type: "code" | "markdown";
  readonly source: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const marker = /^\/\/ %%(.*)$/;

/**
 * Splits a percent file into its cells; what stands before the first marker belongs to no cell.
 *
 * @throws {SyntaxError} for a file without cells, a code line in a markdown cell, or an unreadable option.
 */
export function parsePercent(text: string, name: string): Cell[] {
  const cells: { header: string; line: number; lines: string[] }[] = [];
  for (const [index, line] of text.replaceAll("\r\n", "\n").split("\n").entries()) {
    const header = marker.exec(line)?.[1];
    if (header !== undefined) cells.push({ header, line: index + 1, lines: [] });
    else cells.at(-1)?.lines.push(line);
  }
  if (cells.length === 0) throw new SyntaxError(`${name}: no line starts a cell with "// %%"`);
  return cells.map(({ header, line, lines }) => {
    const markdown = /^\s*\[markdown\]/.test(header);
    const where = `${name}, cell at line ${line}`;
    return {
      type: markdown ? "markdown" : "code",
      source: (markdown ? lines.map((each) => uncomment(each, where)) : lines).join("\n").trim(),
      metadata: parseOptions(header.replace("[markdown]", "").trim(), where),
    };
  });
}

function uncomment(line: string, where: string): string {
  if (line === "" || line === "//") return "";
  if (line.startsWith("// ")) return line.slice(3);
  throw new SyntaxError(`${where}: a markdown cell holds only comment lines, not ${JSON.stringify(line)}`);
}

function parseOptions(text: string, where: string): Record<string, unknown> {
  if (text === "") return {};
  const pairs = text.split(/\s+(?=\w+=)/).map((part): [string, unknown] => {
    const at = part.indexOf("=");
    try {
      return [part.slice(0, Math.max(at, 0)), JSON.parse(part.slice(at + 1))];
    } catch {
      throw new SyntaxError(`${where}: option ${JSON.stringify(part)} is not key=JSON`);
    }
  });
  return Object.fromEntries(pairs);
}

/** The text of the .ipynb (nbformat 4.5): no outputs, no counters, cell ids by position. */
export function toIpynb(cells: readonly Cell[]): string {
  const notebook = {
    cells: cells.map((cell, index) => ({
      cell_type: cell.type,
      ...(cell.type === "code" ? { execution_count: null } : {}),
      id: `cell-${String(index + 1).padStart(2, "0")}`,
      metadata: cell.metadata,
      ...(cell.type === "code" ? { outputs: [] } : {}),
      source: cell.source.split(/(?<=\n)/),
    })),
    metadata: {
      kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
      language_info: { file_extension: ".ts", mimetype: "text/x.typescript", name: "typescript" },
    },
    nbformat: 4,
    nbformat_minor: 5,
  };
  return `${JSON.stringify(notebook, null, 1)}\n`;
}
