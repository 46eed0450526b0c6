/** A capacity report as terminal text, Markdown, CSV and figures: one source, so that they agree. */
import type { CandidateCapacity, CapacityLevel, CapacityReport, LoadCurve } from "../bench/capacity.ts";
import { join } from "node:path";
import { replaceFile } from "../bench/folder.ts";
import { formatCsv } from "../csv.ts";
import { curvePlot } from "../plot/curve.ts";
import type { Figure } from "../plot/figure.ts";
import { durationAxis } from "../plot/scale.ts";
import { counted, missing, plain, seconds, unbroken } from "./format.ts";
import { escapeHtml } from "../markup.ts";
import { inlineCode, prose } from "./page_parts.ts";
import { markdownTable } from "./markdown.ts";
import { pageStyle } from "./page_style.ts";
import { holdsWords, wrap } from "./terminal_layout.ts";
import { fittedTable } from "./fitted_table.ts";
import { terminalLine } from "../terminal_text.ts";

type Kind = "users" | "rate";

const curvesOf = (one: CandidateCapacity): [Kind, LoadCurve][] => [
  ...(one.users === null ? [] : [["users", one.users] as [Kind, LoadCurve]]),
  ...(one.rate === null ? [] : [["rate", one.rate] as [Kind, LoadCurve]]),
];

const loadText = (kind: Kind, load: number) =>
  kind === "users" ? counted(load, "user") : `${plain(load)} requests/s`;

/** `time to first token within 2.00 s and answers within 10.0 s`. */
function limitsText({ slo }: Pick<CapacityReport, "slo">): string {
  return [
    ...(slo.ttft_s === null ? [] : [`first token within ${seconds(slo.ttft_s)}`]),
    ...(slo.e2e_s === null ? [] : [`answer within ${seconds(slo.e2e_s)}`]),
  ].join(", ");
}

/**
 * What was found, one sentence each. Names are in backticks.
 *
 * @example
 * ```ts ignore
 * for (const text of capacitySentences(report)) console.log(`- ${text}`);
 * ```
 */
export function capacitySentences(report: CapacityReport): string[] {
  const aim = `at least ${plain(100 * report.within)} % of the requests (${limitsText(report)})`;
  return report.candidates.flatMap((one) => {
    const sentences = curvesOf(one).flatMap(([kind, curve]) =>
      curveSentences(one.id, kind, curve, report, aim)
    );
    return one.problem === null ? sentences : [...sentences, `\`${one.id}\`: ${one.problem}.`];
  });
}

function curveSentences(
  id: string,
  kind: Kind,
  { best, next, knee, levels }: LoadCurve,
  { think_s }: CapacityReport,
  aim: string,
): string[] {
  const at = (load: number | null) => levels.find((level) => level.load === load);
  const [kept, out] = [at(best), at(next)];
  const thinking = kind === "users"
    ? ` who ${best === 1 ? "thinks" : "think"} for ${plain(think_s)} s on average`
    : "";
  const carries = kept === undefined
    ? `\`${id}\`: not even ${loadText(kind, levels[0]?.load ?? 1)} ${
      kind === "users" ? "was" : "were"
    } shown to meet the limits for ${aim}`
    : `\`${id}\` can serve ${loadText(kind, kept.load)}${thinking}: ${
      plain(100 * kept.share)
    } % of ${kept.n} requests met the limits, with 95 % confidence ${aim}`;
  const beyond = kept === undefined
    ? ""
    : out === undefined
    ? " No larger load was tried."
    : ` At ${loadText(kind, out.load)} ${out.verdict === "misses" ? "they don't" : "that was not shown"} (${
      plain(100 * out.share)
    } % of ${out.n})${out.saturated ? `; ${saturationText(out)}` : ""}.`;
  const bend = knee === null
    ? []
    : [`\`${id}\`: the knee is at ${loadText(kind, knee)}; beyond it waiting grows faster than throughput.`];
  const busy = levels.filter(({ disturbed }) => disturbed !== null);
  return [
    `${carries}.${beyond}`,
    ...bend,
    ...(busy.length === 0 ? [] : [
      `\`${id}\`: the machine was busy with something else at ${busy.length} of ${
        counted(levels.length, "level")
      } (${busy[0]?.disturbed ?? ""}): measure again with other programs closed.`,
    ]),
  ];
}

const saturationText = ({ completed_per_s, due_per_s }: CapacityLevel) =>
  `saturated: ${plain(completed_per_s)} of ${plain(due_per_s)} due requests/s complete`;

/** The columns that every form of the table has. */
const HEAD = [
  "Load",
  "Verdict",
  "n",
  "In limits",
  "At least",
  "Due/s",
  "Completed/s",
  "Goodput/s",
  "Latency",
  "p95",
  "TTFT",
  "Time per token",
] as const;

/** One row per level, as `HEAD` names the cells. */
export function capacityRows(kind: Kind, { best, knee, levels }: LoadCurve): string[][] {
  return levels.map((level) => [
    `${loadText(kind, level.load)}${level.load === best ? " ◀ capacity" : ""}${
      level.load === knee ? " (knee)" : ""
    }`,
    `${level.verdict}${level.saturated ? ", saturated" : ""}`,
    `${level.n}${level.failed === 0 ? "" : ` (${level.failed} failed)`}`,
    `${plain(100 * level.share)} %`,
    `${plain(100 * level.low)} %`,
    plain(level.due_per_s),
    plain(level.completed_per_s),
    plain(level.goodput_per_s),
    seconds(level.latency_s.mean),
    level.latency_s.p95 === null ? missing : seconds(level.latency_s.p95),
    seconds(level.ttft_s.mean),
    seconds(level.tpot_s.mean),
  ]);
}

/** The names of the cells of `capacityRows`. */
export const capacityHead: readonly string[] = HEAD;

/** Goodput and completed requests, time to first token and time per token, against load. */
export function capacityFigures(report: CapacityReport, one: CandidateCapacity): Figure[] {
  return curvesOf(one).flatMap(([kind, { best, knee, levels }]) => {
    const n = levels.map((level) => level.n);
    const marks = [
      ...(knee === null ? [] : [{ x: knee, name: "knee" }]),
      ...(best === null || best === knee ? [] : [{ x: best, name: "capacity" }]),
    ];
    if (best !== null && best === knee) marks[0] = { x: best, name: "knee = capacity" };
    const options = {
      x: kind === "users" ? "users" : "requests/s",
      xScale: "log",
      marks,
    } as const;
    const caption = `n = ${Math.min(...n)} to ${Math.max(...n)} requests per dot.`;
    const points = (of: (level: CapacityLevel) => number | null) =>
      levels.flatMap((level) => {
        const y = of(level);
        return y === null ? [] : [{ x: level.load, y }];
      });
    const against = kind === "users" ? "users" : "rate";
    const times = [
      ["Time to first token", (level: CapacityLevel) => level.ttft_s, report.slo.ttft_s],
      ["Latency", (level: CapacityLevel) => level.latency_s, report.slo.e2e_s],
      ["Time per token", (level: CapacityLevel) => level.tpot_s, null],
    ] as const;
    return [
      curvePlot([
        { name: "goodput", points: points((level) => level.goodput_per_s) },
        { name: "completed", points: points((level) => level.completed_per_s) },
        { name: "due", points: points((level) => level.due_per_s) },
      ], {
        ...options,
        title: `Goodput against ${against}: ${one.id}`,
        y: "requests/s",
        caption: `Goodput: completed requests per second within the limits. Due: ${
          kind === "users" ? "what the users would send if nobody waited" : "the requests that came"
        }. ${caption}`,
      }),
      ...times.flatMap(([title, of, limit]) => {
        const means = points((level) => of(level).mean);
        if (means.length === 0) return [];
        const p95s = points((level) => of(level).p95);
        const { unit, factor } = durationAxis([...means, ...p95s].map(({ y }) => y));
        const scaled = (all: typeof means) => all.map(({ x, y }) => ({ x, y: factor * y }));
        return [
          curvePlot([{ name: "mean", points: scaled(means) }, { name: "p95", points: scaled(p95s) }], {
            ...options,
            title: `${title} against ${against}: ${one.id}`,
            y: unit,
            limit: limit === null ? null : factor * limit,
            caption,
          }),
        ];
      }),
    ];
  });
}

/** capacity.csv: one row per candidate and level, in numbers. */
export function capacityCsv(report: CapacityReport): string {
  const rows = report.candidates.flatMap((one) =>
    curvesOf(one).flatMap(([kind, curve]) =>
      curve.levels.map((level) => [
        report.capacity_id,
        one.id,
        kind,
        level.load,
        level.verdict,
        level.load === curve.best ? "true" : "false",
        level.load === curve.knee ? "true" : "false",
        level.n,
        level.failed,
        level.share,
        level.low,
        level.high,
        level.due_per_s,
        level.completed_per_s,
        level.goodput_per_s,
        level.saturated ? "true" : "false",
        level.latency_s.mean,
        level.latency_s.p95,
        level.ttft_s.mean,
        level.ttft_s.p95,
        level.tpot_s.mean,
        level.tpot_s.p95,
        level.disturbed,
      ])
    )
  );
  return formatCsv([
    "capacity_id",
    "candidate",
    "kind",
    "load",
    "verdict",
    "capacity",
    "knee",
    "n",
    "failed",
    "within_limits",
    "within_limits_low",
    "within_limits_high",
    "due_per_s",
    "completed_per_s",
    "goodput_per_s",
    "saturated",
    "latency_s_mean",
    "latency_s_p95",
    "ttft_s_mean",
    "ttft_s_p95",
    "tpot_s_mean",
    "tpot_s_p95",
    "disturbed",
  ], rows);
}

/** How it was measured, in one paragraph. */
function capacityConditions(report: CapacityReport): string {
  const { cpu, cores, ram_gb, os } = report.machine;
  return `${report.prompt_set.name}, ${report.prefix} prefix, at most ${report.max_tokens} tokens per answer, seed ` +
    `${report.seed}; a level meets the limits where the lower 95 % bound of the share within them is at least ` +
    `${plain(100 * report.within)} %. ${cpu}, ${counted(cores, "core")}, ${plain(ram_gb)} GB RAM, ${os}.`;
}

/** capacity.md. */
export function capacityMarkdown(report: CapacityReport): string {
  return [
    `# Capacity \`${report.capacity_id}\``,
    capacitySentences(report).map((text) => `- ${text}`).join("\n"),
    ...report.candidates.flatMap((one) =>
      curvesOf(one).flatMap(([kind, curve]) => [
        `## \`${one.id}\`, ${kind === "users" ? "users" : "requests per second"}`,
        markdownTable(HEAD, capacityRows(kind, curve)),
      ])
    ),
    capacityConditions(report),
  ].join("\n\n") + "\n";
}

/** capacity.html: one page that loads nothing. */
export function capacityPage(report: CapacityReport): string {
  const named = (text: string) =>
    text.split("`").map((part, at) => at % 2 === 1 ? inlineCode(part) : prose(part)).join("");
  const table = (kind: Kind, curve: LoadCurve) => {
    const rows = capacityRows(kind, curve);
    const ofWords = HEAD.map((_, at) => holdsWords(rows.map((row) => row[at] ?? "")) ? ' class="text"' : "");
    return `<div class="scroll" role="region" tabindex="0" aria-label="Levels"><table><thead><tr>${
      HEAD.map((name, at) => `<th scope="col"${ofWords[at]}>${name}</th>`).join("")
    }</tr></thead><tbody>${
      rows.map(([first = "", ...cells]) =>
        `<tr><th scope="row">${escapeHtml(first)}</th>${
          cells.map((cell, at) => `<td${ofWords[at + 1]}>${escapeHtml(cell)}</td>`).join("")
        }</tr>`
      ).join("")
    }</tbody></table></div>`;
  };
  const figures = (one: CandidateCapacity) =>
    capacityFigures(report, one).map(({ title, svg, caption }) =>
      `<figure><h3>${escapeHtml(title)}</h3>${svg}<figcaption>${
        escapeHtml(unbroken(caption))
      }</figcaption></figure>`
    ).join("");
  const sections = report.candidates.map((one) =>
    `<section><h2>${escapeHtml(one.id)}</h2>${
      curvesOf(one).map(([kind, curve]) => table(kind, curve)).join("")
    }` +
    `<div class="figures">${figures(one)}</div></section>`
  ).join("");
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>Capacity · Podium</title>
<style>${pageStyle}</style></head><body>
<header><p class="kicker">Podium capacity · ${
    escapeHtml(report.created_at.slice(0, 10))
  } · ${report.status}</p>
<h1>How much load within limits</h1><p class="lede">${escapeHtml(limitsText(report))}</p></header>
<main><ul class="highlights" aria-label="Findings">${
    capacitySentences(report).map((text) => `<li class="finding">${named(text)}</li>`).join("")
  }</ul>${sections}<section><h2>Conditions</h2><p class="note">${
    escapeHtml(capacityConditions(report))
  }</p></section></main></body></html>
`;
}

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

/** The findings and a table per kind of load, `columns` wide, for a terminal. */
export function terminalCapacity(report: CapacityReport, columns: number): string {
  const width = Math.max(60, columns);
  const shown = width < 120 ? [0, 1, 2, 3, 7, 8, 10] : HEAD.map((_, at) => at);
  const pick = (cells: readonly string[]) => shown.map((at) => cells[at] ?? "");
  const tables = report.candidates.flatMap((one) =>
    curvesOf(one).map(([kind, curve]) =>
      `${terminalLine(one.id)}, ${kind === "users" ? "users" : "requests per second"}:\n${
        fittedTable(pick(HEAD), capacityRows(kind, curve).map(pick), width)
      }`
    )
  );
  const found = capacitySentences(report).flatMap((text) => {
    const [first = "", ...rest] = wrap(text.replaceAll("`", ""), width - 2);
    return [`• ${first}`, ...rest.map((line) => `  ${line}`)];
  });
  return [...tables, found.join("\n"), wrap(capacityConditions(report), width).join("\n")].join("\n\n");
}
