/** A capacity report as Markdown, CSV, page, figures and text for a terminal. */
import { join } from "node:path";
import type { CapacityReport } from "../bench/capacity.ts";
import type { CandidateCapacity, CapacityLevel } from "../bench/search_capacity.ts";
import { replaceFile } from "../bench/folder.ts";
import { formatCsv } from "../csv.ts";
import { markup } from "../markup.ts";
import { curvePlot } from "../plot/curve.ts";
import type { Figure } from "../plot/figure.ts";
import { durationAxis } from "../plot/scale.ts";
import { terminalLine } from "../terminal_text.ts";
import { fittedTable } from "./fitted_table.ts";
import {
  capacityConditions,
  capacityHead,
  capacityLimits,
  capacityRows,
  capacitySentences,
  kindTitles,
  loadCurves,
  type MeasuredLoad,
} from "./capacity_text.ts";
import { markdownTable } from "./markdown.ts";
import { figureMarkup, pageHead, textTableMarkup, withNames } from "./page_parts.ts";
import { indented, wrap } from "./terminal_layout.ts";

/** capacity.md, capacity.csv and capacity.html in the folder of a search; returns their paths. */
export async function writeCapacityReports(folder: string, report: CapacityReport): Promise<string[]> {
  const texts = {
    "capacity.md": capacityMarkdown(report),
    "capacity.csv": capacityCsv(report),
    "capacity.html": capacityPage(report),
  };
  const written: string[] = [];
  for (const [name, text] of Object.entries(texts)) {
    await replaceFile(join(folder, name), text);
    written.push(join(folder, name));
  }
  return written;
}

/** capacity.md. */
export function capacityMarkdown(report: CapacityReport): string {
  return [
    `# Capacity \`${report.capacity_id}\``,
    capacitySentences(report).map((text) => `- ${text}`).join("\n"),
    ...report.candidates.flatMap((one) =>
      loadCurves(one).flatMap((curve) => [
        `## \`${one.id}\`, ${kindTitles[curve.kind]}`,
        markdownTable(capacityHead, capacityRows(curve)),
      ])
    ),
    capacityConditions(report),
  ].join("\n\n") + "\n";
}

/** capacity.html: one page that loads nothing. */
export function capacityPage(report: CapacityReport): string {
  const sections = report.candidates.map((one) =>
    markup`<section><h2>${one.id}</h2>${
      loadCurves(one).map((curve) =>
        textTableMarkup(`Load in ${kindTitles[curve.kind]}`, capacityHead, capacityRows(curve))
      )
    }<div class="figures">${capacityFigures(report, one).map(figureMarkup)}</div></section>`
  );
  return String(markup`<!doctype html>
<html lang="en">${pageHead("Capacity")}<body>
<header><p class="kicker">Podium capacity · ${report.created_at.slice(0, 10)} · ${report.status}</p>
<h1>How much load within limits</h1><p class="lede">${capacityLimits(report)}</p></header>
<main><ul class="highlights" aria-label="Findings">${
    capacitySentences(report).map((text) => markup`<li class="finding">${withNames(text)}</li>`)
  }</ul>${sections}
<section><h2>Conditions</h2><p class="note">${capacityConditions(report)}</p></section></main></body></html>
`);
}

/** The columns of a narrow terminal. */
const mostNeeded: readonly string[] = ["Load", "Verdict", "n", "In limits", "Goodput/s", "Latency", "TTFT"];

/** The findings and a table per kind of load, `columns` wide, for a terminal. */
export function terminalCapacity(report: CapacityReport, columns: number): string {
  const width = Math.max(60, columns);
  const shown = (cells: readonly string[]) =>
    width < 120 ? cells.filter((_, at) => mostNeeded.includes(capacityHead[at] ?? "")) : cells;
  const tables = report.candidates.flatMap((one) =>
    loadCurves(one).map((curve) =>
      `${terminalLine(one.id)}, ${kindTitles[curve.kind]}:\n${
        fittedTable(shown(capacityHead), capacityRows(curve).map(shown), width)
      }`
    )
  );
  const found = capacitySentences(report).flatMap((text) => indented(text.replaceAll("`", ""), width, "•"));
  return [...tables, found.join("\n"), wrap(capacityConditions(report), width).join("\n")].join("\n\n");
}

/** One level with the candidate and the search that it belongs to. */
interface LevelRow {
  readonly report: CapacityReport;
  readonly id: string;
  readonly curve: MeasuredLoad;
  readonly level: CapacityLevel;
}

const csvColumns: readonly (readonly [name: string, of: (row: LevelRow) => string | number | null])[] = [
  ["capacity_id", ({ report }) => report.capacity_id],
  ["candidate", ({ id }) => id],
  ["kind", ({ curve }) => curve.kind],
  ["load", ({ level }) => level.load],
  ["verdict", ({ level }) => level.verdict],
  ["capacity", ({ level, curve }) => String(level.load === curve.best)],
  ["knee", ({ level, curve }) => String(level.load === curve.knee)],
  ["n", ({ level }) => level.n],
  ["failed", ({ level }) => level.failed],
  ["within_limits", ({ level }) => level.share],
  ["within_limits_low", ({ level }) => level.low],
  ["within_limits_high", ({ level }) => level.high],
  ["due_per_s", ({ level }) => level.due_per_s],
  ["completed_per_s", ({ level }) => level.completed_per_s],
  ["goodput_per_s", ({ level }) => level.goodput_per_s],
  ["saturated", ({ level }) => String(level.saturated)],
  ["latency_s_mean", ({ level }) => level.latency_s.mean],
  ["latency_s_p95", ({ level }) => level.latency_s.p95],
  ["ttft_s_mean", ({ level }) => level.ttft_s.mean],
  ["ttft_s_p95", ({ level }) => level.ttft_s.p95],
  ["tpot_s_mean", ({ level }) => level.tpot_s.mean],
  ["tpot_s_p95", ({ level }) => level.tpot_s.p95],
  ["disturbed", ({ level }) => level.disturbed],
];

/** capacity.csv: one row per candidate and level, in numbers. */
export function capacityCsv(report: CapacityReport): string {
  const rows = report.candidates.flatMap((one) =>
    loadCurves(one).flatMap((curve) => curve.levels.map((level) => ({ report, id: one.id, curve, level })))
  );
  return formatCsv(
    csvColumns.map(([name]) => name),
    rows.map((row) => csvColumns.map(([, of]) => of(row))),
  );
}

/** Goodput and completed requests, time to first token and time per token, against load. */
export function capacityFigures({ slo }: CapacityReport, candidate: CandidateCapacity): Figure[] {
  return loadCurves(candidate).flatMap((curve) => [
    throughputFigure(candidate.id, curve),
    ...timeFigure(candidate.id, curve, "Time to first token", ({ ttft_s }) => ttft_s, slo.ttft_s),
    ...timeFigure(candidate.id, curve, "Latency", ({ latency_s }) => latency_s, slo.e2e_s),
    ...timeFigure(candidate.id, curve, "Time per token", ({ tpot_s }) => tpot_s, null),
  ]);
}

function throughputFigure(id: string, curve: MeasuredLoad): Figure {
  const due = curve.kind === "users"
    ? "what the users would send if nobody waited"
    : "the requests that came";
  return curvePlot([
    { name: "goodput", points: loadPoints(curve, ({ goodput_per_s }) => goodput_per_s) },
    { name: "completed", points: loadPoints(curve, ({ completed_per_s }) => completed_per_s) },
    { name: "due", points: loadPoints(curve, ({ due_per_s }) => due_per_s) },
  ], {
    ...loadAxis(curve),
    title: `Goodput against ${curve.kind}: ${id}`,
    y: "requests/s",
    caption: `Goodput: completed requests per second within the limits. Due: ${due}. ${levelsText(curve)}`,
  });
}

/** Mean and p95 of a time against load; none where it was never measured. */
function timeFigure(
  id: string,
  curve: MeasuredLoad,
  title: string,
  of: (level: CapacityLevel) => CapacityLevel["ttft_s"],
  limit: number | null,
): Figure[] {
  const means = loadPoints(curve, (level) => of(level).mean);
  if (means.length === 0) return [];
  const p95s = loadPoints(curve, (level) => of(level).p95);
  const { unit, factor } = durationAxis([...means, ...p95s].map(({ y }) => y));
  const inUnit = (points: typeof means) => points.map(({ x, y }) => ({ x, y: factor * y }));
  return [curvePlot([{ name: "mean", points: inUnit(means) }, { name: "p95", points: inUnit(p95s) }], {
    ...loadAxis(curve),
    title: `${title} against ${curve.kind}: ${id}`,
    y: unit,
    limit: limit === null ? null : factor * limit,
    caption: levelsText(curve),
  })];
}

function loadPoints({ levels }: MeasuredLoad, of: (level: CapacityLevel) => number | null) {
  return levels.flatMap((level) => {
    const y = of(level);
    return y === null ? [] : [{ x: level.load, y }];
  });
}

function loadAxis({ kind, best, knee }: MeasuredLoad) {
  const marks = [
    ...(knee === null ? [] : [{ x: knee, name: knee === best ? "knee = capacity" : "knee" }]),
    ...(best === null || best === knee ? [] : [{ x: best, name: "capacity" }]),
  ];
  return { x: kind === "users" ? "users" : "requests/s", xScale: "log", marks } as const;
}

function levelsText({ levels }: MeasuredLoad): string {
  const n = levels.map((level) => level.n);
  return `n = ${Math.min(...n)} to ${Math.max(...n)} requests per dot.`;
}
