/** The load that candidates can serve, with its views: what `capacity` returns. */
import type { CapacityReport } from "../bench/capacity.ts";
import { capacityFigures } from "../report/capacity.ts";
import { capacityHead, capacityRows, capacitySentences, loadCurves } from "../report/capacity_text.ts";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

/** What `capacity` is given. */
export interface CapacityOptions {
  /** Limits of a request, in seconds: time to first token, E2E latency, or both. */
  readonly slo: { readonly ttft?: number; readonly e2e?: number };
  /** Share of the requests that must meet them. @default 0.95 */
  readonly within?: number;
  /** Mean time that a user thinks, in seconds. @default 5 */
  readonly thinkS?: number;
  /** What is searched for. @default "both" */
  readonly search?: "users" | "rate" | "both";
  /** Most users that are tried. @default 256 */
  readonly maxUsers?: number;
  /** Most requests per level, where fewer don't decide. @default 800 */
  readonly mostRequests?: number;
  /** A job, the name of one that Podium ships, or a file with cases. @default "default" */
  readonly job?: string;
  /** A single prompt instead of a job. */
  readonly prompt?: string;
  /** Longest answer in tokens. @default 40 */
  readonly maxTokens?: number;
  /** Seed of the order of cases, of thinking and of arrivals. @default 1 */
  readonly seed?: number;
  /** The folder that the search's own folder is made in. @default "reports" */
  readonly reports?: string;
}

/**
 * The largest number of users, and the highest rate, that candidates can serve within limits.
 *
 * ```ts ignore
 * const found = await capacity("smollm2-135m", { slo: { e2e: 5 }, search: "users" });
 * console.log(found.users("smollm2-135m-instruct:q4_1"), found.table());
 * await found.curve().save("capacity.svg");
 * ```
 */
export class Capacity extends Result {
  /** Made by `capacity`. */
  constructor(
    /** The document in capacity.json. */
    readonly report: CapacityReport,
    /** Holds every request, the document and the reports. */
    readonly folder: string,
  ) {
    super();
  }

  /** The ids of the candidates. */
  get candidates(): string[] {
    return this.report.candidates.map(({ id }) => id);
  }

  /** The largest number of users shown to meet the limits; null where the search left it out, or no level did. */
  users(id: string = this.candidates[0] ?? ""): number | null {
    return this.report.candidates.find((one) => one.id === id)?.users?.best ?? null;
  }

  /** The highest rate shown to meet the limits, in requests per second; null as for `users`. */
  rate(id: string = this.candidates[0] ?? ""): number | null {
    return this.report.candidates.find((one) => one.id === id)?.rate?.best ?? null;
  }

  /** One row per candidate and level. */
  table(): TableView {
    const rows = this.report.candidates.flatMap((one) =>
      loadCurves(one).flatMap(capacityRows).map((cells) => ({
        candidate: one.id,
        ...Object.fromEntries(capacityHead.map((name, at) => [name, cells[at] ?? null])),
      }))
    );
    return new TableView(rows, this.summary().text);
  }

  /** The findings in sentences. */
  summary(): TextView {
    return new TextView(capacitySentences(this.report).join(" ").replaceAll("`", ""));
  }

  /** What it shows: `table()`. */
  override main(): View {
    return this.table();
  }

  /** Goodput, completed and due requests per second against load; of the first candidate unless one is named. */
  curve(id: string = this.candidates[0] ?? ""): FigureView {
    return this.curves(id)[0] ??
      new FigureView({ title: "Nothing measured", svg: "<svg></svg>", caption: "" });
  }

  /** The goodput curve, then latency, time to first token and time per token against load. */
  curves(id: string = this.candidates[0] ?? ""): FigureView[] {
    const one = this.report.candidates.find((candidate) => candidate.id === id);
    return one === undefined ? [] : capacityFigures(this.report, one).map((figure) => new FigureView(figure));
  }
}
