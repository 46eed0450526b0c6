/** Checks and ratings in words. */
import type { CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import { counted, intervalOf, percent, plain } from "./format.ts";

/**
 * Quality in sentences: the share of prompts whose answers passed their checks, with
 * interval and n, and the ratings.
 *
 * ```ts ignore
 * for (const text of qualityTexts(quality)) console.log(text);
 * ```
 */
export function qualityTexts(quality: QualityReport): string[] {
  const checked = quality.candidates.filter((one) => one.pass_rate.n > 0).map((one) => {
    const { rate, n, ci95 } = one.pass_rate;
    return withNote(`\`${one.id}\` ${percent(rate)} of ${counted(n, "prompt")}`, intervalOf(ci95, percent));
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
    const bounds = intervalOf(turned ? [1 - high, 1 - low] : [low, high], percent);
    const end = decided === null ? "not decided yet" : decided === "tie" ? "decided: a tie" : "decided";
    return `\`${better}\` is preferred to \`${other}\` in ${shown} of ${
      counted(cases, "case")
    } (${bounds}, at any time): ${end}`;
  });
  const strengths = votes.strengths.map(({ id, share, ci95 }) =>
    `\`${id}\` ${percent(share)} (${intervalOf(ci95, percent)})`
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
export function boundsText({ right_bounds: bounds }: CandidateQuality): string {
  return bounds === null || bounds[0] === bounds[1] ? "" : `${intervalOf(bounds, percent)} right`;
}

/** `85 % (61–100 %)`; the text alone without a note. */
export const withNote = (text: string, note: string) => note === "" ? text : `${text} (${note})`;
