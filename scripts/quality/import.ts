/** deno task quality import: takes a filled-in sheet, and shows how far people agree. */
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { option, type Shared, shared } from "../options.ts";
import {
  passMarkOption,
  promptSetOf,
  readSheetText,
  rewriteReport,
  runFolder,
  runPromptsOption,
} from "./run_folder.ts";

interface ImportOptions extends Shared<"out" | "json"> {
  readonly partial?: boolean;
  readonly replace?: boolean;
  readonly prompts?: string;
  readonly passMark: number;
}

export const importSheet = subcommand(
  bareCommand("quality import", "Read a filled-in sheet: all rows, or none if one is invalid")
    .argument("<run>", "folder of a run, or its name below --out")
    .argument("<sheet>", "the filled-in CSV")
    .addOptions([
      option("--partial", "leave out rows without any score instead of refusing them"),
      option("--replace", "replace earlier scores"),
      runPromptsOption(),
      passMarkOption(),
      ...shared("out", "json"),
    ]),
  async (run: string, sheetPath: string, options: ImportOptions) => {
    const folder = await runFolder(run, options.out);
    const set = await promptSetOf(folder, options.prompts);
    const { readSheet, ratingsOf } = await import("../../lib/quality/import.ts");
    const { readSheetKeys } = await import("../../lib/quality/sheet.ts");
    const { addRatings } = await import("../../lib/quality/ratings.ts");
    const { writeQuality } = await import("../../lib/quality/quality.ts");
    const filled = readSheet(await readSheetText(sheetPath), await readSheetKeys(folder), {
      name: sheetPath,
      partial: options.partial === true,
    });
    const written = await addRatings(folder, ratingsOf(filled), { replace: options.replace === true });
    const { agreement } = await writeQuality(folder, set, { passMark: options.passMark });
    await rewriteReport(folder);
    for (const row of filled.changed) {
      console.error(
        `! ${sheetPath}, ${row}: its prompt or answer is not the text that was written; the scores are kept`,
      );
    }
    if (options.json) printJson({ ...written, unrated: filled.unrated, changed: filled.changed, agreement });
    else {
      const { added, same, replaced } = written;
      console.log(
        `${filled.key.annotator}: ${added} ratings added, ${same} unchanged, ${replaced} replaced.`,
      );
      for (const { rubric, dimension, alpha, units, raters, reason } of agreement) {
        const told = alpha === null
          ? reason
          : `alpha ${alpha.toFixed(2)} over ${units} answers and ${raters} people`;
        console.log(`agreement on ${dimension} (${rubric}): ${told}`);
      }
      console.log(
        "Krippendorff's advice: rely on an alpha of 0.80 or more; from 0.67, conclude tentatively.",
      );
    }
    return 0;
  },
);
