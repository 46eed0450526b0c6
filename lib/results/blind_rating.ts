/** Answers that people rate without knowing the models behind them, and the result of their ratings. */
import { UserError } from "../errors.ts";
import { ratingsOf } from "../quality/import.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { agreements, type RatingRecord } from "../quality/ratings.ts";
import { highestScore, lowestScore } from "../quality/rubric.ts";
import type { Sheet } from "../quality/sheet.ts";
import { Result, TableView, TextView, type View } from "./view.ts";

/** Answers to rate by hand, in random order, without the names of their models. */
export class BlindSheet extends Result {
  readonly #sheet: Sheet;
  readonly #quality: QualityReport;

  /** Made by `ScoredRun.blindSheet`. */
  constructor(sheet: Sheet, report: QualityReport) {
    super();
    this.#sheet = sheet;
    this.#quality = report;
  }

  /** What it shows: the answers, numbered. */
  override main(): View {
    return this.#table();
  }

  #table(): TableView {
    return new TableView(
      this.#sheet.items.map(({ aspects, answer }, at) => ({ "no.": at + 1, "must cover": aspects, answer })),
      `${this.#sheet.items.length} answers in random order. Two models that wrote the same text share a row.`,
    );
  }

  /**
   * Takes the scores of several raters, each a list in the order of the sheet.
   *
   * @param scores whole numbers from 1 to 5 by rater, for example `{ you: [2, 1, 3, 1] }`; scores beyond the sheet
   * are ignored
   * @throws {UserError} for a score that is not a whole number from 1 to 5, and for too few scores
   */
  rate(scores: Readonly<Record<string, readonly number[]>>): BlindRatings {
    const { items } = this.#sheet;
    const used = Object.fromEntries(
      Object.entries(scores).map(([rater, all]) => [rater, all.slice(0, items.length)]),
    );
    for (const [rater, given] of Object.entries(used)) assertScores(rater, given, items.length);
    return new BlindRatings(this.#sheet, this.#quality, used);
  }
}

function assertScores(rater: string, scores: readonly number[], needed: number): void {
  const wrong = scores.find((one) => !Number.isInteger(one) || one < lowestScore || one > highestScore);
  if (wrong !== undefined) {
    throw new UserError(
      `a score of ${rater} is ${wrong}: give whole numbers from ${lowestScore} to ${highestScore}`,
    );
  }
  if (scores.length < needed) {
    throw new UserError(`${rater} gave ${scores.length} scores for ${needed} answers: give one per answer`);
  }
}

/** Scores that people gave blind; it shows their agreement. */
export class BlindRatings extends Result {
  readonly #sheet: Sheet;
  readonly #quality: QualityReport;

  /** Made by `BlindSheet.rate`. */
  constructor(
    sheet: Sheet,
    report: QualityReport,
    readonly scores: Readonly<Record<string, readonly number[]>>,
  ) {
    super();
    this.#sheet = sheet;
    this.#quality = report;
  }

  /** What it shows: `agreement()`. */
  override main(): View {
    return this.agreement();
  }

  /** Krippendorff's alpha over the raters: 1 is perfect agreement, 0 is chance. */
  agreement(): TextView {
    const [found] = agreements(
      Object.entries(this.scores).flatMap(([rater, scores]) => this.#ratings(rater, scores)),
    );
    return new TextView(
      found?.alpha === null || found === undefined
        ? `There is no agreement to compute: ${found?.reason ?? "nothing was rated"}.`
        : `Krippendorff's alpha is **${
          found.alpha.toFixed(2)
        }** over ${found.units} answers. 1 is perfect, 0 is ` +
          "chance; he asks for 0.80 before you rely on it. Below that, ratings say more about the raters than the models.",
    );
  }

  /** The models behind the answers, next to each rater's score and the score of the checks. */
  reveal(): TableView {
    return new TableView(
      this.#sheet.items.map(({ item }, at) => {
        const behind = this.#sheet.key.items.find((one) => one.item === item)?.answers ?? [];
        const checked = this.#quality.answers.find(({ id }) => behind.some((answer) => answer.id === id));
        return {
          "no.": at + 1,
          model: behind.map(({ candidate }) => candidate).join(" and "),
          ...Object.fromEntries(
            Object.entries(this.scores).map(([rater, given]) => [rater, given[at] ?? null]),
          ),
          "check score": checked?.score.toFixed(2) ?? null,
        };
      }),
      "Checks score from 0 to 1, people from 1 to 5. For a whole run: deno task quality annotate RUN, then quality import.",
    );
  }

  #ratings(rater: string, scores: readonly number[]): RatingRecord[] {
    const marks = new Map(
      this.#sheet.items.map(({ item }, at) => [
        item,
        { scores: { correctness: scores[at] ?? lowestScore }, comment: "" },
      ]),
    );
    return ratingsOf({ key: { ...this.#sheet.key, annotator: rater }, marks });
  }
}
