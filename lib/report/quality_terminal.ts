/** The scores of a run on a terminal: every table fits its width. */
import type { CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import { fittedTable } from "./fitted_table.ts";
import { missing, scoreText } from "./format.ts";
import { statesText, variationText, voteTexts } from "./quality_text.ts";
import { confusionTables, rateText, type TaskTable, taskTables } from "./task_tables.ts";
import { indented, wrap } from "./terminal_layout.ts";

/**
 * Scores by candidate, by task, by check and by length of the prompt, ratings, agreement, and warnings.
 *
 * @param columns width of the terminal in characters; at least 60 is assumed
 *
 * ```ts ignore
 * console.log(qualityTerminal(report, 100));
 * ```
 */
export function qualityTerminal(report: QualityReport, columns: number): string {
  const width = Math.max(60, columns);
  const { candidates, pass_mark: mark } = report;
  const table = ({ caption, head, rows, note }: TaskTable) =>
    [
      wrap(caption, width).join("\n"),
      fittedTable(head, rows, width),
      ...(note === "" ? [] : [wrap(note, width).join("\n")]),
    ].join("\n");
  // Where answers are only right or wrong, the mean score equals the share of passed cases.
  const graded = candidates.some(({ pass_rate, score }) =>
    Math.abs((score.mean ?? 0) - (pass_rate.rate ?? 0)) > 1e-9
  );
  const parts = [
    table({
      caption: "Cases passed",
      head: ["Candidate", "Passed", ...(graded ? ["Mean score"] : []), "Answers"],
      rows: candidates.map((one) => [
        one.id,
        rateText(one.pass_rate),
        ...(graded ? [scoreText(one.score.mean, one.score.ci95)] : []),
        statesText(one),
      ]),
      note:
        `Passed: a score of at least ${mark}, and every required check. In brackets: 95 % interval over cases.`,
    }),
    ...taskTables(report).map(table),
    ...confusionTables(report).map(table),
    ...byCheck(candidates).map(table),
    ...byLength(report).map(table),
    ...ratings(report).flatMap((line) => wrap(line, width).join("\n")),
    ...report.warnings.map(({ message, remedy }) =>
      [...wrap(`! ${message}`, width), ...indented(remedy, width)].join("\n")
    ),
  ];
  return parts.join("\n\n");
}

/** Checks that several cases share; a task check alone says nothing that its own table doesn't. */
function byCheck(candidates: readonly CandidateQuality[]): TaskTable[] {
  const names = [
    ...new Set(
      candidates.flatMap(({ checks }) => checks.filter(({ prompts }) => prompts > 1).map(({ name }) => name)),
    ),
  ];
  const tasks = new Set(candidates.flatMap(({ tasks = [] }) => tasks.map(({ check }) => check)));
  if (names.every((name) => tasks.has(name))) return [];
  return [{
    caption: "By check",
    head: ["Check", ...candidates.map(({ id }) => id)],
    rows: names.map((name) => [
      name,
      ...candidates.map(({ checks }) => {
        const found = checks.find((one) => one.name === name);
        return found === undefined ? missing : rateText(found.pass_rate);
      }),
    ]),
    note: "Cases that passed it, of those that have it. Checks of a single case are in quality.json.",
  }];
}

function byLength({ candidates, length_source }: QualityReport): TaskTable[] {
  const bounds = [
    ...new Set(candidates.flatMap(({ by_length }) => by_length.map(({ from_tokens }) => from_tokens))),
  ].sort((a, b) => a - b);
  // One row says what the first table says.
  if (bounds.length < 2) return [];
  return [{
    caption: `By length of the prompt in tokens${
      length_source === "usage" ? "" : " (estimated from characters)"
    }`,
    head: ["Tokens", ...candidates.map(({ id }) => id)],
    rows: bounds.map((from) => {
      const cells = candidates.map(({ by_length }) => by_length.find((one) => one.from_tokens === from));
      const to = cells.find((one) => one !== undefined)?.to_tokens ?? null;
      return [
        to === null ? `${from} and more` : `${from} to ${to - 1}`,
        ...cells.map((one) => one === undefined ? missing : rateText(one.pass_rate)),
      ];
    }),
    note: "Cases passed. Scores by length are in quality.json.",
  }];
}

function ratings({ candidates, agreement, votes }: QualityReport): string[] {
  return [
    ...candidates.flatMap(variationText).map((text) => text.replaceAll("`", "")),
    ...candidates.flatMap(({ id, ratings }) =>
      ratings.map(({ source, rubric, answers, dimensions, raters }) => {
        const means = Object.entries(dimensions).map(([name, mean]) =>
          `${name} ${scoreText(mean.mean, mean.ci95)}`
        );
        return `${id}, rated by ${source} (${rubric}, ${raters.length} raters, ${answers} answers): ${
          means.join(", ")
        }`;
      })
    ),
    ...voteTexts(votes).map((text) => text.replaceAll("`", "")),
    ...agreement.map(({ rubric, dimension, alpha, units, raters, reason }) =>
      `Agreement on ${dimension} (${rubric}): ${
        alpha === null ? reason : `alpha ${alpha.toFixed(2)} over ${units} answers, ${raters} raters`
      }`
    ),
  ];
}
