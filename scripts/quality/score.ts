/** Scores recorded answers, writes quality.json and answers.csv, and shows the result. */
import { join } from "node:path";
import Table from "cli-table3";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import { formatAnswers, readRecordedAnswers, writeRunFile } from "../../lib/quality/recorded_answers.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import type { CandidateQuality, QualityReport } from "../../lib/quality/quality_schema.ts";
import { readRatings } from "../../lib/quality/ratings.ts";
import { rewriteReport } from "./run_folder.ts";

/** @returns the report, null where neither a check nor a rating scores anything, and how to show it */
export async function scoreRun(
  folder: string,
  set: PromptSet,
  passMark: number,
): Promise<{ report: QualityReport | null; show: () => void }> {
  const scorable = set.prompts.some(({ checks }) => checks.length > 0) ||
    (await readRatings(folder)).length > 0;
  const report = scorable ? await writeQuality(folder, set, { passMark }) : null;
  const csv = join(folder, "answers.csv");
  await writeRunFile(csv, formatAnswers(await readRecordedAnswers(folder), report));
  await rewriteReport(folder);
  const show = () => {
    if (report) showQuality(report);
    else {console.log(
        `${set.name} has no checks: the answers are kept, and people can rate them (quality annotate)`,
      );}
    console.log(`\nAnswers: ${csv}`);
    if (report) console.log(`Quality: ${join(folder, "quality.json")}`);
  };
  return { report, show };
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const interval = (ci95: readonly [number, number] | null, text: (value: number) => string) =>
  ci95 ? ` (${text(ci95[0])} to ${text(ci95[1])})` : "";

function rateText({ passed, n, rate, ci95 }: CandidateQuality["pass_rate"]): string {
  if (rate === null) return "—";
  const count = Number.isInteger(passed) ? passed : passed.toFixed(1);
  return `${count} of ${n}: ${percent(rate)}${interval(ci95, percent)}`;
}

function scoreText({ mean, ci95 }: CandidateQuality["score"]): string {
  return mean === null ? "—" : `${mean.toFixed(2)}${interval(ci95, (value) => value.toFixed(2))}`;
}

/** As in "7 right, 2 wrong, 1 cut": every state that occurs. */
function statesText(states: CandidateQuality["states"]): string {
  return Object.entries(states).filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state.replace("_", " ")}`).join(", ");
}

function table(head: string[], rows: string[][]): string {
  const made = new Table({ head, style: { head: [], border: [] } });
  made.push(...rows);
  return made.toString();
}

function showQuality({ candidates, pass_mark, agreement, warnings, length_source }: QualityReport): void {
  console.log(
    `Prompts passed (a score of at least ${pass_mark}), and the mean score; 95 % intervals over prompts.\n`,
  );
  console.log(table(
    ["candidate", "passed", "score", "answers"],
    candidates.map((one) => [one.id, rateText(one.pass_rate), scoreText(one.score), statesText(one.states)]),
  ));
  const names = [...new Set(candidates.flatMap(({ checks }) => checks.map(({ name }) => name)))]
    .filter((name) =>
      candidates.some(({ checks }) => checks.some((one) => one.name === name && one.prompts > 1))
    );
  console.log("\nBy check, prompts passed (checks of a single prompt are in quality.json):\n");
  console.log(table(
    ["check", ...candidates.map(({ id }) => id)],
    names.map((name) => [
      name,
      ...candidates.map(({ checks }) => {
        const found = checks.find((one) => one.name === name);
        return found ? rateText(found.pass_rate) : "—";
      }),
    ]),
  ));
  const estimate = length_source === "usage" ? "" : " (lengths estimated from characters)";
  console.log(`\nBy length of the prompt in tokens${estimate}:\n`);
  console.log(table(
    ["tokens", ...candidates.map(({ id }) => id)],
    lengthRows(candidates),
  ));
  for (const { id, ratings } of candidates) {
    for (const { source, rubric, answers, dimensions, raters } of ratings) {
      const means = Object.entries(dimensions).map(([name, mean]) => `${name} ${scoreText(mean)}`).join(", ");
      console.log(
        `\n${id}, rated by ${source} (${rubric}, ${raters.length} raters, ${answers} answers): ${means}`,
      );
    }
  }
  for (const { rubric, dimension, alpha, units, raters, reason } of agreement) {
    const text = alpha === null
      ? reason
      : `alpha ${alpha.toFixed(2)} over ${units} answers, ${raters} raters`;
    console.log(`Agreement on ${dimension} (${rubric}): ${text}`);
  }
  for (const { message, remedy } of warnings) console.log(`\n! ${message}\n  ${remedy}`);
}

function lengthRows(candidates: readonly CandidateQuality[]): string[][] {
  const bounds = [
    ...new Set(candidates.flatMap(({ by_length }) => by_length.map(({ from_tokens }) => from_tokens))),
  ]
    .sort((a, b) => a - b);
  return bounds.map((from) => {
    const cells = candidates.map(({ by_length }) => by_length.find((one) => one.from_tokens === from));
    const to = cells.find((one) => one !== undefined)?.to_tokens ?? null;
    return [
      to === null ? `${from} and more` : `${from} to ${to - 1}`,
      ...cells.map((one) => one ? `${rateText(one.pass_rate)}; score ${scoreText(one.score)}` : "—"),
    ];
  });
}
