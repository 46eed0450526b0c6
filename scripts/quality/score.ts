/** Scores recorded answers, writes quality.json and answers.csv, and shows the result. */
import { join } from "node:path";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import { formatAnswers, readRecordedAnswers, writeRunFile } from "../../lib/quality/recorded_answers.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import type { QualityReport } from "../../lib/quality/quality_schema.ts";
import { qualityTerminal } from "../../lib/report/quality_terminal.ts";
import { readRatings } from "../../lib/quality/ratings.ts";
import { readVotes } from "../../lib/quality/votes.ts";
import { runNamed, sayNext, showPage } from "../cli.ts";
import { say, stdoutStyle } from "../terminal.ts";
import { rewriteReport } from "./run_folder.ts";

/** @returns the report, null where neither a check nor a rating scores anything, and how to show it */
export async function scoreRun(
  folder: string,
  set: PromptSet,
  passMark: number,
): Promise<{ report: QualityReport | null; show: (open?: boolean) => Promise<void> }> {
  const scorable = set.prompts.some(({ checks }) => checks.length > 0) ||
    (await readRatings(folder)).length > 0 || (await readVotes(folder)).length > 0;
  const report = scorable ? await writeQuality(folder, set, { passMark }) : null;
  const csv = join(folder, "answers.csv");
  await writeRunFile(csv, formatAnswers(await readRecordedAnswers(folder), report));
  await rewriteReport(folder);
  const show = async (open?: boolean) => {
    if (report) console.log(qualityTerminal(report, stdoutStyle(100).columns));
    else {
      const text =
        `${set.name} has no checks: the answers are kept, and people can rate them (quality annotate)`;
      say(text);
    }
    console.log(`\nAnswers: ${csv}`);
    if (report) console.log(`Quality: ${join(folder, "quality.json")}`);
    await showPage("Report", join(folder, "report.html"), open);
    const run = await runNamed(folder);
    sayNext(
      ...(open ? [] : [`deno task report${run} --open shows the page`]),
      ...(report
        ? [`deno task quality errors${run} shows what is wrong`, `deno task select${run} decides`]
        : [`deno task quality annotate${run} --page lets you rate the answers`]),
    );
  };
  return { report, show };
}
