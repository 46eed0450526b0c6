/**
 * The notebooks on disk, and their two forms. The source is a TypeScript file in the percent format (as jupytext reads
 * it), which can be checked, linted and reviewed; the .ipynb is derived from it and holds no outputs.
 *
 * A cell begins with `// %%` (code) or `// %% [markdown]` (every line a comment). Options follow as `key=JSON` and
 * become the cell's metadata: `figures=1` says how many figures the cell must show (none without it), `quiet=true` that
 * it may show nothing, `jupyter={"source_hidden": true}` folds a solution.
 */
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";

/** Names without ending, in order: a notebook starts with its number, or with the workshop session that it mirrors. */
export async function notebookNames(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && /^(\d\d|session\d\d)_.*\.ts$/.test(name)) names.push(name.replace(/\.ts$/, ""));
  }
  return names.sort();
}

/**
 * The notebooks whose names start with one of `starts`; without any, all of them.
 *
 * @throws {UserError} for a start that fits no notebook
 */
export async function findNotebooks(folder: string, starts: readonly string[]): Promise<string[]> {
  const all = await notebookNames(folder);
  const unknown = starts.find((start) => !all.some((name) => name.startsWith(start)));
  if (unknown !== undefined) {
    throw new UserError(
      `no notebook's name starts with ${JSON.stringify(unknown)}: there are ${all.join(", ")}`,
    );
  }
  return all.filter((name) => starts.length === 0 || starts.some((start) => name.startsWith(start)));
}

/** The .ipynb that belongs to a notebook's source. */
export async function derive(folder: string, name: string): Promise<string> {
  const file = `${name}.ts`;
  return toIpynb(parsePercent(await Deno.readTextFile(join(folder, file)), file));
}

/** Writes every .ipynb anew and returns the names that changed. */
export async function writeNotebooks(folder: string): Promise<string[]> {
  const changed: string[] = [];
  for (const name of await notebookNames(folder)) {
    const path = join(folder, `${name}.ipynb`);
    const text = await derive(folder, name);
    if (await Deno.readTextFile(path).catch(() => "") === text) continue;
    await Deno.writeTextFile(path, text);
    changed.push(name);
  }
  return changed;
}

/**
 * The kernel shows nothing at all for a cell with a syntax error, so every cell is parsed before any is run.
 *
 * @throws {UserError} naming the first cell that is not TypeScript by itself
 */
export async function checkSyntax(folder: string, name: string): Promise<void> {
  const cells = parsePercent(await Deno.readTextFile(join(folder, `${name}.ts`)), `${name}.ts`);
  for (const [index, cell] of cells.entries()) {
    if (cell.type === "markdown") continue;
    const parse = new Deno.Command(Deno.execPath(), {
      args: ["fmt", "--no-config", "--ext", "ts", "-"],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    const writer = parse.stdin.getWriter();
    await writer.write(new TextEncoder().encode(cell.source));
    await writer.close();
    const { success, stderr } = await parse.output();
    if (success) continue;
    const said = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
    throw new UserError(`${name}, cell ${index + 1}: ${said.replace(/^error: /, "")}`, 1);
  }
}

/** The part of a cell that both forms hold. */
export interface Cell {
  readonly type: "code" | "markdown";
  readonly source: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const marker = /^\/\/ %%(.*)$/;

/**
 * Splits a percent file into its cells; what precedes the first marker belongs to no cell.
 *
 * @throws {SyntaxError} for a file without cells, a code line in a markdown cell, or an option that can't be read
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

/** Makes the text of the .ipynb (nbformat 4.5): no outputs, no counters, cell ids by position. */
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
