/**
 * deno task quality new: from a table of cases to a job file. It reads the columns, asks questions in a terminal,
 * shows cases as they will be sent, and says what that number of cases can show.
 */
import { basename, dirname, extname, join, relative } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { casesForDifference, smallestDifference } from "../../lib/stats/share_planning.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { commaList, option, pathValue, type Shared, shared } from "../options.ts";
import { expectedText } from "../../lib/prompts/expected.ts";
import type { Prompt, PromptSet } from "../../lib/prompts/prompts.ts";
import type { CaseTable } from "../../lib/prompts/rows.ts";
import {
  type ColumnFacts,
  columnFacts,
  guessJob,
  type JobChoice,
  jobFile,
  NEW_TASKS,
} from "../../lib/prompts/suggest_job.ts";

interface NewOptions extends JobChoice, Shared<"json"> {
  readonly template?: string;
  readonly out?: string;
  readonly force?: boolean;
  readonly yes?: boolean;
}

const command = bareCommand(
  "quality new",
  "Make a job file from a table of cases: look at its columns, ask, and show three cases",
)
  .argument("<file>", "table of cases (.csv, .tsv, .jsonl, .json) or folder of text files")
  .addOptions([
    option("--task <task>", "what the model is to do (default: guessed)", NEW_TASKS),
    option("--text <column>", "column that is sent (default: guessed)"),
    option(
      "--expected <columns>",
      "column, or for extract columns, of what is expected (default: guessed)",
      commaList,
    ),
    option("--id <column>", "column that names each case (default: guessed)"),
    option("--template <text>", "what is sent, as in 'Classify: {{text}}' (default: by the task)"),
    option("--system <text>", "system message"),
    option("--labels <list>", "labels (default: those in the column)", commaList),
    option("--out <file>", "job file to write (default: beside the table)", pathValue),
    option("--force", "replace a job file that exists"),
    option("--yes", "ask nothing"),
    ...shared("json"),
  ]);

/** A share of the cases that two models of similar quality often disagree on; only a run shows the true one. */
const DISAGREEING = 0.3;

export const newJob = subcommand(command, async (file: string, options: NewOptions) => {
  const { openTable } = await import("../../lib/prompts/prompts.ts");
  const note = (line: string) => console.error(line);
  const table = await openTable(file, note);
  const columns = columnFacts(table);
  for (const name of [options.text, options.id, ...options.expected ?? []]) {
    if (name !== undefined && !table.columns.includes(name)) throw unknownColumn(name, table);
  }
  if (!options.json) {
    console.log(`${file}: ${table.rows.length} rows\n${columns.map(columnText).join("\n")}\n`);
  }
  const asks = !options.yes && !options.json && Deno.stdin.isTerminal();
  const choice = asked({ ...options, prompt: options.template }, columns, asks);
  const path = options.out ?? defaultPath(file);
  if (!options.force && await exists(path)) {
    throw new UserError(`${path} exists: give --out FILE for another name, or --force to replace it`);
  }
  const name = basename(path).replace(/(?:\.job)?\.\w+$/, "");
  const cases = relative(dirname(path), file).replaceAll("\\", "/");
  const job = jobFile(cases, name, columns, choice);
  const set = await written(path, job, note);
  if (options.json) printJson({ path, job, cases: set.prompts.length, ...powerOf(set.prompts.length) });
  else console.log(shownJob(set, path));
  return 0;
});

function unknownColumn(name: string, { source, columns }: CaseTable): UserError {
  return new UserError(`${source} has no column "${name}": its columns are ${columns.join(", ")}`);
}

function defaultPath(file: string): string {
  const plain = join(dirname(file), basename(file, extname(file)));
  return extname(file).toLowerCase() === ".json" ? `${plain}.job.json` : `${plain}.json`;
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

/** `label   4 values: billing 11, bug 11 …`. */
function columnText({ name, distinct, filled, meanChars, values, kind }: ColumnFacts): string {
  const what = values === null
    ? `${distinct} different ${
      kind === "text" ? "texts" : kind === "json" ? "JSON values" : `${kind}s`
    }, about ${Math.round(meanChars)} characters`
    : `${distinct} values: ${values.slice(0, 6).map(([value, count]) => `${value} ${count}`).join(", ")}${
      values.length > 6 ? " …" : ""
    }`;
  return `  ${name.padEnd(16)} ${what}${filled === 0 ? " (empty)" : ""}`;
}

/** The settings with a person's answers; Enter accepts a guess. */
function asked(given: JobChoice, columns: readonly ColumnFacts[], asks: boolean): JobChoice {
  if (!asks) return given;
  const guess = guessJob(columns, given);
  const ask = (question: string, answer: string) => prompt(question, answer)?.trim() || answer;
  const task = given.task ?? ask(`What is the model to do (${NEW_TASKS.join(", ")})?`, guess.task);
  if (!NEW_TASKS.some((one) => one === task)) {
    throw new UserError(`the task is "${task}": give one of ${NEW_TASKS.join(", ")}`);
  }
  const text = given.text ?? ask("Which column is sent?", guess.text ?? "");
  const next = guessJob(columns, { ...given, task, text });
  const expected = given.expected ??
    (task === "free"
      ? []
      : ask("Which column (or columns, with commas) says what is expected?", next.expected.join(",")).split(
        ",",
      ));
  const choice = {
    ...given,
    task,
    text,
    expected: expected.map((one) => one.trim()).filter((one) => one !== ""),
  };
  for (const name of [text, ...choice.expected]) {
    if (!columns.some((one) => one.name === name)) {
      throw new UserError(
        `there is no column "${name}": give one of ${columns.map((one) => one.name).join(", ")}`,
      );
    }
  }
  const usual = jobFile("", "", columns, choice)["prompt"];
  const sent = given.prompt ??
    ask("What is sent (\\n is a new line)?", String(usual).replaceAll("\n", "\\n"));
  return { ...choice, prompt: sent.replaceAll("\\n", "\n") };
}

/**
 * Writes the job and reads it as a run will. Rows with faults are left out by the job, and named.
 *
 * @throws {UserError} where it still can't be read: the file is then unchanged
 */
async function written(
  path: string,
  job: Record<string, unknown>,
  note: (line: string) => void,
): Promise<PromptSet> {
  const { loadPromptSet } = await import("../../lib/prompts/prompts.ts");
  const before = await Deno.readTextFile(path).catch(() => null);
  const write = (whole: Record<string, unknown>) =>
    Deno.writeTextFile(path, `${JSON.stringify(whole, null, 2)}\n`);
  try {
    await write(job);
    return await loadPromptSet(path).catch(async (error) => {
      if (!(error instanceof UserError)) throw error;
      await write({ ...job, faulty_rows: "skip" });
      return await loadPromptSet(path, { note: (line) => note(`${line}\n`) });
    });
  } catch (error) {
    // A job that was there comes back.
    await (before === null ? Deno.remove(path) : Deno.writeTextFile(path, before)).catch(() => {});
    throw error;
  }
}

/** What that number of cases shows, and how many show less. */
function powerOf(cases: number) {
  const shows = smallestDifference(cases, DISAGREEING);
  const takes = [0.2, 0.1, 0.05].map((difference) => ({
    difference,
    cases: casesForDifference(difference, DISAGREEING),
  }));
  return { shows_difference: shows, cases_for: takes };
}

function shownJob({ prompts, labels }: PromptSet, path: string): string {
  const some = [prompts[0], prompts[Math.floor(prompts.length / 2)], prompts.at(-1)];
  const three = [...new Set(some)].flatMap((one) => one === undefined ? [] : [caseText(one)]);
  const { shows_difference, cases_for } = powerOf(prompts.length);
  const majority = Math.max(
    ...Map.groupBy(prompts, ({ label }) => label).values().map(({ length }) => length),
  );
  const points = (share: number) => `${Math.round(100 * share)} points`;
  return [
    ...three,
    ...(prompts.every(({ checks }) => checks.length === 0)
      ? [
        `${prompts.length} cases. Nothing says which answer is right, so that answers are collected and not scored:`,
        "--task and --expected name what they are compared with (as in --task classify --expected label);",
        "without them, people can rate the answers.",
      ]
      : [
        `${prompts.length} cases. Two models that disagree on ${Math.round(100 * DISAGREEING)} % of them ${
          shows_difference === null
            ? "can't be told apart by so few"
            : `can be told apart if their shares of right answers differ by ${
              points(shows_difference)
            } or more`
        }.`,
        `It takes ${
          cases_for.map(({ difference, cases }) => `${cases} cases for ${points(difference)}`).join(", ")
        }.`,
      ]),
    ...(labels.length === 0 ? [] : [
      `Always giving the most frequent label would be right in ${
        Math.round(100 * majority / prompts.length)
      } %.`,
    ]),
    "",
    `Wrote ${path}. Read it, then:`,
    `  deno task quality capture --prompts ${path}`,
  ].join("\n");
}

/** A case as it is sent, and what is expected. */
function caseText({ id, messages, checks, reference }: Prompt): string {
  const right = expectedText(checks);
  const expected = right !== null ? `, expected: ${right}` : reference === null ? "" : ", with a reference";
  const said = messages.map(({ role, content }) => {
    const lines = content.length > 600 ? `${content.slice(0, 599)}…` : content;
    return `${messages.length > 1 ? `${role}: ` : ""}${lines}`.replaceAll(/^/gm, "  | ");
  });
  return `Case ${id}${expected}\n${said.join("\n")}\n`;
}
