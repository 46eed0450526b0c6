/** A finished run, with its views: what `bench` returns. */
import { isEstimate, type RunInfo } from "../bench/records.ts";
import { type FinishedRun, type RequestValue, valuesOf } from "../bench/session.ts";
import type { CandidateSummary, Summary } from "../bench/summary_schema.ts";
import { UserError } from "../errors.ts";
import { boxPlot } from "../plot/box.ts";
import { ecdfPlot } from "../plot/ecdf.ts";
import { ratioPlot } from "../plot/ratio.ts";
import { type NotebookRow, notebookRows } from "../report/workshop_fields.ts";
import { writeReports } from "../report/write.ts";
import { meanOf } from "../stats/mean.ts";
import { flagOutliers } from "../stats/outliers.ts";
import { ImaginedBenchmarks } from "./imagined_benchmarks.ts";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

/** A duration of every request: E2E latency, time to first token, first visible output, or time per output token. */
export type Duration = "latency" | "ttft" | "ttfo" | "tpot";

const DURATIONS = { latency: "latency_s", ttft: "ttft_s", ttfo: "ttfo_s", tpot: "tpot_s" } as const;

const title = (metric: Duration) => metric === "latency" ? "Latency" : metric.toUpperCase();

/** A number with fixed decimals; null where there is none. */
export const digits = (value: number | null | undefined, places = 3): string | null =>
  value === null || value === undefined || Number.isNaN(value) ? null : value.toFixed(places);

/** `0.120 to 0.135`; null where there is no interval. */
export const interval = (ends: readonly [number, number] | null | undefined, places = 3): string | null =>
  ends?.map((end) => end.toFixed(places)).join(" to ") ?? null;

/**
 * A finished run. Its records lie in `folder`; everything shown here is derived from them. Views are safe as
 * the last line of a notebook cell and in `console.log`; the run itself shows its table.
 *
 * ```ts ignore
 * const run = await bench(["smollm2-135m", "gemma-3-270m"]);
 * console.log(run.table());
 * await run.ecdf("latency").save("ecdf.svg");
 * ```
 */
export class Run extends Result {
  /** The id of the control (the first model entered a second time); null without one. */
  readonly control: string | null;
  readonly #measured: FinishedRun;

  /** Made by `bench` and `quality`. */
  constructor(measured: FinishedRun, control: string | null = null) {
    super();
    this.#measured = measured;
    this.control = control;
  }

  /** The run folder: run.json, samples.jsonl, answers.jsonl and summary.json. */
  get folder(): string {
    return this.#measured.folder;
  }

  /** `completed`, or `interrupted` where it was stopped early: what was measured until then is kept. */
  get status(): RunInfo["status"] {
    return this.#measured.status;
  }

  /** The document in summary.json: every metric per candidate, with n and intervals. */
  get summary(): Summary {
    return this.#measured.summary;
  }

  /** The ids of the candidates, in the order in which they were named. */
  get candidates(): string[] {
    return this.summary.candidates.map(({ id }) => id);
  }

  /** A short name for a candidate: its alias where that is unique, else its id; `the same again` for the control. */
  label(id: string): string {
    if (id === this.control) return "the same again";
    const { alias } = this.#row(id);
    const same = this.summary.candidates.filter((row) => row.alias === alias && row.id !== this.control);
    return same.length === 1 ? alias : id;
  }

  /**
   * A duration of each good timed request of a candidate, in seconds, in the order in which they ran.
   * Requests of disturbed blocks are included.
   *
   * @throws {UserError} for a candidate that is not in this run
   */
  values(id: string, metric: Duration = "latency"): number[] {
    return this.requests(id, metric).map(({ value }) => value);
  }

  /** As `values`, with the prompt and the block of each request, and the reason where the machine was busy. */
  requests(id: string, metric: Duration = "latency"): RequestValue[] {
    this.#row(id);
    return valuesOf(this.#measured, id, DURATIONS[metric]);
  }

  /** One row per candidate: n, mean latency with its 95 % interval, median, p95, output tokens/s, answer length. */
  table(): TableView {
    return new TableView(
      this.summary.candidates.map((row) => ({
        model: row.id,
        status: row.reason ?? row.status,
        n: row.latency_s.n,
        "mean (s)": digits(row.latency_s.mean),
        "95 % interval of the mean": interval(row.latency_s.mean_ci95),
        "median (s)": digits(row.latency_s.p50),
        "p95 (s)": digits(row.latency_s.p95),
        "output tokens/s": digits(row.output_tokens_per_s.mean, 1),
        "answer (tokens)": digits(row.tokens.output_mean, 1),
      })),
      "Latency: from sending a request to its last token; n: timed requests in quiet blocks. " +
        "A dash: n is too small for this statistic.",
    );
  }

  /** What it shows: `table()`. */
  override main(): View {
    return this.table();
  }

  /** The empirical distribution of a duration, one line per candidate. */
  ecdf(metric: Duration = "latency"): FigureView {
    const series = this.candidates.map((id) => ({ name: id, values: this.values(id, metric) }));
    return new FigureView(ecdfPlot(series, { title: `${title(metric)} of every request`, metric }));
  }

  /** A duration by prompt, one box per candidate and prompt. */
  box(metric: Duration = "latency"): FigureView {
    const cells = this.summary.plan.prompt_set.prompts.flatMap(({ id: group }) =>
      this.candidates.map((series) => ({
        series,
        group,
        values: this.requests(series, metric).filter(({ prompt }) => prompt === group).map(({ value }) =>
          value
        ),
      }))
    );
    return new FigureView(boxPlot(cells, { title: `${title(metric)} by prompt`, metric }));
  }

  /** Latency of the first candidate divided by that of each other one, with 95 % intervals and the ±10 % band. */
  ratios(): FigureView {
    const [first = ""] = this.candidates;
    const rows = this.summary.comparisons.flatMap(({ a, b, metric, ratio, ci95, n }) =>
      a === first && metric === "latency_s" && ratio !== null
        ? [{ label: `${this.label(a)} / ${this.label(b)}`, ratio, interval: ci95, n }]
        : []
    );
    return new FigureView(ratioPlot(rows, {
      title: this.control === null ? "Latency compared" : "Latency compared, with a control",
      over: "first one slower",
      under: "first one faster",
      epsilon: 0.1,
      caption:
        "Dot: geometric mean of the paired ratios; bar: its 95 % interval, which allows for repeated prompts; " +
        `band: ±10 %, in which a difference does not matter. n = ${
          rows.map(({ n }) => n).join(", ")
        } common blocks.`,
    }));
  }

  /** The results of the first and of the last `rounds` requests alone, next to the mean of all. */
  firstAndLast(rounds: number): TableView {
    const ids = this.control === null ? this.candidates : this.candidates.slice(0, 2);
    return new TableView(
      ids.map((id) => ({
        model: id,
        [`first ${rounds}: mean (s)`]: digits(meanOf(this.values(id).slice(0, rounds))),
        [`last ${rounds}: mean (s)`]: digits(meanOf(this.values(id).slice(-rounds))),
        "all: mean (s)": digits(meanOf(this.values(id))),
      })),
      this.control === null
        ? "Mean latency of the first, the last and all requests of each model."
        : "The same model twice. Any difference between these rows is noise, or due to the prompts that came first.",
    );
  }

  /**
   * Imagines `draws` benchmarks of few rounds each, drawn with replacement from the measured latencies (the
   * bootstrap). A model and its control are one model: both draw from all requests of the two.
   *
   * @param sizes rounds per benchmark, for example `[3, 10, 20]`
   * @throws {UserError} when a candidate has no good request
   */
  imagine(sizes: readonly number[], draws = 2000): ImaginedBenchmarks {
    const [first = ""] = this.candidates;
    const twins = this.control === null ? [first] : [first, this.control];
    const pooled = twins.flatMap((id) => this.values(id));
    const models = this.candidates.map((id) => ({
      name: this.label(id),
      latencies: twins.includes(id) ? pooled : this.values(id),
    }));
    const silent = models.find(({ latencies }) => latencies.length === 0);
    if (silent !== undefined) {
      throw new UserError(`${silent.name} has no good request: measure again before you draw from it`);
    }
    return new ImaginedBenchmarks(models, sizes, draws);
  }

  /** Requests that lie far from the others of their prompt (more than 3.5 robust standard deviations). */
  outliers(): TableView {
    const prompts = this.summary.plan.prompt_set.prompts;
    return new TableView(
      this.candidates.map((id) => {
        const requests = this.requests(id);
        const far = prompts.flatMap((one) => {
          const same = requests.filter(({ prompt }) => prompt === one.id);
          const flags = flagOutliers(same.map(({ value }) => value));
          return same.filter((_, at) => flags[at]);
        });
        return {
          model: id,
          requests: requests.length,
          "far from the others of their prompt": far.length,
          "of these in disturbed blocks": far.filter(({ disturbed }) => disturbed !== null).length,
        };
      }),
      "Nothing is marked where a prompt has fewer than five requests.",
    );
  }

  /** How many blocks other programs or a hypervisor disturbed, and how much. */
  noise(): TableView {
    const { timed, disturbed } = this.summary.blocks;
    const reasons = [...new Set(this.#measured.run.disturbed.values())].slice(0, 4);
    return new TableView(
      [{ "blocks timed": timed, disturbed, "for example": reasons.join("; ") || "nothing happened" }],
      this.summary.warnings.find(({ code }) => code === "noise")?.message ?? "No block was disturbed.",
    );
  }

  /** Load time, resident memory, device and a sample answer per candidate. A dash: the service does not report it. */
  resources(): TableView {
    return new TableView(
      this.summary.candidates.map((row) => ({
        model: row.id,
        "load time (s)": digits(row.load_s, 2),
        "memory (MB)": digits(row.memory_mb, 0),
        device: row.device,
        "sample answer": row.sample_answer?.slice(0, 200) ?? null,
      })),
      "Load time and resident memory as measured. A dash: the service does not report it.",
    );
  }

  /** Whether every model answered, how tokens were counted, and whether the machine was quiet. */
  validation(): TableView {
    const rows = this.summary.candidates;
    const failed = rows.filter(({ status }) => status !== "ok");
    const estimated = rows.filter(({ tokens }) => isEstimate(tokens.source));
    const { timed, disturbed } = this.summary.blocks;
    return new TableView([
      { check: "models", result: `${rows.length}: ${rows.map(({ id }) => id).join(", ")}` },
      {
        check: "models that answered every request",
        result: `${rows.length - failed.length} of ${rows.length}` +
          failed.map(({ id, reason }) => `; ${id}: ${reason ?? "some requests failed"}`).join(""),
      },
      {
        check: "token counts",
        result: estimated.length === 0
          ? "counted"
          : `estimated for ${estimated.map(({ id }) => id).join(", ")}`,
      },
      { check: "quiet machine", result: `${timed - disturbed} of ${timed} blocks` },
    ], "A model that failed counts too.");
  }

  /**
   * The rows of the workshop's notebook `session03_benchmark_oss_models`, with its field names.
   *
   * @param names the candidates' names in the rows, in their order; default: their aliases
   */
  workshopRows(names: readonly string[] = []): NotebookRow[] {
    const { summary, run } = this.#measured;
    return notebookRows(summary, run.candidates, { names, disturbed: new Set(run.disturbed.keys()) });
  }

  /** `workshopRows` as a table with the workshop's column titles. */
  workshop(names: readonly string[] = []): TableView {
    const rows = this.workshopRows(names);
    return new TableView(
      rows.map((row) => ({
        Model: row.alias,
        "Latency avg (s)": digits(row.latency_avg_s),
        "min (s)": digits(row.latency_min_s),
        "max (s)": digits(row.latency_max_s),
        "P95 (s)": digits(row.latency_p95_s),
        "Output tokens/s": digits(row.tokens_per_sec_avg, 1),
        "Tokens out": digits(row.avg_completion_tokens, 1),
        Success: `${row.rounds_ok} of ${row.configured_rounds}`,
        Status: row.reason ?? row.status,
      })),
      rows.find(({ p95_note }) => p95_note !== null)?.p95_note ?? "n is large enough for every figure.",
    );
  }

  /**
   * Writes report.md, report.csv and report.html into the run folder.
   *
   * @throws {UserError} when the folder can't be written
   */
  async report(): Promise<TextView> {
    const files = await writeReports(this.folder);
    return new TextView(`Written: ${files.join(", ")}`);
  }

  #row(id: string): CandidateSummary {
    const row = this.summary.candidates.find((one) => one.id === id);
    if (row === undefined) {
      throw new UserError(
        `no candidate of this run is called "${id}": there are ${this.candidates.join(", ")}`,
      );
    }
    return row;
  }
}
