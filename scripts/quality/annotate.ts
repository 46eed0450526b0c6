/** deno task quality annotate: a blinded, shuffled sheet of a run's answers, or the same as a page. */
import { join } from "node:path";
import { InvalidArgumentError } from "commander";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { isFile } from "../../lib/text_file.ts";
import type { RubricName } from "../../lib/quality/rubric.ts";
import type { PrivatePageOptions } from "../../lib/web/live_page.ts";
import { bareCommand, interrupted, printJson, realClock, subcommand } from "../cli.ts";
import { option, pathValue, RUN_ARGUMENT, type Shared, shared, wholeNumber } from "../options.ts";
import { promptSetOf, readSheetText, rewriteReport, runFolder, runPromptsOption } from "./run_folder.ts";

interface AnnotateOptions extends Shared<"out" | "json"> {
  readonly annotator: string;
  readonly rubric?: RubricName;
  readonly sheet?: string;
  readonly page?: boolean;
  readonly pairs?: boolean;
  readonly port: number;
  readonly prompts?: string;
}

function annotatorName(text: string): string {
  if (/^[\w-]{1,40}$/.test(text)) return text;
  throw new InvalidArgumentError("Give up to 40 letters, digits, - or _; a pseudonym will do.");
}

const command = bareCommand(
  "quality annotate",
  "Write a blinded, shuffled sheet of a run's answers for one annotator",
)
  .argument("[run]", RUN_ARGUMENT)
  .addOptions([
    option(
      "--annotator <name>",
      "name of the annotator; each gets the answers in a different order",
      annotatorName,
      "annotator-1",
    ),
    option(
      "--rubric <name>",
      "fluency, relevance, correctness; accuracy, clarity, completeness; or the job's own (default: the job's, " +
        "else fluency)",
      ["fluency", "accuracy", "job"],
    ),
    option("--sheet <file>", "file of the sheet (default: in the run's folder)", pathValue),
    option("--page", "score in the browser; each score is saved to the sheet at once"),
    option("--pairs", "compare two answers at a time in the browser, blind; each vote is saved at once"),
    option("--port <n>", "port of the page; 0 means any free port", wholeNumber(0, 65535), 0),
    runPromptsOption(),
    ...shared("out", "json"),
  ]);

export const annotate = subcommand(command, async (run: string | undefined, options: AnnotateOptions) => {
  const folder = await runFolder(run, options.out);
  const { makeSheet, sheetFolder, writeSheet } = await import("../../lib/quality/sheet.ts");
  const { promptsOfRun, readRecordedAnswers } = await import("../../lib/quality/recorded_answers.ts");
  const { info, requests, answers } = await readRecordedAnswers(folder);
  const set = await promptSetOf(folder, options.prompts);
  const prompts = promptsOfRun(info, set);
  const good = requests.filter(({ status }) => status === "ok").flatMap(({ id }) => answers.get(id) ?? []);
  const { annotator } = options;
  if (options.pairs) {
    const { makePairs } = await import("../../lib/quality/answer_pairs.ts");
    const candidates = info.candidates.map(({ id }) => id);
    return await comparePairs(
      makePairs(good, prompts, { runId: info.run_id, rater: annotator, candidates }),
      folder,
      options,
    );
  }
  const { rubricFor } = await import("../../lib/quality/rubric.ts");
  const rubric = rubricFor(options.rubric, set);
  const sheet = makeSheet(good, prompts, { runId: info.run_id, annotator, rubric });
  const path = options.sheet ?? join(sheetFolder(folder), `${annotator}-${rubric.name}.csv`);
  if (!options.page || !await isFile(path)) await writeSheet(folder, sheet, path);
  if (options.page) return await page(sheet, path, folder, options);
  if (options.json) printJson({ sheet: path, items: sheet.items.length, rubric: rubric.name });
  else {
    console.log(`${sheet.items.length} answers to rate: ${path}`);
    console.log(
      `Fill in 1 to 5 in each row, save it as CSV, then: deno task quality import ${folder} ${path}`,
    );
  }
  return 0;
});

async function page(
  sheet: Awaited<ReturnType<typeof import("../../lib/quality/sheet.ts").makeSheet>>,
  path: string,
  folder: string,
  { port, json }: AnnotateOptions,
): Promise<number> {
  const { readMarks } = await import("../../lib/quality/import.ts");
  const { servePage } = await import("../../lib/web/rating_page.ts");
  const marks = readMarks(await readSheetText(path), sheet.key, path);
  const served = await open((options) => servePage(sheet, path, marks, options), port);
  console.error(`Rate here: ${served.url}`);
  console.error(`Every score is saved to ${path}; Ctrl-C ends the page.`);
  await Promise.race([served.finished, interrupted()]);
  // The page's last answer is on its way.
  await served.stop();
  const done = served.done();
  if (json) printJson({ sheet: path, items: sheet.items.length, rated: done });
  else {console.log(
      `${done} of ${sheet.items.length} answers are rated. Then: deno task quality import ${folder} ${path}`,
    );}
  return 0;
}

/** Serves pairs until the voter is done, then scores the run anew. */
async function comparePairs(
  pairs: ReturnType<typeof import("../../lib/quality/answer_pairs.ts").makePairs>,
  folder: string,
  { annotator, prompts, port, json }: AnnotateOptions,
): Promise<number> {
  const { servePairs } = await import("../../lib/web/pair_page.ts");
  const { pairProgress } = await import("../../lib/quality/answer_pairs.ts");
  const { readVotes } = await import("../../lib/quality/votes.ts");
  const { writeQuality } = await import("../../lib/quality/quality.ts");
  const served = await open((options) => servePairs(pairs, folder, options), port);
  console.error(`Compare here: ${served.url}`);
  console.error("Every vote is saved at once; Ctrl-C ends the page.");
  await Promise.race([served.finished, interrupted()]);
  await served.stop();
  const votes = await readVotes(folder);
  if (votes.length > 0) {
    await writeQuality(folder, await promptSetOf(folder, prompts));
    await rewriteReport(folder);
  }
  const { next: _, ...progress } = pairProgress(pairs, votes);
  if (json) printJson({ annotator, ...progress });
  else {
    console.log(
      `${progress.voted} of ${progress.total} pairs voted on by ${annotator}; ${progress.decided} of ` +
        `${progress.pairs} comparisons are decided. What the votes say: deno task quality check ${folder}`,
    );
  }
  return 0;
}

/** Opens a page behind a path that can't be guessed. */
async function open<T>(serve: (options: PrivatePageOptions) => Promise<T>, port: number): Promise<T> {
  try {
    return await serve({
      token: crypto.randomUUID(),
      port,
      clock: realClock,
      onFault: (error) => console.error(`! the page: ${reasonOf(error)}`),
    });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
      throw new UserError(`port ${port} is taken: give another --port, or leave it out`, 2, { cause: error });
    }
    throw error;
  }
}
