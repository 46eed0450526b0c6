/** The notebooks on disk: which there are, and that their two forms agree. */
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { parsePercent, toIpynb } from "./percent.ts";

/** Names without ending, in order: a notebook starts with its number, or with the workshop session that it mirrors. */
export async function notebookNames(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && /^(\d\d|session\d\d)_.*\.ts$/.test(name)) names.push(name.replace(/\.ts$/, ""));
  }
  return names.sort();
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
 * @throws {UserError} naming the first cell that is no TypeScript by itself.
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
