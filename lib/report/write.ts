/**
 * From a run's folder to its reports; everything here can be derived again from the records. The report also
 * shows selfcheck.json (the last self-check of the machine that made the run) and quality.json (checks and
 * ratings) if the folder holds them.
 */
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { readAnswers, readSamples } from "../bench/read_run.ts";
import { RUN_SCHEMA } from "../bench/records.ts";
import { summarizeRun, writeSummary } from "../bench/summary.ts";
import { type Summary, summarySchema } from "../bench/summary_schema.ts";
import { lastSelfcheck } from "../selfcheck/selfcheck.ts";
import { reasonOf, UserError } from "../errors.ts";
import { terminalText } from "../terminal_text.ts";
import { parseDocument } from "../text_file.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { readQuality } from "../select/decide/facts.ts";
import { reportCsv } from "./report_csv.ts";
import { gatherAnswers } from "./answers.ts";
import { type RunData, RunGatherer } from "./run_data.ts";
import { markdownReport } from "./markdown.ts";
import { reportPage } from "./page.ts";
import type { ReportOptions } from "./summary_text.ts";

/** The files that `writeReports` writes, in this order. */
export const reportFiles = ["report.csv", "report.md", "report.html"] as const;

/**
 * Writes report.csv, report.md and report.html from summary.json, samples.jsonl and answers.jsonl.
 *
 * @param folder the run's folder
 * @returns the paths written
 * @throws {UserError} when summary.json is missing or damaged, or a record can't be read
 * ```ts ignore
 * await writeReports("reports/2026-11-21T04-55-07-x1y2", { watts: 15 });
 * ```
 */
export async function writeReports(folder: string, options: ReportOptions = {}): Promise<string[]> {
  const summary = await readSummary(folder);
  const gatherer = new RunGatherer();
  for await (const record of readSamples(folder)) gatherer.add(record);
  return await writeFiles(folder, summary, gatherer.result(summary.blocks.treatment), options);
}

/**
 * Derives a run's summary.json and reports again, in one pass over its records.
 *
 * @returns the summary, the quality if the run was scored, and the paths of the reports
 * @throws {UserError} when the folder holds no run, or a record can't be read
 * ```ts ignore
 * const { summary } = await reportRun("reports/2026-11-21T04-55-07-x1y2");
 * ```
 */
export async function reportRun(
  folder: string,
  options: ReportOptions = {},
): Promise<{ summary: Summary; quality: QualityReport | null; written: string[] }> {
  const gatherer = new RunGatherer();
  const summary = await summarizeRun(folder, (record) => gatherer.add(record));
  await guarded(join(folder, "summary.json"), () => writeSummary(folder, summary));
  const written = await writeFiles(folder, summary, gatherer.result(summary.blocks.treatment), options);
  return { summary, quality: await readQuality(folder), written };
}

async function writeFiles(
  folder: string,
  summary: Summary,
  data: RunData,
  options: ReportOptions,
): Promise<string[]> {
  const answers = await gatherAnswers(readAnswers(folder));
  const companions = { selfcheck: await lastSelfcheck(folder), quality: await readQuality(folder) };
  const failedTexts = await readFailed(folder, companions.quality);
  const texts: Record<typeof reportFiles[number], string> = {
    "report.csv": reportCsv(summary, options),
    "report.md": terminalText(markdownReport(summary, options, companions)),
    "report.html": reportPage({ summary, data, answers, ...companions, failedTexts, options }),
  };
  const written: string[] = [];
  for (const name of reportFiles) {
    const path = join(folder, name);
    await guarded(path, () => replaceFile(path, texts[name]));
    written.push(path);
  }
  return written;
}

/** The answers that are not right, by the request's id. */
async function readFailed(folder: string, quality: QualityReport | null): Promise<Map<string, string>> {
  const failed = new Set(quality?.answers.filter(({ state }) => state !== "right").map(({ id }) => id));
  const texts = new Map<string, string>();
  if (failed.size === 0) return texts;
  for await (const { id, content } of readAnswers(folder)) if (failed.has(id)) texts.set(id, content);
  return texts;
}

/** Turns an error of the file system into one line with what to do. */
async function guarded(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    const remedy =
      "free disk space, or copy the run to a folder that you can write to, and run deno task report again";
    throw new UserError(`can't write ${path}: ${reasonOf(error)}; ${remedy}`, 1, { cause: error });
  }
}

/**
 * summary.json of a run.
 *
 * @throws {UserError} when it is missing or damaged; the message says how to rebuild it
 */
async function readSummary(folder: string): Promise<Summary> {
  const path = join(folder, "summary.json");
  const remedy = `rebuild it with deno task report ${folder}`;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new UserError(`can't read ${path}: ${reasonOf(error)}; ${remedy}`, 2, { cause: error });
  }
  const { schema_version } = parseDocument(text, {
    schema: z.looseObject({ schema_version: z.number().max(RUN_SCHEMA) }),
    newest: RUN_SCHEMA,
    name: path,
    remedy,
  });
  if (schema_version < RUN_SCHEMA) return await summarizeRun(folder);
  return parseDocument(text, { schema: summarySchema, newest: RUN_SCHEMA, name: path, remedy });
}
