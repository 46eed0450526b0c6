/** A capacity report in words and as a table: every form of it shows these. */
import type { CapacityReport } from "../bench/capacity.ts";
import type { CandidateCapacity, CapacityLevel, LoadCurve } from "../bench/search_capacity.ts";
import { counted, percent, plain, seconds } from "./format.ts";

/** A curve and what its loads are: users at once, or requests per second. */
export interface MeasuredLoad extends LoadCurve {
  readonly kind: "users" | "rate";
}

/** What a load is counted in, by kind. */
export const kindTitles = { users: "users", rate: "requests per second" } as const;

/** The curves of a candidate that were measured. */
export function loadCurves({ users, rate }: CandidateCapacity): MeasuredLoad[] {
  return [
    ...(users === null ? [] : [{ kind: "users" as const, ...users }]),
    ...(rate === null ? [] : [{ kind: "rate" as const, ...rate }]),
  ];
}

const loadText = ({ kind }: MeasuredLoad, load: number) =>
  kind === "users" ? counted(load, "user") : `${plain(load)} requests/s`;

/** The columns of a table of levels. */
const columns:
  readonly (readonly [head: string, cell: (level: CapacityLevel, curve: MeasuredLoad) => string])[] = [
    ["Load", ({ load }, curve) => {
      const capacity = load === curve.best ? " ◀ capacity" : "";
      return `${loadText(curve, load)}${capacity}${load === curve.knee ? " (knee)" : ""}`;
    }],
    ["Verdict", ({ verdict, saturated }) => `${verdict}${saturated ? ", saturated" : ""}`],
    ["n", ({ n, failed }) => `${n}${failed === 0 ? "" : ` (${failed} failed)`}`],
    ["In limits", ({ share }) => percent(share)],
    ["At least", ({ low }) => percent(low)],
    ["Due/s", ({ due_per_s }) => plain(due_per_s)],
    ["Completed/s", ({ completed_per_s }) => plain(completed_per_s)],
    ["Goodput/s", ({ goodput_per_s }) => plain(goodput_per_s)],
    ["Latency", ({ latency_s }) => seconds(latency_s.mean)],
    ["p95", ({ latency_s }) => seconds(latency_s.p95)],
    ["TTFT", ({ ttft_s }) => seconds(ttft_s.mean)],
    ["Time per token", ({ tpot_s }) => seconds(tpot_s.mean)],
  ];

/** The names of the cells of `capacityRows`. */
export const capacityHead: readonly string[] = columns.map(([head]) => head);

/** One row per level. */
export function capacityRows(curve: MeasuredLoad): string[][] {
  return curve.levels.map((level) => columns.map(([, cell]) => cell(level, curve)));
}

/**
 * What was found, one sentence each. Names are in backticks.
 *
 * ```ts ignore
 * for (const text of capacitySentences(report)) console.log(`- ${text}`);
 * ```
 */
export function capacitySentences(report: CapacityReport): string[] {
  return report.candidates.flatMap((one) => [
    ...loadCurves(one).flatMap((curve) => [
      `\`${one.id}\`${capacityText(curve, report)}`,
      ...curveNotes(curve).map((text) => `\`${one.id}\`: ${text}`),
    ]),
    ...(one.problem === null ? [] : [`\`${one.id}\`: ${one.problem}.`]),
  ]);
}

/** The largest load within the limits, and what happened at the next one. */
function capacityText(curve: MeasuredLoad, report: CapacityReport): string {
  const { kind, best, next, levels } = curve;
  const [kept, out] = [best, next].map((load) => levels.find((level) => level.load === load));
  const aim = `at least ${percent(report.within)} of the requests (${capacityLimits(report)})`;
  if (kept === undefined) {
    const least = `${loadText(curve, levels[0]?.load ?? 1)} ${kind === "users" ? "was" : "were"}`;
    return `: not even ${least} shown to meet the limits for ${aim}.`;
  }
  const thinking = kind === "users"
    ? ` who ${best === 1 ? "thinks" : "think"} for ${plain(report.think_s)} s on average`
    : "";
  const found = ` can serve ${loadText(curve, kept.load)}${thinking}: ${
    percent(kept.share)
  } of ${kept.n} requests met the limits, with 95 % confidence ${aim}.`;
  if (out === undefined) return `${found} No larger load was tried.`;
  const missed = out.verdict === "misses" ? "they don't" : "that was not shown";
  return `${found} At ${loadText(curve, out.load)} ${missed} (${percent(out.share)} of ${out.n})${
    out.saturated
      ? `; saturated: ${plain(out.completed_per_s)} of ${plain(out.due_per_s)} due requests/s complete`
      : ""
  }.`;
}

/** The knee, and levels that other work disturbed. */
function curveNotes(curve: MeasuredLoad): string[] {
  const { knee, levels } = curve;
  const busy = levels.filter(({ disturbed }) => disturbed !== null);
  return [
    ...(knee === null
      ? []
      : [`the knee is at ${loadText(curve, knee)}; beyond it waiting grows faster than throughput.`]),
    ...(busy.length === 0 ? [] : [
      `the machine was busy with something else at ${busy.length} of ${counted(levels.length, "level")} (${
        busy[0]?.disturbed ?? ""
      }): measure again with other programs closed.`,
    ]),
  ];
}

/** `first token within 2.00 s, answer within 10.0 s`. */
export function capacityLimits({ slo }: Pick<CapacityReport, "slo">): string {
  return [
    ...(slo.ttft_s === null ? [] : [`first token within ${seconds(slo.ttft_s)}`]),
    ...(slo.e2e_s === null ? [] : [`answer within ${seconds(slo.e2e_s)}`]),
  ].join(", ");
}

/** How it was measured, in one paragraph. */
export function capacityConditions(report: CapacityReport): string {
  const { cpu, cores, ram_gb, os } = report.machine;
  return `${report.prompt_set.name}, ${report.prefix} prefix, at most ${report.max_tokens} tokens per answer, seed ` +
    `${report.seed}; a level meets the limits where the lower 95 % bound of the share within them is at least ` +
    `${percent(report.within)}. ${cpu}, ${counted(cores, "core")}, ${plain(ram_gb)} GB RAM, ${os}.`;
}
