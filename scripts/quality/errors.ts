/** deno task quality errors: the cases where candidates differ or fail, grouped by state and check. */
import { UserError } from "../../lib/errors.ts";
import type { ErrorGroup, FailedAnswer } from "../../lib/quality/error_cases.ts";
import { counted } from "../../lib/report/format.ts";
import { type Painter, painter, wrap } from "../../lib/report/terminal_layout.ts";
import { terminalLine, terminalText } from "../../lib/terminal_text.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { option, RUN_ARGUMENT, type Shared, shared, wholeNumber } from "../options.ts";
import { runFolder } from "./run_folder.ts";

interface ErrorOptions extends Shared<"out" | "json"> {
  readonly candidate?: string;
  readonly state?: string;
  readonly check?: string;
  readonly differing?: boolean;
  readonly show: number;
}

const command = bareCommand(
  "quality errors",
  "Show the answers that are not right, grouped by state and check, beside what was expected",
)
  .argument("[run]", RUN_ARGUMENT)
  .addOptions([
    option("--candidate <name>", "only this candidate, by the start of its name"),
    option(
      "--state <state>",
      "only answers in this state",
      "wrong cut off_format no_answer unsupported failed".split(" "),
    ),
    option("--check <name>", "only answers that fail by this check"),
    option("--differing", "only cases that another answer got right"),
    option("--show <n>", "answers shown per group", wholeNumber(1, 100_000), 5),
    ...shared("out", "json"),
  ]);

export const errors = subcommand(command, async (run: string | undefined, options: ErrorOptions) => {
  const folder = await runFolder(run, options.out);
  const { readQuality } = await import("../../lib/select/decide/facts.ts");
  const { readRecordedAnswers } = await import("../../lib/quality/recorded_answers.ts");
  const { errorCases } = await import("../../lib/quality/error_cases.ts");
  const quality = await readQuality(folder);
  if (quality === null) {
    throw new UserError(
      `the answers of ${folder} are not scored: its cases have no checks, or they were not run. Say in the job what ` +
        `is "expected" (or give "checks"), then run deno task quality check ${folder} --prompts JOB; without ` +
        "--prompts it runs the checks that the run has",
    );
  }
  const { answers } = await readRecordedAnswers(folder);
  const texts = new Map([...answers].map(([id, { content }]) => [id, content]));
  const found = errorCases(quality, texts);
  const groups = found.groups.map((group) => filtered(group, options)).filter(({ answers }) =>
    answers.length > 0
  );
  if (options.json) {
    printJson({ ...found, groups });
    return 0;
  }
  const states = Object.entries(found.states).map(([state, n]) => `${n} ${state.replaceAll("_", " ")}`).join(
    ", ",
  );
  console.log(
    `${quality.answers.length} answers to ${counted(found.cases, "case")}: ${states}. In ` +
      `${counted(found.differing.length, "case")} some answers are right and others are not (≠).`,
  );
  const paint = painter(Deno.stdout.isTerminal() && !Deno.noColor);
  if (groups.length === 0 && found.groups.length > 0) {
    console.log("\nNone of them matches --candidate, --state, --check and --differing.");
  }
  for (const group of groups) showGroup(group, quality.expected ?? {}, options.show, paint);
  return 0;
});

function filtered(group: ErrorGroup, { candidate = "", state, check, differing }: ErrorOptions): ErrorGroup {
  const fits = (state === undefined || group.state === state) &&
    (check === undefined || group.check === check);
  const answers = fits
    ? group.answers.filter((one) => one.candidate.startsWith(candidate) && (!differing || one.differs))
    : [];
  return { ...group, answers };
}

function showGroup(
  { state, check, answers }: ErrorGroup,
  expected: Readonly<Record<string, string>>,
  most: number,
  paint: Painter,
): void {
  const title = [state.replaceAll("_", " "), ...(check === null ? [] : [check])].join(" · ");
  console.log(
    `\n${paint.bold(terminalLine(title))}: ${counted(answers.length, "answer")}`,
  );
  for (const one of answers.slice(0, most)) showAnswer(one, expected[one.case_id], paint);
  if (answers.length > most) {
    console.log(paint.dim(`  and ${answers.length - most} more: --show ${answers.length}`));
  }
}

const WIDTH = 100;
const MOST_LINES = 6;

function showAnswer(answer: FailedAnswer, expected: string | undefined, paint: Painter): void {
  const repeats = answer.count === 1 ? "" : ` ×${answer.count}`;
  console.log(
    `  ${answer.differs ? "≠" : " "} ${paint.bold(terminalLine(answer.case_id))} ` +
      `${terminalLine(answer.candidate)}${repeats}`,
  );
  print("", answer.detail);
  const lines = answer.diff?.some(({ text }) => text.includes("\n"))
    ? answer.diff.flatMap(({ kind, text }) =>
      text.replace(/\n$/, "").split("\n").map((line) =>
        `${{ same: " ", missing: "-", extra: "+" }[kind]} ${line}`
      )
    )
    : null;
  if (lines !== null) {
    for (const line of lines.slice(0, 4 * MOST_LINES)) {
      const text = `      ${terminalText(line)}`;
      console.log(
        line.startsWith("-") ? paint.yellow(text) : line.startsWith("+") ? paint.red(text) : paint.dim(text),
      );
    }
    return;
  }
  if (expected !== undefined) print("expected  ", expected);
  if (answer.text !== null) print("answer    ", answer.text);

  function print(label: string, text: string): void {
    const full = terminalText(text.trim()).split("\n").filter((line) => line.trim() !== "");
    const wrapped = full.flatMap((line) => {
      const indent = " ".repeat(Math.min(20, line.search(/\S/)));
      return wrap(line.trim(), WIDTH - 6 - label.length - indent.length).map((one) => indent + one);
    });
    for (const [at, line] of wrapped.slice(0, MOST_LINES).entries()) {
      console.log(`      ${at === 0 ? paint.dim(label) : " ".repeat(label.length)}${line}`);
    }
    if (wrapped.length > MOST_LINES) console.log(paint.dim(`      ${" ".repeat(label.length)}…`));
  }
}
