/** Checks and ratings as tables of report.html and report.md, where the run has a quality.json. */
import type { Summary } from "../bench/summary_schema.ts";
import { type Content, type Markup, markup } from "../markup.ts";
import type { AnswerQuality, CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import { counted, intervalOf, missing, percent, plain, scoreText } from "./format.ts";
import { subline, tableMarkup } from "./page_parts.ts";
import { boundsText, statesText, variationText, voteTexts, withNote } from "./quality_text.ts";
import { nameOf } from "./tables.ts";
import type { TextColumn } from "./terminal_layout.ts";

/** The table of report.md. */
export const qualityColumns: readonly TextColumn<CandidateQuality>[] = [
  ["Candidate", ({ id }) => id],
  ["Prompts passed", ({ pass_rate: { rate, ci95 } }) => withNote(percent(rate), intervalOf(ci95, percent))],
  ["n", ({ pass_rate }) => String(pass_rate.n)],
  ["Score of the checks", ({ score }) => scoreText(score.mean, score.ci95)],
  ["Answers", (one) => withNote(statesText(one), boundsText(one))],
  [
    "Ratings, 1–5",
    ({ ratings }) =>
      ratings.map(({ overall, source, rubric }) =>
        `${plain(overall.mean)} by ${source === "judge" ? "a judge" : "people"} (${rubric})`
      ).join(", ") || missing,
  ],
];

/** One row per candidate: prompts passed, score of the checks, ratings by people and by a judge. */
export function qualityTable(summary: Summary, quality: QualityReport): Content {
  const rows = summary.candidates.map(({ id }) => ({
    id,
    scored: quality.candidates.find((one) => one.id === id),
  }));
  const figure = (of: (scored: CandidateQuality) => Content) => ({ scored }: typeof rows[number]) =>
    scored === undefined ? missing : of(scored);
  const table = tableMarkup("Quality: deterministic checks and ratings", rows, [
    ["Candidate", ({ id }) => nameOf(summary, id)],
    [
      "Prompts passed",
      figure(({ pass_rate: { rate, ci95, n } }) => [
        percent(rate),
        subline([intervalOf(ci95, percent), `n = ${n}`].filter((text) => text !== "").join(", ")),
      ]),
    ],
    [
      "Score of the checks",
      figure(({ score }) => [scoreText(score.mean), subline(intervalOf(score.ci95, scoreText))]),
    ],
    ["Answers", figure((one) => [statesText(one), subline(boundsText(one))]), "text"],
    ["Rated by people, 1–5", figure((one) => ratingsBy("person", one))],
    ["Rated by a judge, 1–5", figure((one) => ratingsBy("judge", one))],
  ], ({ scored }) => scored === undefined ? "not scored" : null);
  const notes = [...quality.candidates.flatMap(variationText), ...voteTexts(quality.votes)].map((text) =>
    markup`<p class="note">${text.replaceAll("`", "")}</p>`
  );
  return [table, notes];
}

function ratingsBy(source: "person" | "judge", { ratings }: CandidateQuality): Content {
  const own = ratings.filter((one) => one.source === source);
  return own.length === 0
    ? missing
    : own.map(({ overall, rubric, answers, raters }) =>
      markup`<div>${plain(overall.mean)}${
        subline(`${rubric}, ${counted(answers, "answer")}, ${counted(raters.length, "rater")}`)
      }</div>`
    );
}

/** The score of one answer and the checks that it failed. */
export function verdictOn({ passed, score, checks }: AnswerQuality): Markup {
  const failed = checks.filter((check) => !check.passed).map(({ name, detail }) => `${name} (${detail})`);
  return markup`<p class="note">Checks: ${passed ? "passed" : "not passed"}, score ${plain(score)}${
    failed.length > 0 && ` · failed: ${failed.join("; ")}`
  }</p>`;
}
