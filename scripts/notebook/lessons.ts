/// <reference lib="dom" />
/**
 * Executed notebooks as Markdown with figures beside it, in docs/lessons/, which a repository's pages show to people
 * who don't run them. The text and the code are those of the notebook's source; what its cells showed stands between
 * two comments, so that a check can leave it out and compare the rest with the source of today.
 */
import { basename, dirname, join } from "node:path";
import { parseHTML } from "linkedom";
import { type Cell, notebookNames, parsePercent } from "./files.ts";
import { type Output, readExecuted } from "./judge.ts";

const open = "<!-- output -->";
const close = "<!-- end of output -->";

/** Longer tables are folded. */
const LONGEST_TABLE = 20;

/** The width of figures in pixels: most of a repository's page. */
const FIGURE_WIDTH = 700;

/** A lesson as Markdown, and its figures by file name. */
export interface RecordedLesson {
  readonly text: string;
  readonly figures: ReadonlyMap<string, string>;
}

/**
 * Makes the Markdown of an executed notebook.
 *
 * @param cells the cells of its source
 * @param executed the notebook as the kernel's client wrote it; null makes the text without any output
 */
export function lessonOf(name: string, cells: readonly Cell[], executed: unknown): RecordedLesson {
  const run = executed === null ? null : readExecuted(executed).cells;
  const figures = new Map<string, string>();
  const keep = (svg: string) => {
    const file = `${name.split("_")[0]}-${figures.size + 1}.svg`;
    figures.set(file, figureFile(svg));
    return `images/${file}`;
  };
  const day = run?.map(({ metadata }) => metadata.execution?.["iopub.status.busy"]).find((at) => at)?.slice(
    0,
    10,
  );
  const blocks = cells.map((cell, at) => {
    if (cell.type === "markdown") return cell.source.replaceAll("](../docs/", "](../");
    const code = `\`\`\`typescript\n${cell.source}\n\`\`\``;
    const shown = (run?.[at]?.outputs ?? []).map((each) => outputText(each, keep)).filter((part) =>
      part !== ""
    );
    const parts = shown.length === 0 ? [code] : [code, `${open}\n\n${shown.join("\n\n")}\n\n${close}`];
    const folded = cell.metadata["jupyter"] !== undefined;
    const title = /^\/\/ (Solution( \d)?)/.exec(cell.source)?.[1] ?? "Solution";
    return (folded ? [`<details><summary>${title}</summary>`, ...parts, "</details>"] : parts).join("\n\n");
  });
  const head =
    `<!-- Made from notebooks/${name}.ts by: deno task notebook export. Edit the notebook instead. -->\n\n` +
    `_A recorded copy of [${name}.ipynb](../../notebooks/${name}.ipynb): on your machine the figures differ. ` +
    "[All lessons](../notebooks.md)._";
  const recorded = day === undefined ? [] : [`${open}\n\n_Recorded on ${day}._\n\n${close}`];
  return { text: `${[head, ...recorded, ...blocks].join("\n\n")}\n`, figures };
}

/** Writes a lesson and its figures, and removes the figures of an earlier copy. */
export async function writeLesson(
  folder: string,
  name: string,
  { text, figures }: RecordedLesson,
): Promise<void> {
  const images = join(folder, "images");
  await Deno.mkdir(images, { recursive: true });
  for await (const { name: file } of Deno.readDir(images)) {
    if (file.startsWith(`${name.split("_")[0]}-`)) await Deno.remove(join(images, file));
  }
  for (const [file, svg] of figures) await Deno.writeTextFile(join(images, file), svg);
  await Deno.writeTextFile(join(folder, `${name}.md`), text);
}

/** The faults of the recorded lessons, one line each: missing, stale, without figures, or superfluous. */
export async function lessonFaults(notebooks: string, folder: string): Promise<string[]> {
  const names = await notebookNames(notebooks);
  const faults: string[] = [];
  const linked = new Set<string>();
  for (const name of names) {
    const again = `deno task notebook export ${name.split("_")[0]}`;
    const text = await Deno.readTextFile(join(folder, `${name}.md`)).catch(() => null);
    if (text === null) {
      faults.push(`${name}.md is missing: ${again}`);
      continue;
    }
    const cells = parsePercent(await Deno.readTextFile(join(notebooks, `${name}.ts`)), name);
    if (withoutOutputs(text) !== lessonOf(name, cells, null).text) {
      faults.push(`${name}.md is not what the notebook says today: ${again}`);
    }
    const images = [...text.matchAll(/\]\(images\/([^)]+)\)/g)].map(([, file = ""]) => file);
    const promised = cells.reduce((sum, { metadata }) => sum + Number(metadata["figures"] ?? 0), 0);
    if (images.length !== promised) {
      faults.push(`${name}.md has ${images.length} figures, the notebook promises ${promised}: ${again}`);
    }
    for (const file of images) linked.add(join("images", file));
    faults.push(...pathsIn(text).map((path) => `${name}.md names a folder of a machine: ${path}`));
  }
  for (const path of await filesBelow(folder)) {
    if (!linked.delete(path) && !(dirname(path) === "." && names.includes(basename(path, ".md")))) {
      faults.push(`${path} belongs to no lesson`);
    }
  }
  return [...faults, ...[...linked].map((path) => `${path} is missing`)];
}

/** Absolute paths of a machine: home directories, and the usual roots of a checkout. */
export const pathsIn = (text: string): string[] =>
  text.match(/(?<![\w.:/])\/(?:home|root|Users|tmp|work|var|opt|workspace)\/[^\s)]*|\b[A-Z]:\\Users\\\S*/g) ??
    [];

const withoutOutputs = (text: string) =>
  text.replaceAll("\r\n", "\n").replaceAll(new RegExp(`\n\n${open}[\\s\\S]*?${close}`, "g"), "");

async function filesBelow(folder: string): Promise<string[]> {
  const list = async (inner: string) =>
    await Array.fromAsync(Deno.readDir(join(folder, inner))).catch(() => []);
  const files = [...await list(".")].map(({ name }) => name).filter((name) => name !== "images");
  return [...files, ...(await list("images")).map(({ name }) => join("images", name))];
}

/** One output as Markdown: tables, paragraphs and figures as such, all else as text. */
function outputText(output: Output, keep: (svg: string) => string): string {
  const html = output.data?.["text/html"];
  if (typeof html !== "string" && !Array.isArray(html)) {
    const plain = output.data?.["text/plain"] ?? output.text ?? output.evalue ?? "";
    const text = (Array.isArray(plain) ? plain.join("") : `${plain}`).trimEnd();
    return text === "" ? "" : `\`\`\`text\n${text}\n\`\`\``;
  }
  const { document } = parseHTML(`<body>${Array.isArray(html) ? html.join("") : html}</body>`);
  return [...document.querySelectorAll("figure, table, p")].map((element) => {
    const name = element.tagName.toLowerCase();
    if (name === "table") return tableText(element);
    if (name === "p") return markdownOf(element).replaceAll("\n", "<br>");
    const svg = element.querySelector("svg");
    const caption = element.querySelector("figcaption");
    if (svg === null || caption === null) return "";
    const title = escapeText(caption.querySelector("strong")?.textContent?.replace(/\.$/, "") ?? "Figure");
    return `![${title}](${keep(svg.outerHTML)})\n\n${markdownOf(caption)}`;
  }).filter((part) => part.trim() !== "").join("\n\n");
}

function tableText(table: Element): string {
  const heads = [...table.querySelectorAll("th")];
  const cells = (row: Element) =>
    [...row.querySelectorAll("td")].map((cell) =>
      escapeText(cell.textContent ?? "").replaceAll("\n", "<br>")
    );
  const line = (parts: readonly string[]) => `| ${parts.join(" | ")} |`;
  const rows = [...table.querySelectorAll("tbody tr")].map((row) => line(cells(row)));
  const text = [
    line(heads.map((head) => escapeText(head.textContent ?? ""))),
    line(heads.map((head) => /text-align:\s*right/.test(head.getAttribute("style") ?? "") ? "--:" : "---")),
    ...rows,
  ].join("\n");
  const caption = table.querySelector("caption");
  const below = caption === null ? "" : `\n\n_${escapeText(caption.textContent ?? "")}_`;
  const long = rows.length > LONGEST_TABLE;
  return `${
    long ? `<details><summary>${rows.length} rows</summary>\n\n${text}\n\n</details>` : text
  }${below}`;
}

/** The text of an element; bold is the only markup. */
const markdownOf = (element: Element) =>
  [...element.childNodes].map((node) => {
    const text = escapeText(node.textContent ?? "");
    return node.nodeName.toLowerCase() === "strong" && text.trim() !== "" ? `**${text}**` : text;
  }).join("").trim();

/** Writes as entities what Markdown or HTML would read as markup; underscores inside a word are not markup. */
const escapeText = (text: string) =>
  text.replaceAll(/[&<>`*[\]|\\#~$]|(?<!\w)_|_(?!\w)/g, (char) => `&#${char.charCodeAt(0)};`);

/** A figure as a file on a white ground of its own: a page's theme does not reach into an image. */
function figureFile(svg: string): string {
  const [, x = "0", y = "0", width = "420", height = "300"] =
    /viewBox="([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+)"/.exec(svg) ?? [];
  const margin = 12;
  const [left, top, wide, high] = [+x - margin, +y - margin, +width + 2 * margin, +height + 2 * margin];
  const root = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${wide} ${high}" ` +
    `width="${FIGURE_WIDTH}" height="${
      Math.round(FIGURE_WIDTH * high / wide)
    }" color="#1b1f24" fill="currentColor" ` +
    `font-family="system-ui, sans-serif" font-size="12" text-anchor="middle" role="img">` +
    `<rect x="${left}" y="${top}" width="${wide}" height="${high}" fill="#ffffff"/>`;
  return `${svg.replace(/^<svg[^>]*>/, root)}\n`;
}
