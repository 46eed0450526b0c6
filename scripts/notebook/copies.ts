/**
 * The learner's copies of the notebooks: in `notebooks/mine/` of a clone, which git ignores, or in the folder that
 * `podium init` made. They may be changed and reset, and the shipped notebooks stay as they are.
 */
import { join } from "node:path";
import { z } from "zod";
import { derive, notebookNames } from "./files.ts";

/** The shipped notebook, kept next to its copy to recognise a changed copy. */
const shippedFolder = (copies: string) => join(copies, ".shipped");

/** Whether a folder holds copies that `makeCopies` made. */
export const holdsCopies = (folder: string): Promise<boolean> =>
  Deno.stat(shippedFolder(folder)).then(({ isDirectory }) => isDirectory, () => false);

/**
 * Copies the notebooks that have no copy yet, replaces unchanged copies of notebooks that Podium has changed, and writes
 * START.md, the page that JupyterLab opens. Outputs don't count as changes.
 *
 * @returns the names of changed copies whose notebook Podium has changed too: these are left alone
 */
export async function makeCopies(notebooks: string, copies: string): Promise<string[]> {
  await Deno.mkdir(shippedFolder(copies), { recursive: true });
  const outdated: string[] = [];
  const names = await notebookNames(notebooks);
  for (const name of names) {
    const copy = await cellsIn(join(copies, `${name}.ipynb`));
    const last = await cellsIn(join(shippedFolder(copies), `${name}.ipynb`));
    const current = cellsOf(await derive(notebooks, name));
    if (last === current && copy !== null) continue;
    if (copy === null || copy === last) await writeCopy(notebooks, copies, name);
    else outdated.push(name);
  }
  const lines = await Promise.all(names.map((name) => startLine(notebooks, name)));
  await Deno.writeTextFile(join(copies, "START.md"), startPage(lines));
  return outdated;
}

/** Replaces a copy with the shipped notebook. Changes in the copy are lost. */
export async function writeCopy(notebooks: string, copies: string, name: string): Promise<void> {
  const text = await derive(notebooks, name);
  for (const folder of [copies, shippedFolder(copies)]) {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(join(folder, `${name}.ipynb`), text);
  }
}

const source = z.union([z.string(), z.array(z.string()).transform((lines) => lines.join(""))]);
const notebook = z.object({ cells: z.array(z.object({ source })) });

/** The source of all cells, without outputs and counters. */
const cellsOf = (text: string) => JSON.stringify(notebook.parse(JSON.parse(text)).cells);

/** The cells of a notebook on disk; null where there is none, or none that can be read. */
async function cellsIn(path: string): Promise<string | null> {
  try {
    return cellsOf(await Deno.readTextFile(path));
  } catch {
    return null;
  }
}

async function startLine(notebooks: string, name: string): Promise<string> {
  const text = (await Deno.readTextFile(join(notebooks, `${name}.ts`))).replaceAll(/\n\/\/ ?/g, "\n");
  const title = /^# (.*)$/m.exec(text)?.[1] ?? name;
  const [, minutes = "", about = ""] = /\*About (\d+) minutes\.\*\s+([^]*?[.?!])(?:\s|$)/.exec(text) ?? [];
  return `| [${title}](${name}.ipynb) | ${minutes} | ${about.replaceAll("\n", " ")} |`;
}

const startPage = (lines: readonly string[]) =>
  `# Start here

Open a lesson with a double click and run its cells with Shift+Enter, from top to bottom. Each lesson stands alone;
if you have half an hour, take 02 and 03, and for a decision 04 and 05.

| lesson, in this order | minutes | what it is about |
| --- | --: | --- |
${lines.join("\n")}

A line marked \`knob\` is for you to change. These are your own copies: change what you like.
\`deno task notebook reset 03\` in a terminal brings notebook 03 back as it was; without a number it resets all of them.
Runs are kept in \`reports/\`.
`;
