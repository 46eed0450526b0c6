/** A run whose answers were scored, with its views: what `quality` returns. */
import type { AnswerRecord } from "../bench/records.ts";
import type { FinishedRun } from "../bench/session.ts";
import { UserError } from "../errors.ts";
import { ratePlot } from "../plot/rate.ts";
import { errorCases } from "../quality/error_cases.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { matrixPlots } from "../report/task_section.ts";
import { taskTables } from "../report/task_tables.ts";
import { scoredCases } from "../select/route/audit_data.ts";
import type { Job } from "./job.ts";
import { RoutingEvidence } from "./routing_evidence.ts";
import { interval, Run } from "./run.ts";
import { FigureView, TableView, type View } from "./view.ts";

const percent = (share: number | null | undefined) =>
  share === null || share === undefined ? null : `${Math.round(100 * share)} %`;

const percents = (ends: readonly [number, number] | null) => ends?.map(percent).join(" to ") ?? null;

/** The parts of a scored run. */
export interface ScoredParts {
  readonly run: FinishedRun;
  readonly job: Job;
  readonly report: QualityReport;
  readonly answers: readonly AnswerRecord[];
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

  /** Made by `quality`. */
  constructor({ run, job, report, answers }: ScoredParts) {
    super(run);
    this.job = job;
    this.quality = report;
    this.#answers = answers;
  }

  /** What it shows: `scores()`. */
  override main(): View {
    return this.scores();
  }

  /** Pass rate and mean score per model, with 95 % intervals over cases, and the states of the answers. */
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

  /** For each check, how many of its cases passed. */
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

  /**
   * The figures of the job's task per model: accuracy and macro-F1, exact records, right calls … with the
   * best constant answer as last row.
   *
   * @throws {UserError} where no case of the job has a task that is scored
   */
  task(): TableView {
    const [table] = taskTables(this.quality);
    if (table === undefined) {
      throw new UserError(
        `no case of the job ${this.job.whole.name} says what is expected: give it a "task" and "expected", or use checks()`,
      );
    }
    return new TableView(
      table.rows.map((row) => Object.fromEntries(table.head.map((name, at) => [name, row[at] || null]))),
      table.note,
    );
  }

  /**
   * The given against the expected answers: labels, or tools that were called.
   *
   * @param model default: the first one
   * @throws {UserError} where the job neither classifies nor calls tools, or the model is not part of the run
   */
  confusion(model?: string): FigureView {
    const candidates = this.quality.candidates.filter(({ id }) => model === undefined || id === model);
    const [figure] = matrixPlots({ candidates });
    if (figure === undefined) {
      throw new UserError(
        `no labels or calls of ${model ?? "this job"} to compare: the models are ${
          this.candidates.join(", ")
        }`,
      );
    }
    return new FigureView(figure);
  }

  /** Each model's answer to a case; without an id, to the first one. */
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

  /**
   * The answers that are not right, with the expected ones, grouped by state and by the check that decided.
   *
   * @param most rows at the most
   */
  errors(most = 20): TableView {
    const texts = new Map(this.#answers.map(({ id, content }) => [id, content]));
    const { groups, differing, cases } = errorCases(this.quality, texts);
    const rows = groups.flatMap(({ state, check, answers }) =>
      answers.map(({ case_id, candidate, differs, detail, text }) => ({
        state: state.replaceAll("_", " "),
        check,
        case: differs ? `${case_id} ≠` : case_id,
        model: candidate,
        why: detail,
        expected: this.quality.expected?.[case_id] ?? null,
        answer: text,
      }))
    );
    return new TableView(
      rows.slice(0, most),
      `${rows.length} answers that are not right${
        rows.length > most ? `, the first ${most}` : ""
      }. In ${differing.length} of ${cases} cases some answers are right and others are not (≠).`,
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

  /** Every case with the worth of each model's answer, for an audit of routing rules. */
  async routing(): Promise<RoutingEvidence> {
    const { outcomes, arms } = await scoredCases([this.folder], []);
    return new RoutingEvidence(outcomes, arms);
  }
}
