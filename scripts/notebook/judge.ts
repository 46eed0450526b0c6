/**
 * Finds the faults of an executed notebook, and reports them as a test. Faults are: an error, a cell that was not
 * run, nothing where something should be, a figure too few, an output that came too late to reach every browser.
 */
import { z } from "zod";

const text = z.union([z.string(), z.array(z.string()).transform((lines) => lines.join(""))]);
const output = z.object({
  output_type: z.string(),
  text: text.optional(),
  data: z.record(z.string(), z.unknown()).optional(),
  metadata: z.looseObject({ podium_output: z.number().optional() }).optional(),
  ename: z.string().optional(),
  evalue: z.string().optional(),
});
/** One output of a cell, as nbformat keeps it. */
export type Output = z.infer<typeof output>;
const executed = z.object({
  cells: z.array(z.object({
    cell_type: z.string(),
    execution_count: z.number().nullable().optional(),
    source: text,
    outputs: z.array(output).optional(),
    metadata: z.looseObject({
      figures: z.number().optional(),
      quiet: z.boolean().optional(),
      late_outputs: z.number().optional(),
      execution: z.record(z.string(), z.string()).optional(),
    }),
  })),
});

/**
 * Reads an executed notebook.
 *
 * @throws {z.ZodError} for a document that is not a notebook.
 */
export const readExecuted = (document: unknown): z.infer<typeof executed> => executed.parse(document);

/**
 * One line for each fault; an empty list means a good notebook.
 *
 * Every output that `show` and the progress bars of mod.ts make carries its number in the session, so a gap is an output that was
 * lost on the way, wherever it was.
 *
 * @throws {z.ZodError} for a document that is not a notebook.
 */
export function judgeExecuted(document: unknown): string[] {
  const { cells } = readExecuted(document);
  const faults: string[] = [];
  let expected = 1;
  for (const [index, cell] of cells.entries()) {
    if (cell.cell_type !== "code") continue;
    const where = `cell ${index + 1} (${JSON.stringify(firstLine(cell.source))})`;
    const outputs = cell.outputs ?? [];
    for (const each of outputs) {
      if (each.output_type === "error") {
        faults.push(`${where}: ${each.ename}: ${firstLine(each.evalue ?? "")}`);
      }
      const number = each.metadata?.podium_output;
      if (number === undefined) continue;
      if (number !== expected) faults.push(`${where}: output ${expected} was lost before output ${number}`);
      expected = number + 1;
    }
    if (cell.execution_count === null) faults.push(`${where}: was not run`);
    else if (cell.metadata.quiet !== true && !outputs.some(hasContent)) {
      faults.push(`${where}: shows nothing`);
    }
    const figures = outputs.reduce((sum, each) => sum + countFigures(each), 0);
    if (figures !== (cell.metadata.figures ?? 0)) {
      faults.push(`${where}: ${figures} figures, ${cell.metadata.figures ?? 0} promised`);
    }
    const late = cell.metadata.late_outputs ?? 0;
    if (late > 0) {
      faults.push(`${where}: ${late} outputs came after the cell was done; await its last display`);
    }
  }
  return faults;
}

const firstLine = (source: string) => source.trim().split("\n")[0] ?? "";

const shownAs = (each: Output, type: "text/html" | "text/plain") =>
  text.safeParse(each.data?.[type]).data ?? "";
const html = (each: Output) => shownAs(each, "text/html");

function hasContent(each: Output): boolean {
  if (each.output_type === "error") return true;
  if (each.output_type === "stream") return (each.text ?? "").trim() !== "";
  const visible = html(each).replaceAll(/<(?!svg|img|table|progress)[^>]*>/g, "");
  return [visible, shownAs(each, "text/plain")].some((value) => value.trim() !== "");
}

/** A figure is a `<figure>` with a drawing and a caption that is not empty. */
function countFigures(each: Output): number {
  return html(each).split("<figure").slice(1).filter((part) => {
    const caption = /<figcaption[^>]*>([\s\S]*?)<\/figcaption>/.exec(part)?.[1] ?? "";
    return part.includes("<svg") && caption.trim() !== "";
  }).length;
}

/** Runs tests of notebooks one after the other and prints a line for each, with its faults below it. */
export class FaultReport {
  #passed = 0;
  #failed = 0;

  /** Runs one test; its faults are what it returns or throws. */
  async test(name: string, work: () => Promise<readonly string[]>): Promise<void> {
    const started = performance.now();
    const faults = await work().catch((error: unknown) => [String(error)]);
    if (faults.length === 0) this.#passed++;
    else this.#failed++;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${faults.length === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
    for (const fault of faults) console.log(`       ${fault}`);
  }

  /** Prints the totals and returns the exit code. */
  finish(): number {
    const word = this.#failed === 0 ? "ok" : "FAILED";
    console.log(`\n${word} | ${this.#passed} passed | ${this.#failed} failed`);
    return this.#failed === 0 ? 0 : 1;
  }
}
