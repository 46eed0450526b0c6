/** Checks and ratings, where the run has a quality.json. */
import type { Summary } from "../bench/summary_schema.ts";
import type { AnswerQuality, CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import { counted, intervalOf, missing, plain, scoreText } from "./format.ts";
import { type Content, type Markup, markup } from "../markup.ts";
import { subline, tableMarkup } from "./page_parts.ts";
import { nameOf } from "./tables.ts";
import type { TextColumn } from "./terminal_layout.ts";

const percent = (value: number | null) => value === null ? missing : `${plain(value * 100)} %`;
const withNote = (text: string, note: string) => note === "" ? text : `${text} (${note})`;
/** `38.8–62.6 %`; empty where there is no interval. */
const percents = (interval: readonly [number, number] | null) =>
  interval === null ? "" : `${plain(interval[0] * 100)}–${percent(interval[1])}`;

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
    const interval = one.pass_rate.ci95 === null ? "" : ` (${percents(one.pass_rate.ci95)})`;
    return `\`${one.id}\` ${percent(one.pass_rate.rate)} of ${counted(one.pass_rate.n, "prompt")}${interval}`;
  });
  const states = quality.candidates.filter(({ pass_rate }) => pass_rate.n > 0).map((one) =>
    `\`${one.id}\` ${withNote(statesText(one), boundsText(one))}`
  );
  const rated = quality.candidates.flatMap((one) =>
    one.ratings.map((rating) =>
      `\`${one.id}\` ${plain(rating.overall.mean)} of 5 by ${
        rating.source === "judge" ? "a judge model" : "people"
      } ` +
      `(${counted(rating.answers, "answer")})`
    )
  );
  return [
    ...(checked.length === 0 ? [] : [
      `Prompts whose answers pass their checks: ${checked.join(", ")}.`,
      `Answers: ${states.join("; ")}.`,
    ]),
    ...(rated.length === 0 ? [] : [`Ratings: ${rated.join(", ")}.`]),
    ...quality.candidates.flatMap(variationText),
    ...voteTexts(quality.votes),
  ];
}

/** How much the answers of a candidate vary between repeats of the same case; nothing where none was repeated. */
export function variationText({ id, variation }: CandidateQuality): string[] {
  if (variation === undefined) return [];
  const { cases, same_text, sometimes_right, texts } = variation;
  return [
    `\`${id}\` was asked ${
      counted(cases, "case")
    } several times: ${same_text} got the same text every time ` +
    `(${plain(texts)} different texts on average), and ${sometimes_right} ${
      sometimes_right === 1 ? "was" : "were"
    } right only sometimes.`,
  ];
}

/** The result of people's votes: each pair, and all together. */
export function voteTexts(votes: QualityReport["votes"]): string[] {
  if (votes === undefined) return [];
  const pairs = votes.pairs.map(({ candidates, cases, share, interval: [low, high], decided }) => {
    const turned = (share ?? 0.5) < 0.5;
    const [better, other] = turned ? candidates.toReversed() : candidates;
    const shown = percent(turned ? 1 - (share ?? 0.5) : share);
    const bounds = percents(turned ? [1 - high, 1 - low] : [low, high]);
    const end = decided === null ? "not decided yet" : decided === "tie" ? "decided: a tie" : "decided";
    return `\`${better}\` is preferred to \`${other}\` in ${shown} of ${
      counted(cases, "case")
    } (${bounds}, at any time): ${end}`;
  });
  const strengths = votes.strengths.map(({ id, share, ci95 }) =>
    `\`${id}\` ${percent(share)} (${percents(ci95)})`
  );
  return [
    `${counted(votes.votes, "vote")} by ${counted(votes.raters.length, "person", "people")}: ${
      pairs.join("; ")
    }.`,
    ...(strengths.length < 3 ? [] : [
      `Bradley–Terry, how often a candidate would be preferred to another one: ${strengths.join(", ")}.`,
    ]),
  ];
}

/** `12 right, 3 wrong, 2 cut`. */
export function statesText({ states }: CandidateQuality): string {
  return Object.entries(states).filter(([, n]) => n > 0)
    .map(([state, n]) => `${n} ${state.replace("_", " ")}`).join(", ");
}

/** `71–82 % right`: the share depends on the answers that can't be judged; empty where there are none. */
function boundsText({ right_bounds: bounds }: CandidateQuality): string {
  return bounds === null || bounds[0] === bounds[1] ? "" : `${percents(bounds)} right`;
}

/** The table of report.md. */
export const qualityColumns: readonly TextColumn<CandidateQuality>[] = [
  ["Candidate", ({ id }) => id],
  ["Prompts passed", ({ pass_rate: { rate, ci95 } }) => withNote(percent(rate), percents(ci95))],
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
        subline([percents(ci95), `n = ${n}`].filter((text) => text !== "").join(", ")),
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
