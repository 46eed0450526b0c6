/** A run whose answers were scored, with its views: what `quality` returns. */
import type { AnswerRecord } from "../bench/records.ts";
import type { FinishedRun } from "../bench/session.ts";
import { UserError } from "../errors.ts";
import { ratePlot } from "../plot/rate.ts";
import { defaultPassMark } from "../quality/check.ts";
import { ratingsOf } from "../quality/import.ts";
import type { Trial } from "../quality/judge_trial.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { agreements, type RatingRecord } from "../quality/ratings.ts";
import { highestScore, lowestScore } from "../quality/rubric.ts";
import { makeSheet, type Sheet } from "../quality/sheet.ts";
import { type Audit, audit, type ScoredCase } from "../select/route/audit.ts";
import { scoredCases } from "../select/route/audit_data.ts";
import { DEFAULT_INTENTS, intentFinder } from "../select/route/intent.ts";
import { seededRandom } from "../stats/random.ts";
import type { Job } from "./job.ts";
import { interval, Run } from "./run.ts";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

const percent = (share: number | null | undefined) =>
  share === null || share === undefined ? null : `${Math.round(100 * share)} %`;

const percents = (ends: readonly [number, number] | null) => ends?.map(percent).join(" to ") ?? null;

/** What a scored run is made of. */
export interface ScoredParts {
  readonly run: FinishedRun;
  readonly job: Job;
  readonly report: QualityReport;
  readonly answers: readonly AnswerRecord[];
  /** Tries the first candidate as a judge; opens and closes it. */
  readonly tryJudge: (cases: number) => Promise<JudgeTrial>;
}

/**
 * A run whose answers were scored by the checks of its job; it shows the scores.
 *
 * ```ts ignore
 * const answers = await quality(null, { job: "meeting_notes" });
 * console.log(answers.scores());
 * ```
 */
export class ScoredRun extends Run {
  /** The job that was answered. */
  readonly job: Job;
  /** The document in quality.json: pass rates, scores, and every check of every answer. */
  readonly quality: QualityReport;
  readonly #answers: readonly AnswerRecord[];
  readonly #tryJudge: ScoredParts["tryJudge"];

  /** Made by `quality`. */
  constructor({ run, job, report, answers, tryJudge }: ScoredParts) {
    super(run);
    this.job = job;
    this.quality = report;
    this.#answers = answers;
    this.#tryJudge = tryJudge;
  }

  /** What it shows: `scores()`. */
  override main(): View {
    return this.scores();
  }

  /** Pass rate and mean score per model, with 95 % intervals over cases, and what became of the answers. */
  scores(): TableView {
    return new TableView(
      this.quality.candidates.map(({ id, pass_rate, score, states, right_bounds }) => ({
        model: id,
        "cases passed": `${pass_rate.passed} of ${pass_rate.n}`,
        "pass rate": percent(pass_rate.rate),
        "its 95 % interval": percents(pass_rate.ci95),
        "answers": Object.entries(states).filter(([, count]) => count > 0)
          .map(([state, count]) => `${count} ${state.replaceAll("_", " ")}`).join(", "),
        "right at least, at most": percents(right_bounds),
        "mean score": score.mean?.toFixed(2) ?? null,
        "interval of the score": interval(score.ci95, 2),
      })),
      "Pass rate: share of cases that reach the pass mark, with Wilson's interval. n counts cases: repeating one says " +
        "nothing about others. At least, at most: if every answer that was cut, failed or could not be judged were " +
        "wrong, or right.",
    );
  }

  /** Per check how many cases passed it, of those that have it. */
  checks(): TableView {
    const { candidates } = this.quality;
    return new TableView(
      (candidates[0]?.checks ?? []).map(({ name }) => ({
        check: name,
        ...Object.fromEntries(candidates.map(({ id, checks }) => {
          const rate = checks.find((check) => check.name === name)?.pass_rate;
          return [id, rate === undefined ? null : `${rate.passed} of ${rate.n} (${percents(rate.ci95)})`];
        })),
      })),
      "Per check: cases that passed it, of those that have it (95 % interval).",
    );
  }

  /** What each model answered to a case; without an id, to the first one. */
  answers(id?: string): TableView {
    const asked = this.job.case(id).id;
    return new TableView(
      this.candidates.map((model) => ({
        model,
        answer: this.#answers.find((one) => one.candidate === model && one.prompt_id === asked)?.content ??
          null,
      })),
      `The answers to "${asked}".`,
    );
  }

  /** The verdict of every check on the answers to a case, with its reason. */
  verdicts(id?: string): TableView {
    const asked = this.job.case(id).id;
    return new TableView(
      this.candidates.flatMap((model) =>
        (this.quality.answers.find((one) => one.candidate === model && one.prompt_id === asked)?.checks ?? [])
          .map(({ name, supported, passed, credit, detail }) => ({
            model,
            check: name,
            passed: !supported ? "can't tell" : passed ? "yes" : "no",
            credit: supported ? credit.toFixed(2) : null,
            why: detail,
          }))
      ),
      "Each verdict gives its reason, which you can verify in the answers.",
    );
  }

  /** The share of cases passed per model with its interval, against a floor from 0 to 1. */
  passed(floor: number | null = null): FigureView {
    const { candidates } = this.quality;
    return new FigureView(ratePlot(
      candidates.map(({ id, pass_rate }) => ({
        label: id,
        rate: pass_rate.rate ?? 0,
        interval: pass_rate.ci95,
      })),
      {
        title: "Cases passed",
        axis: "share of cases that reach the pass mark",
        floor,
        caption: `Dot: share of cases passed; bar: its 95 % interval (Wilson)${
          floor === null ? "" : `; dashed: a floor of ${percent(floor)}`
        }. n = ${candidates.map(({ pass_rate }) => pass_rate.n).join(", ")} cases.`,
      },
    ));
  }

  /**
   * A few answers to rate by hand: shuffled, without the names of their models.
   *
   * @throws {UserError} when every answer is empty
   */
  blindSheet(answers = 4): BlindSheet {
    const sheet = makeSheet(this.#answers, this.job.cases, {
      runId: this.quality.run_id,
      annotator: "you",
      rubric: "fluency",
    });
    return new BlindSheet({ ...sheet, items: sheet.items.slice(0, answers) }, this.quality);
  }

  /**
   * Tries the first model as a judge on answers that are known to be good or bad.
   *
   * @param cases how many of the shortest cases to use; at least 8 pairs of answers are needed
   * @throws {UserError} when the job has too few anchored answers, or the model can't be opened
   */
  tryJudge(cases = 12): Promise<JudgeTrial> {
    return this.#tryJudge(cases);
  }

  /** Every case with the worth of each model's answer: what an audit of routing rules rests on. */
  async routing(): Promise<RoutingEvidence> {
    const { outcomes, arms } = await scoredCases([this.folder], []);
    return new RoutingEvidence(outcomes, arms);
  }
}

/** The worth of each model's answer to each case, from 0 to 1, as a router sees it. */
export class RoutingEvidence extends Result {
  /** Share of the checks' weight from which an answer is a success. */
  readonly passMark: number = defaultPassMark;

  /** Made by `ScoredRun.routing`. */
  constructor(readonly cases: readonly ScoredCase[], readonly models: readonly string[]) {
    super();
  }

  /** What it shows: `byIntent()`. */
  override main(): View {
    return this.byIntent();
  }

  /** Cases passed per model and intent; the intent is found by the router's patterns. */
  byIntent(): TableView {
    const find = intentFinder(DEFAULT_INTENTS);
    const byIntent = Map.groupBy(this.cases, ({ text }) => find(text, null).name);
    const passed = (model: string, same: readonly ScoredCase[]) =>
      `${same.filter(({ worth }) => (worth[model] ?? 0) >= this.passMark).length} of ${same.length}`;
    return new TableView(
      this.models.map((model) => ({
        model,
        ...Object.fromEntries([...byIntent].map(([intent, same]) => [intent, passed(model, same)])),
      })),
      `Cases passed per intent, as the patterns find it. Recorded answers, n = ${this.cases.length} cases per model.`,
    );
  }

  /** Whether choosing a model per request beats the best single model, tried on held-out cases. */
  audit(): TableView {
    const audited: Audit = audit(this.cases, this.models, {
      intents: DEFAULT_INTENTS,
      random: seededRandom("audit"),
    });
    const row = (
      rule: string,
      worth: number,
      more: { gain?: string; range?: string | null; verdict?: string },
    ) => ({
      rule,
      worth: worth.toFixed(3),
      gain: more.gain ?? null,
      "interval of the gain": more.range ?? null,
      verdict: more.verdict ?? null,
    });
    const { best_single, oracle, chosen, why } = audited;
    return new TableView([
      row(
        `best single model (${best_single.arm})`,
        best_single.mean,
        chosen === null ? { verdict: "this is auto" } : {},
      ),
      ...audited.rules.map(({ rule, mean, gain, gain_ci, on }) =>
        row(rule === "intent" ? "map by intent" : "nearest neighbours", mean, {
          gain: gain.toFixed(3),
          range: interval(gain_ci),
          verdict: on ? "on" : "off",
        })
      ),
      row("oracle", oracle.mean, {}),
    ], `Mean worth of the answers to held-out cases, n = ${audited.prompts}. auto: ${why}.`);
  }
}

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

/** Scores that people gave blind; it shows how far they agree. */
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

  /** The models behind the answers, beside each rater's score and the score of the checks. */
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

/** What the trial of a judge showed. */
export class JudgeTrial extends Result {
  /**
   * Made by `ScoredRun.tryJudge`.
   *
   * @param judge the id of the model that judged
   */
  constructor(readonly judge: string, readonly trial: Trial) {
    super();
  }

  /** What it shows: `table()`. */
  override main(): View {
    return this.table();
  }

  /** Each figure of the trial, and what the judge needs to be accepted. */
  table(): TableView {
    const { trial } = this;
    const row = (figure: string, value: string | null, needed: string | null) => ({
      figure,
      value,
      "what is needed": needed,
    });
    return new TableView(
      [
        row("pairs told apart", percent(trial.accuracy.rate), percent(trial.threshold)),
        row("its 95 % interval", percents(trial.accuracy.ci95), "above 50 %, the share of a coin"),
        row("ties", `${trial.ties} of ${trial.pairs}`, "a tie is not told apart"),
        row(
          "mean score of good : of bad answers",
          `${trial.meanGood?.toFixed(2) ?? "–"} : ${trial.meanBad?.toFixed(2) ?? "–"}`,
          null,
        ),
        row("first of two preferred", percent(trial.firstChosen.share), "50 % is no bias"),
        row(
          "replies that were not the requested JSON",
          `${trial.invalid} of ${trial.replies}`,
          "at most one in ten",
        ),
      ],
      trial.accepted
        ? `${this.judge} is accepted as a judge: deno task quality judge lets it rate a run.`
        : `${this.judge} is refused as a judge: ${trial.reason}. It rates nothing.`,
    );
  }
}
