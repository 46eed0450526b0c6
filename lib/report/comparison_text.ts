/** A comparison of runs, as a terminal shows it. */
import type { CandidateChange, MetricChange, RunChange, RunsComparison } from "../bench/compare.ts";
import { counted, plain } from "./format.ts";
import { metricTitles } from "./summary_text.ts";
import { type Painter, painter, textTable, wrap } from "./terminal_layout.ts";

/** How the terminal looks. */
export interface ComparedOptions {
  readonly columns: number;
  readonly color: boolean;
}

/** Changed answers are quoted for up to this many prompts a candidate, one a prompt. */
const maxQuoted = 5;

/**
 * The comparison as text: what differs between the runs first, then candidate by candidate what got faster,
 * slower or can't be told apart, and which answers changed.
 *
 * @example
 * ```ts ignore
 * console.log(comparisonText(compareAllRuns(runs, { random }), { columns: 80, color: false }));
 * ```
 */
export function comparisonText(comparison: RunsComparison, options: ComparedOptions): string {
  const paint = painter(options.color);
  const width = Math.max(60, options.columns);
  const head = `baseline: ${comparison.baseline.run}` +
    (comparison.baseline.run === comparison.baseline.run_id ? "" : ` (${comparison.baseline.run_id})`);
  return [
    paint.bold(head),
    ...comparison.runs.flatMap((run) => ["", ...oneRun(run, width, comparison.epsilon, paint)]),
    ...overview(comparison, paint),
    "",
    ...wrap(claims(comparison), width).map(paint.dim),
  ].join("\n") + "\n";
}

/** Several runs at a glance: one line a run and candidate. */
function overview({ runs, epsilon }: RunsComparison, paint: Painter): string[] {
  if (runs.length < 2) return [];
  const rows = runs.flatMap((run) =>
    run.candidates.map((one) => {
      const latency = one.metrics.find((metric) => metric.metric === "latency_s");
      const verdict = one.status === "measured" && latency !== undefined
        ? verdictText(latency.verdict, epsilon, paint)
        : paint.red(one.status);
      const ratio = latency?.ratio ?? null;
      const interval = latency?.ci95 ?? null;
      return [
        one.candidate,
        run.run,
        plain(ratio),
        interval === null ? "—" : interval.map(plain).join("–"),
        verdict,
      ];
    })
  );
  // Runs of one candidate under one another: that is what a class compares.
  rows.sort(([a = ""], [b = ""]) => a < b ? -1 : a > b ? 1 : 0);
  const head = ["candidate", "run", "latency ratio", "95 % interval", "verdict"];
  return ["", paint.bold("all runs against the baseline"), textTable(head, rows)];
}

function claims({ epsilon, control }: RunsComparison): string {
  const ratios =
    "Ratios are later run / baseline, geometric means over the prompts that both hold; intervals are " +
    "95 %, resampled by prompt.";
  const percent = Math.round(epsilon * 100);
  return control === null
    ? `${ratios} Two runs share no clock, so nothing below ± ${percent} % is claimed: name an unchanged candidate ` +
      `with --control, or measure both in one interleaved run to see less.`
    : `${ratios} Each request is divided by ${control}'s own in the same block, which takes out what the machine did.`;
}

function oneRun(run: RunChange, width: number, epsilon: number, paint: Painter): string[] {
  const lines = [paint.bold(`against it: ${run.run}${run.run === run.run_id ? "" : ` (${run.run_id})`}`)];
  for (const one of run.differences) {
    const text = `${one.what}: ${one.before} → ${one.after}${
      one.blocking ? " (times are not comparable)" : ""
    }`;
    const [first = "", ...rest] = wrap(text, width - 2);
    lines.push(`${one.blocking ? paint.red("✗") : "·"} ${first}`, ...rest.map((line) => `  ${line}`));
  }
  for (const one of run.candidates) lines.push("", ...oneCandidate(one, width, epsilon, paint));
  if (run.only_before.length > 0) lines.push(`only in the baseline: ${run.only_before.join(", ")}`);
  if (run.only_after.length > 0) lines.push(`only in this run: ${run.only_after.join(", ")}`);
  return lines;
}

function oneCandidate(one: CandidateChange, width: number, epsilon: number, paint: Painter): string[] {
  const renamed = one.before === one.candidate ? "" : ` (was ${one.before}, matched by alias)`;
  const lines = [paint.bold(one.candidate) + renamed];
  if (one.status !== "measured") {
    const reason = one.reason === null ? "" : `: ${one.reason}`;
    return [...lines, ...wrap(`${one.status}${reason}`, width - 2).map((line) => `  ${paint.red(line)}`)];
  }
  const { before, after } = one.requests;
  if (before.failed + after.failed > 0) {
    lines.push(
      `  failed requests: ${before.failed} of ${before.ok + before.failed} → ${after.failed} of ${
        after.ok + after.failed
      }`,
    );
  }
  lines.push(lengthLine(one));
  lines.push(textTable(
    ["metric", "ratio", "95 % interval", "prompts", "n", "verdict"],
    one.metrics.map((metric) => [
      metricTitles[metric.metric],
      plain(metric.ratio),
      metric.ci95 === null ? "—" : metric.ci95.map(plain).join("–"),
      String(metric.prompts),
      String(metric.n),
      verdictText(metric.verdict, epsilon, paint),
    ]),
  ));
  const whys = [...new Set(one.metrics.map((metric) => metric.why).filter((why) => why !== ""))];
  for (const why of whys) lines.push(...wrap(why, width - 2).map((line) => `  ${paint.dim(line)}`));
  return [...lines.filter((line) => line !== ""), ...answerLines(one, width)];
}

/** A change of length explains a change of latency. */
function lengthLine({ output_tokens: { before, after } }: CandidateChange): string {
  if (before === null || after === null) return "";
  return Math.abs(after / before - 1) < 0.02 ? "" : `  tokens an answer: ${plain(before)} → ${plain(after)}`;
}

/** All compared metrics are times or rates: better is faster. */
function verdictText(verdict: MetricChange["verdict"], epsilon: number, paint: Painter): string {
  if (verdict === "worse") return paint.red("slower");
  if (verdict === "better") return paint.bold("faster");
  return verdict === "similar" ? `within ± ${Math.round(epsilon * 100)} %` : verdict;
}

function answerLines({ answers }: CandidateChange, width: number): string[] {
  if (answers.skipped !== null) {
    return wrap(`answers not compared as text: ${answers.skipped}`, width - 2).map((line) => `  ${line}`);
  }
  if (answers.compared === 0) return [];
  if (answers.changed.length === 0) {
    return [`  answers: ${counted(answers.compared, "answer")} compared, all the same`];
  }
  const [firsts, changed] = [
    new Map(answers.changed.map((one) => [one.prompt, one])),
    answers.changed.length,
  ];
  const shown = [...firsts.values()].slice(0, maxQuoted);
  const quoted = shown.flatMap(({ prompt, round, before, after }) => [
    `    ${prompt}, round ${round}`,
    `      - ${around(before, after, width - 10)}`,
    `      + ${around(after, before, width - 10)}`,
  ]);
  const more = changed - shown.length;
  return [
    `  answers: ${changed} of ${answers.compared} changed, the last of each prompt:`,
    ...quoted,
    ...(more > 0 ? [`    and ${more} more (--json lists all)`] : []),
  ];
}

/** The first difference with a little before it, on one line. */
function around(text: string, other: string, width: number): string {
  let at = 0;
  while (at < text.length && text[at] === other[at]) at++;
  const from = Math.max(0, at - 20);
  const part = text.slice(from, from + width - 2).replaceAll(/\s+/g, " ");
  return `${from > 0 ? "…" : ""}${part}${from + width - 2 < text.length ? "…" : ""}`;
}
