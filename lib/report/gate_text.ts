/** A gate's report as text, as Markdown for a pull request, and as JUnit XML for a CI server. */
import type { GatedPart, GateReport } from "../bench/gate.ts";
import { escapeHtml } from "../markup.ts";

/**
 * The report as lines for a terminal: the verdict, one line per part, the scope and what was corrected.
 *
 * ```ts
 * const report = { baseline: "old", run: "new", verdict: "can't tell", parts: [], scope: "cases like these (0 cases)",
 *   correction: "none" } as const;
 * if (!gateText(report).startsWith("Can't tell: new against old")) throw new Error(gateText(report));
 * ```
 */
export function gateText(report: GateReport): string {
  return [
    headline(report),
    ...report.parts.map((one) =>
      `  ${one.verdict.padEnd(10)} ${one.candidate}: ${partName(one)} ${changeText(one)}, ${one.cases} cases${
        why(one)
      }`
    ),
    `Scope: ${report.scope}. Intervals are 90 %. ${report.correction}.`,
  ].join("\n");
}

const countOf = (verdict: GatedPart["verdict"], parts: readonly GatedPart[]) =>
  parts.filter((one) => one.verdict === verdict).length;

function headline({ verdict, run, baseline, parts }: GateReport): string {
  const told = parts.length === 0
    ? "nothing to compare"
    : `${countOf("pass", parts)} of ${parts.length} parts pass, ${countOf("fail", parts)} fail`;
  return `${verdict.charAt(0).toUpperCase()}${verdict.slice(1)}: ${run} against ${baseline} (${told})`;
}

/** The report as Markdown, for a comment on a pull request. */
export function gateMarkdown(report: GateReport): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = report.parts.map((one) =>
    `| ${one.verdict} | ${cell(one.candidate)} | ${partName(one)} | ${
      cell(changeText(one))
    } | ${one.cases} | ${cell(one.why)} |`
  );
  return [
    `## ${headline(report)}`,
    "",
    "| Verdict | Candidate | Part | Change (90 % interval) and limit | Cases | Note |",
    "| --- | --- | --- | --- | --- | --- |",
    ...rows,
    "",
    `Scope: ${report.scope}. ${report.correction}.`,
    "",
  ].join("\n");
}

/** The report as JUnit XML: one test case per part; "can't tell" is an error, not a failure. */
export function gateJUnit({ run, baseline, parts }: GateReport): string {
  const cases = parts.map((one) => {
    const head = `    <testcase classname="${escapeHtml(one.candidate)}" name="${
      escapeHtml(partName(one))
    }">`;
    const message = escapeHtml(`${changeText(one)}, ${one.cases} cases${why(one)}`);
    if (one.verdict === "pass") return `${head}<system-out>${message}</system-out></testcase>`;
    const element = one.verdict === "fail" ? "failure" : "error";
    return `${head}<${element} message="${message}"/></testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites><testsuite name="${escapeHtml(`podium gate: ${run} against ${baseline}`)}" ` +
    `tests="${parts.length}" failures="${countOf("fail", parts)}" errors="${countOf("can't tell", parts)}">`,
    ...cases,
    "</testsuite></testsuites>",
    "",
  ].join("\n");
}

const isShare = ({ part }: GatedPart) => part === "failures" || part === "quality";

/** `1.04 × (0.98 to 1.10), at most 1.10 ×`; points for failures and quality. */
function changeText(one: GatedPart): string {
  const show = (value: number) =>
    isShare(one) ? `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}` : `${value.toFixed(2)} ×`;
  const found = one.change === null
    ? "unknown"
    : `${show(one.change)}${one.interval === null ? "" : ` (${one.interval.map(show).join(" to ")})`}`;
  return `${found}, at most ${show(one.limit)}`;
}

const named = { "latency": "latency", "ttft": "TTFT", "time per token": "time per token" } as const;
const partName = (one: GatedPart) =>
  one.part === "failures"
    ? "failure rate up by"
    : one.part === "quality"
    ? "quality down by"
    : named[one.part];

const why = ({ why }: GatedPart) => why === "" ? "" : `; ${why}`;
