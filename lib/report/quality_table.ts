/** Checks and ratings, where the run has a quality.json. */
import type { Summary } from "../bench/summary_schema.ts";
import type { AnswerQuality, CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import { counted, intervalOf, missing, plain } from "./format.ts";
import { type Markup, markup } from "./markup.ts";
import { breakable, scrollTable, subline, swatch } from "./tables.ts";

const percent = (value: number | null) => value === null ? missing : `${plain(value * 100)} %`;

/**
 * Quality in sentences: the share of prompts whose answers passed their checks, with interval and n, and the ratings.
 *
 * @example
 * ```ts ignore
 * for (const text of qualityTexts(quality)) console.log(text);
 * ```
 */
export function qualityTexts(quality: QualityReport): string[] {
  const checked = quality.candidates.filter((one) => one.pass_rate.n > 0).map((one) => {
    const interval = one.pass_rate.ci95 === null ? "" : ` (${intervalOf(one.pass_rate.ci95, percent)})`;
    return `\`${one.id}\` ${percent(one.pass_rate.rate)} of ${counted(one.pass_rate.n, "prompt")}${interval}`;
  });
  const rated = quality.candidates.flatMap((one) =>
    one.ratings.map((rating) =>
      `\`${one.id}\` ${plain(rating.overall.mean)} of 5 by ${
        rating.source === "judge" ? "a judge model" : "people"
      } ` +
      `(${counted(rating.answers, "answer")})`
    )
  );
  return [
    ...(checked.length === 0 ? [] : [`Prompts whose answers pass their checks: ${checked.join(", ")}.`]),
    ...(rated.length === 0 ? [] : [`Ratings: ${rated.join(", ")}.`]),
  ];
}

/** One row per candidate: prompts passed, score of the checks, ratings by people and by a judge. */
export function qualityTable(summary: Summary, quality: QualityReport): Markup {
  const head = [
    "Candidate",
    "Prompts passed",
    "Score of the checks",
    "Rated by people, 1–5",
    "Rated by a judge, 1–5",
  ];
  const rows = summary.candidates.map(({ id }, index) => {
    const one = quality.candidates.find((candidate) => candidate.id === id);
    const name = markup`<th scope="row">${swatch(index)}${breakable(id)}</th>`;
    if (one === undefined) {
      return markup`<tr>${name}<td class="text" colspan="${head.length - 1}">not scored</td></tr>`;
    }
    return markup`<tr>${name}<td>${percent(one.pass_rate.rate)}${
      subline(
        [intervalOf(one.pass_rate.ci95, percent), `n = ${one.pass_rate.n}`].filter((text) => text !== "")
          .join(", "),
      )
    }</td><td>${plain(one.score.mean)}${subline(intervalOf(one.score.ci95, plain))}</td>${
      ratingCell(one, "person")
    }${ratingCell(one, "judge")}</tr>`;
  });
  return scrollTable("Quality: deterministic checks and ratings", head, rows);
}

function ratingCell(candidate: CandidateQuality, source: "person" | "judge"): Markup {
  const ratings = candidate.ratings.filter((one) => one.source === source);
  if (ratings.length === 0) return markup`<td>${missing}</td>`;
  return markup`<td>${
    ratings.map((one) =>
      markup`<div>${plain(one.overall.mean)}${
        subline(`${one.rubric}, ${counted(one.answers, "answer")}, ${counted(one.raters.length, "rater")}`)
      }</div>`
    )
  }</td>`;
}

/** The score of one answer and the checks that it failed; null where it was not scored. */
export function verdictOn(answerId: string, scored: ReadonlyMap<string, AnswerQuality>): Markup | null {
  const one = scored.get(answerId);
  if (one === undefined) return null;
  const failed = one.checks.filter((check) => !check.passed);
  return markup`<p class="note">Checks: ${one.passed ? "passed" : "not passed"}, score ${plain(one.score)}${
    failed.length > 0 && ` · failed: ${failed.map((check) => `${check.name} (${check.detail})`).join("; ")}`
  }</p>`;
}
