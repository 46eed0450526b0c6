/** A comparison of runs on a terminal. */
import { metrics } from "../bench/metrics.ts";
import type { CandidateChange, MetricChange, RunChange, RunsComparison } from "../bench/compare.ts";
import { terminalLine } from "../terminal_text.ts";
import { counted, intervalOf, missing, plain, ratio } from "./format.ts";
import { indented, type Painter, painter, textTable, wrap } from "./terminal_layout.ts";

/** How the terminal looks. */
export interface ComparedOptions {
  readonly columns: number;
  readonly color: boolean;
}

/** Below this many columns the table of metrics is shortened. */
const NARROW = 76;
/** Changed answers are quoted for up to this many prompts per candidate, one per prompt. */
const maxQuoted = 5;

/**
 * The comparison as text: first what differs between the runs, then what got faster, slower or can't be told
 * apart for each candidate, and which answers changed. Text from models and services is made safe to print.
 *
 * ```ts ignore
 * console.log(comparisonText(compareAllRuns(runs, { random }), { columns: 80, color: false }));
 * ```
 */
export function comparisonText(comparison: RunsComparison, options: ComparedOptions): string {
  const { baseline, runs, epsilon } = comparison;
  const paint = painter(options.color);
  const layout = { width: Math.max(60, options.columns), paint, epsilon };
  return [
    paint.bold(`baseline: ${runName(baseline)}`),
    ...runs.flatMap((run) => ["", ...runLines(run, layout)]),
    ...overview(runs, layout),
    "",
    ...wrap(claims(comparison), layout.width).map(paint.dim),
  ].join("\n") + "\n";
}

/** What every line of the comparison depends on. */
interface Layout {
  readonly width: number;
  readonly paint: Painter;
  /** The largest change of a ratio that counts as none. */
  readonly epsilon: number;
}

/** Several runs at a glance: one line per run and candidate. */
function overview(runs: RunsComparison["runs"], layout: Layout): string[] {
  const { paint } = layout;
  if (runs.length < 2) return [];
  const rows = runs.flatMap((run) =>
    run.candidates.map((one) => {
      const latency = one.metrics.find((metric) => metric.metric === "latency_s");
      const verdict = one.status === "measured" && latency !== undefined
        ? verdictText(latency.verdict, layout)
        : paint.red(one.status);
      return [
        terminalLine(one.candidate),
        terminalLine(run.run),
        ratio(latency?.ratio ?? null),
        intervalOf(latency?.ci95 ?? null, ratio) || missing,
        verdict,
      ];
    })
  );
  // Runs of one candidate follow each other: that is what a class compares.
  rows.sort(([a = ""], [b = ""]) => a < b ? -1 : a > b ? 1 : 0);
  const head = ["candidate", "run", "latency ratio", "95 % interval", "verdict"];
  return ["", paint.bold("All runs against the baseline"), textTable(head, rows)];
}

function claims({ epsilon, control }: RunsComparison): string {
  const ratios =
    "Ratios are run / baseline, geometric means over the prompts of both runs; the 95 % intervals resample " +
    "prompts.";
  const percent = Math.round(epsilon * 100);
  return control === null
    ? `${ratios} The machine may have changed between the runs, so differences below ±${percent} % count as none. To ` +
      `see smaller ones, name an unchanged candidate with --control, or measure both in one interleaved run.`
    : `${ratios} Each time is divided by that of ${control} in the same block, which removes the machine's own changes.`;
}

function runName({ run, run_id: id }: { readonly run: string; readonly run_id: string }): string {
  return terminalLine(run === id ? run : `${run} (${id})`);
}

function runLines(run: RunChange, layout: Layout): string[] {
  const { width, paint } = layout;
  const lines = [paint.bold(`compared with it: ${runName(run)}`)];
  for (const one of run.differences) {
    const text = `${one.what}: ${one.before} → ${one.after}${
      one.blocking ? " (times are not comparable)" : ""
    }`;
    lines.push(...indented(text, width, one.blocking ? paint.red("✗") : "·"));
  }
  for (const one of run.candidates) lines.push("", ...candidateLines(one, layout));
  if (run.only_before.length > 0) {
    lines.push(...wrap(`only in the baseline: ${run.only_before.join(", ")}`, width));
  }
  if (run.only_after.length > 0) lines.push(...wrap(`only in this run: ${run.only_after.join(", ")}`, width));
  return lines;
}

function candidateLines(one: CandidateChange, layout: Layout): string[] {
  const { width, paint } = layout;
  const renamed = one.before === one.candidate ? "" : terminalLine(`  (was ${one.before}, matched by alias)`);
  const lines = [`${paint.bold(terminalLine(one.candidate))}${renamed}`];
  if (one.status !== "measured") {
    const reason = one.reason === null ? "" : `: ${one.reason}`;
    return [...lines, ...indented(`${one.status}${reason}`, width).map(paint.red)];
  }
  const { before, after } = one.requests;
  if (before.failed + after.failed > 0) {
    lines.push(
      `  failed requests: ${before.failed} of ${before.ok + before.failed} → ${after.failed} of ${
        after.ok + after.failed
      }`,
    );
  }
  lines.push(...lengthLine(one), metricTable(one.metrics, layout));
  const whys = [...new Set(one.metrics.map((metric) => metric.why).filter((why) => why !== ""))];
  for (const why of whys) lines.push(...indented(why, width).map(paint.dim));
  return [...lines, ...answerLines(one, width)];
}

/** One row per metric; a narrow terminal gets shorter names, and no number of prompts. */
function metricTable(changes: readonly MetricChange[], layout: Layout): string {
  const narrow = layout.width < NARROW;
  const head = narrow
    ? ["metric", "ratio", "95 %", "n", "verdict"]
    : ["metric", "ratio", "95 % interval", "prompts", "n", "verdict"];
  const rows = changes.map((metric) => [
    narrow && metric.metric === "ttft_s" ? "TTFT" : metrics[metric.metric].title,
    ratio(metric.ratio),
    intervalOf(metric.ci95, ratio) || missing,
    ...(narrow ? [] : [String(metric.prompts)]),
    String(metric.n),
    verdictText(metric.verdict, layout),
  ]);
  return textTable(head, rows);
}

/** A change of length explains a change of latency. */
function lengthLine({ output_tokens: { before, after } }: CandidateChange): string[] {
  if (before === null || after === null || Math.abs(after / before - 1) < 0.02) return [];
  return [`  tokens per answer: ${plain(before)} → ${plain(after)}`];
}

/** All compared metrics are times or rates, so better means faster. */
function verdictText(verdict: MetricChange["verdict"], { paint, epsilon }: Layout): string {
  if (verdict === "worse") return paint.red("slower");
  if (verdict === "better") return paint.bold("faster");
  return verdict === "similar" ? `within ±${Math.round(epsilon * 100)} %` : verdict;
}

function answerLines({ answers }: CandidateChange, width: number): string[] {
  if (answers.skipped !== null) {
    return indented(`answers not compared as text: ${answers.skipped}`, width);
  }
  if (answers.compared === 0) return [];
  if (answers.changed.length === 0) {
    return [`  answers: ${counted(answers.compared, "answer")} compared, none changed`];
  }
  const changed = answers.changed.length;
  const shown = [...new Map(answers.changed.map((one) => [one.prompt, one])).values()].slice(0, maxQuoted);
  const quoted = shown.flatMap(({ prompt, round, before, after }) => [
    `    ${terminalLine(prompt)}, round ${round}`,
    `      - ${firstDifference(before, after, width - 10)}`,
    `      + ${firstDifference(after, before, width - 10)}`,
  ]);
  const more = changed - shown.length;
  return [
    `  answers: ${changed} of ${answers.compared} changed; the last one of each prompt:`,
    ...quoted,
    ...(more > 0 ? [`    and ${more} more (--json lists all)`] : []),
  ];
}

/** The text around the first difference, on one line. */
function firstDifference(text: string, other: string, width: number): string {
  let at = 0;
  while (at < text.length && text[at] === other[at]) at++;
  const from = Math.max(0, at - 20);
  const part = text.slice(from, from + width - 2);
  return `${from > 0 ? "…" : ""}${terminalLine(part)}${from + width - 2 < text.length ? "…" : ""}`;
}
