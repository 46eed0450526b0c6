/**
 * A teacher prints the handout and shows the slides. Both are Markdown that anybody can edit; this
 * makes one HTML file from each page of docs/teaching, to print from a browser: a slide per page, the handout
 * on one sheet.
 *
 *   deno task kit                        into the folder teaching-kit
 *   deno task kit --out lesson --open    another folder, and opens the slides
 */
import { join } from "node:path";
import { documentPage } from "../lib/report/document_page.ts";
import { bareCommand, printJson, runTask, shippedFile, showPage } from "./cli.ts";
import { option, pathValue, type Shared, shared } from "./options.ts";

const PAPER = `
@page { margin: 13mm 14mm; }
@media print {
  body { font-size: 10pt; line-height: 1.4; }
  h1 { font-size: 17pt; }
  h2 { font-size: 12pt; margin: 5mm 0 1.5mm; padding-top: 2mm; break-after: avoid; }
  p, li { max-width: none; }
  th, td { white-space: normal; padding: 1mm 2.5mm; }
  tr, pre { break-inside: avoid; }
  .scroll { overflow: visible; background: none; margin: 2mm 0; }
  table { font-size: 9.5pt; }
}
th, td { white-space: normal; }
pre { background: var(--raised); padding: 0.5em 0.8em; border-radius: 4px; white-space: pre-wrap; margin: 0.5em 0; }`;

/** Each heading begins a slide, so the Markdown needs no syntax for slides. */
const SLIDES = `
@page { size: 297mm 167mm; margin: 12mm 16mm; }
body { max-width: 60rem; font-size: 1.35rem; }
h2 { font-size: 2rem; border: 0; padding: 0; margin: 5rem 0 1rem; }
li { margin: 0.45em 0; }
p, li { max-width: none; }
table { font-size: 1.1rem; }
@media print {
  body { font-size: 21pt; line-height: 1.4; }
  h1 { font-size: 40pt; margin-top: 38mm; }
  h2 { font-size: 30pt; margin: 0 0 7mm; break-before: page; }
  p { margin: 0.7em 0; }
  th, td { padding: 1.5mm 3mm; }
  table, thead th { font-size: 18pt; }
}`;

const command = bareCommand("kit").addOptions([
  ...shared("open"),
  option("--out <folder>", "folder of the pages", pathValue, "teaching-kit"),
  ...shared("json"),
]);

await runTask(command, async ({ out, open, json }: Shared<"out" | "open" | "json">) => {
  const from = shippedFile("docs/teaching");
  const files = await Array.fromAsync(Deno.readDir(from));
  const names = files.map(({ name }) => name).filter((name) => /\.(md|csv)$/.test(name)).sort();
  await Deno.mkdir(out, { recursive: true });
  const written: string[] = [];
  for (const name of names) {
    const text = await Deno.readTextFile(join(from, name));
    const page = name.endsWith(".md");
    const style = name === "slides.md" ? PAPER + SLIDES : PAPER;
    const path = join(out, page ? name.replace(/md$/, "html") : name);
    await Deno.writeTextFile(path, page ? documentPage(text, new Map(), style) : text);
    written.push(path);
  }
  if (json) printJson({ written });
  else {
    for (const path of written) console.log(`wrote ${path}`);
    console.log("Open a page in a browser and print it; slides print one per page.");
    await showPage("Slides", join(out, "slides.html"), open);
  }
  return 0;
});
