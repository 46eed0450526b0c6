/** Finds a run and its prompt set, for every command that reads recorded answers. */
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { isFile } from "../../lib/text_file.ts";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import { defaultPassMark } from "../../lib/quality/pass_rate.ts";
import { decimal, option, pathValue } from "../options.ts";

/** The run keeps its prompt set, so that its answers can be scored again on any machine. */
export const promptsFile = "prompts.json";

export const runPromptsOption = () =>
  option(
    "--prompts <file>",
    "prompt set (default: the run's own prompts.json, else prompts/NAME.json)",
    pathValue,
  );

export const passMarkOption = () =>
  option(
    "--pass-mark <share>",
    "weighted share of its checks that an answer must pass",
    decimal({ min: 0, max: 1 }),
    defaultPassMark,
  );

/** @throws {UserError} when the run doesn't exist */
export async function runFolder(name: string | undefined, root: string): Promise<string> {
  const { requireRun } = await import("../../lib/bench/find_run.ts");
  return await requireRun(name, root);
}

/**
 * The prompt set of a run: the file given, the run's own, or the shipped one with the same texts, whatever its name is
 * today.
 *
 * @throws {UserError} when no prompt set is found, or the one given can't be read
 */
export async function promptSetOf(folder: string, given: string | undefined): Promise<PromptSet> {
  const { loadPromptSet } = await import("../../lib/prompts/prompts.ts");
  if (given !== undefined) return await loadPromptSet(given);
  const own = join(folder, promptsFile);
  if (await isFile(own)) return await loadPromptSet(own);
  const { readRunInfo } = await import("../../lib/bench/read_run.ts");
  const { name, sha256 } = (await readRunInfo(folder)).plan.prompt_set;
  const shipped = await filesIn("prompts");
  for (const path of shipped) {
    // The folder may hold other files too: a schema, a list of tools.
    const set = await loadPromptSet(path).catch(() => null);
    if (set?.sha256 === sha256) return set;
  }
  const named = join("prompts", `${name}.json`);
  if (shipped.includes(named)) return await loadPromptSet(named);
  throw new UserError(`the prompt set ${name} of ${folder} was not found: give its file with --prompts`);
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter(({ name }) => name.endsWith(".json")).map(({ name }) => join(folder, name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/**
 * Writes the run's report again, so that it shows the checks and ratings that were just made. The scores are
 * written by then: a report that can't be written is a warning.
 */
export async function rewriteReport(folder: string): Promise<void> {
  const { reportRun, writeReports } = await import("../../lib/report/write.ts");
  try {
    if (await isFile(join(folder, "summary.json"))) await writeReports(folder);
    else await reportRun(folder);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(`! the scores are written, the report of ${folder} is not: ${error.message}`);
  }
}

/** The text of a sheet, in UTF-8, in UTF-16, or in Windows-1252 as Excel saves CSV, which is said. */
export async function readSheetText(path: string): Promise<string> {
  const { readTextFile } = await import("../../lib/text_file.ts");
  const { decodeData } = await import("../../lib/prompts/rows.ts");
  return await readTextFile(path, "the sheet", (bytes, name) => decodeData(bytes, name, console.error));
}
