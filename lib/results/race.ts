/** A finished race and a decision, with their views: what `race` and `decide` return. */
import type { RunInfo } from "../bench/records.ts";
import { replaceFile } from "../bench/folder.ts";
import { evidencePlot } from "../plot/race.ts";
import { paretoPlot } from "../plot/pareto.ts";
import type { Decision } from "../select/decide/decision_schema.ts";
import { decisionMarkdown } from "../select/decide/decision_markdown.ts";
import { paretoPoints, type SessionRace } from "../select/decide/race_and_decide.ts";
import { evidencePoints, type RaceReport, raceReport, verdictText } from "../select/race/race_report.ts";
import { type RecordedRace, replayRecorded } from "../select/race/recorded_race.ts";
import { join } from "node:path";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

/**
 * The growth of the evidence against each candidate so far.
 *
 * @param how `live` or `replayed`, for the title
 */
export function evidenceFigure(
  { history, state }: Pick<RecordedRace, "history" | "state">,
  how: string,
): FigureView {
  const threshold = state.candidates.length / state.rules.delta;
  return new FigureView(evidencePlot(evidencePoints({ history, state }), {
    threshold,
    title: `The evidence against each candidate, ${how}`,
    caption:
      `Line: sum of the e-values of its rivals after each block; dashed: the threshold ${threshold} at which ` +
      `a candidate is eliminated. n = ${state.blocks} blocks, ${state.requests} requests.`,
  }));
}

/**
 * A finished race; it shows the verdict in a sentence. The verdict is derived from the records in `folder`,
 * so that a replay gives it again.
 *
 * ```ts ignore
 * const result = await race(["smollm2-135m+threads=1", "smollm2-135m+threads=2"], { budget: 60 });
 * console.log(result.verdict);
 * ```
 */
export class Race extends Result {
  /** Made by `race`. */
  constructor(readonly recorded: SessionRace) {
    super();
  }

  /** The run folder: run.json, samples.jsonl and the other records. */
  get folder(): string {
    return this.recorded.folder;
  }

  /** The document that `deno task race --json` prints. */
  get report(): RaceReport {
    return raceReport(this.recorded);
  }

  /** `winner`, `tie`, `undecided`, `only` or `none`. */
  get verdict(): RaceReport["verdict"] {
    return this.report.verdict;
  }

  /** The run's plan, machine and candidates. */
  get info(): RunInfo {
    return this.recorded.info;
  }

  /** What it shows: the verdict in a sentence. */
  override main(): View {
    return new TextView(verdictText(this.report));
  }

  /** The evidence against each candidate, block by block. */
  evidence(): FigureView {
    return evidenceFigure(this.recorded, "after the race");
  }

  /**
   * Runs the race again over the records: the same verdict, to the last digit.
   *
   * @throws {UserError} when a record is damaged
   */
  async replay(): Promise<Race> {
    return new Race({ ...this.recorded, ...await replayRecorded(this.folder) });
  }
}

/**
 * A decision: the model to use on this machine, its evidence, and what would change it.
 *
 * ```ts ignore
 * const decision = await decide({ race: result, quality: answers, constraints: { minPassRate: 0.5 } });
 * console.log(decision.verdict, decision.choice);
 * await decision.save();
 * ```
 */
export class DecisionView extends Result {
  /**
   * Made by `decide`.
   *
   * @param document the document in decision.json
   * @param folder the run folder that `save` writes to
   */
  constructor(readonly document: Decision, readonly folder: string) {
    super();
  }

  /** `winner`, `tie`, `undecided`, `only` or `none`. */
  get verdict(): Decision["verdict"] {
    return this.document.verdict;
  }

  /** The model to use; null where nothing is recommended. */
  get choice(): string | null {
    return this.document.choice;
  }

  /** The ids that met every constraint; where none did, the best of the rest, as a rehearsal. */
  get goOn(): string[] {
    const { candidates, excluded, best_of_the_rest } = this.document;
    const passed = candidates.map(({ id }) => id).filter((id) => !excluded.some((one) => one.id === id));
    return passed.length > 0 || best_of_the_rest === null ? passed : [best_of_the_rest];
  }

  /** What it shows: `table()`. */
  override main(): View {
    return this.table();
  }

  /** The verdict, the choice, the reason, and what would change it. */
  table(): TableView {
    const { verdict, choice, fastest, reason, scope, best_of_the_rest, what_would_change_it } = this.document;
    return new TableView([
      { question: "verdict", answer: fastest === null ? verdict : `${verdict}: ${fastest}` },
      { question: "choice", answer: choice ?? "nothing is recommended" },
      { question: "because", answer: reason },
      {
        question: "scope",
        answer: `${scope.claim}: ${scope.cases} timed, ${scope.scored_cases} with scored answers`,
      },
      { question: "best of the rest", answer: best_of_the_rest },
      ...what_would_change_it.map((answer) => ({ question: "what would change it", answer })),
    ], "The whole decision, with its evidence, is in decision.md and decision.json once it is saved.");
  }

  /** One row per candidate: its score, and which constraint excludes it. */
  gate(): TableView {
    const { candidates, excluded, best_of_the_rest } = this.document;
    return new TableView(
      candidates.map(({ id, quality }) => {
        const out = excluded.find((one) => one.id === id);
        return {
          candidate: id,
          "mean score": quality?.toFixed(2) ?? null,
          verdict: out === undefined ? "meets every constraint" : `excluded: ${out.reason}`,
          "to admit it": out?.admit ?? null,
        };
      }),
      `Where no candidate meets the constraints, the verdict is none. Best of the rest: ${
        best_of_the_rest ?? "not needed"
      }.`,
    );
  }

  /** Quality against mean latency; the area of a mark is the resident memory. */
  pareto(): FigureView {
    const points = paretoPoints(this.document);
    const counts = this.document.candidates.filter(({ id }) => points.some((point) => point.id === id))
      .map(({ id, requests }) => `${requests.ok} (${id})`).join(", ");
    return new FigureView(paretoPlot(points, {
      title: "Quality, latency and memory",
      caption:
        "Mark: mean check score, and mean latency; area: resident memory; full: no other candidate is better in " +
        `one of these without being worse in another. Latency: n = ${counts || "0"} requests.`,
    }));
  }

  /**
   * Writes decision.json and decision.md into the run folder.
   *
   * @returns this view, so that a cell can end with `await decision.save()`
   * @throws {UserError} when the folder can't be written
   */
  async save(): Promise<this> {
    await replaceFile(join(this.folder, "decision.json"), `${JSON.stringify(this.document, null, 2)}\n`);
    await replaceFile(join(this.folder, "decision.md"), decisionMarkdown(this.document));
    return this;
  }
}
