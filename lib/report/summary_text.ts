/** The shared parts of terminal, report.md and report.html: the rows of the main table, and the run in words. */
import { energyOf } from "../bench/energy.ts";
import { isEstimate, type PrefixKind, prefixText } from "../bench/records.ts";
import type { CandidateSummary, Comparison, Summary } from "../bench/summary_schema.ts";
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import {
  counted,
  intervalOf,
  megabytes,
  p95Of,
  percent,
  plain,
  ratio,
  seconds,
  secondsLike,
} from "./format.ts";

/** Inputs of the reader to a report. */
export interface ReportOptions {
  /** Power of the machine under load, for the energy estimate; left out: no estimate. */
  readonly watts?: number;
}

/** Whether a candidate has figures to show. */
export function measured(candidate: CandidateSummary): boolean {
  return candidate.requests.ok > 0;
}

/** Whether a candidate's token counts are estimates. */
export function estimatedTokens(candidate: CandidateSummary): boolean {
  return isEstimate(candidate.tokens.source);
}

/**
 * Whether most blocks were disturbed. The quiet rest would be a chance selection, so the summary keeps all
 * blocks and gives no verdict.
 */
export function mostlyDisturbed(summary: Summary): boolean {
  return summary.blocks.treatment === "too many";
}

/** A candidate's status in two or three words. */
export function statusText(candidate: CandidateSummary): string {
  const { ok, failed } = candidate.requests;
  switch (candidate.status) {
    case "ok":
      return "ok";
    case "partial":
      return `failed ${failed} of ${ok + failed}`;
    case "failed":
      return "failed";
    case "skipped":
      return "skipped";
  }
}

/** One table row as text, for Markdown and the terminal. */
export interface SummaryRow {
  readonly id: string;
  readonly status: string;
  readonly n: string;
  readonly latency: string;
  readonly p95: string;
  readonly ttft: string;
  readonly rate: string;
  readonly prefill: string;
  /** Requests per second within the limits, with their share; null without --slo. */
  readonly goodput: string | null;
  readonly tokens: string;
  readonly load: string;
  readonly memory: string;
  readonly energy: string | null;
}

/**
 * The rows of the main table: one per candidate, failed ones included. ≈ marks figures that depend on
 * estimated token counts.
 *
 * ```ts ignore
 * console.table(tableRows(summary, { watts: 15 }));
 * ```
 */
export function tableRows(summary: Summary, options: ReportOptions = {}): SummaryRow[] {
  const column = (of: (one: CandidateSummary) => number | null) => secondsLike(summary.candidates.map(of));
  const [latency, p95, ttft, load] = [
    column((one) => one.latency_s.mean),
    column((one) => one.latency_s.p95),
    column((one) => one.ttft_s.mean),
    column((one) => one.load_s),
  ];
  return summary.candidates.map((one) => {
    const mark = estimatedTokens(one) ? "≈ " : "";
    const energy = options.watts === undefined ? null : energyOf(one, options.watts);
    return {
      id: one.id,
      status: statusText(one),
      n: String(one.latency_s.n),
      latency: latency(one.latency_s.mean),
      p95: p95Of(one.latency_s, p95),
      ttft: ttft(one.ttft_s.mean),
      rate: one.output_tokens_per_s.mean === null ? "—" : mark + plain(one.output_tokens_per_s.mean),
      prefill: plain(one.prefill_tokens_per_s.mean),
      goodput: summary.plan.slo === null
        ? null
        : one.goodput === null
        ? "—"
        : `${plain(one.goodput.requests_per_s)}/s (${percent(one.goodput.met)})`,
      tokens: one.tokens.output_mean === null ? "—" : mark + plain(one.tokens.output_mean),
      load: load(one.load_s),
      memory: megabytes(one.memory_mb),
      energy: energy === null ? null : `≈ ${plain(energy.joulesPerAnswer)} J`,
    };
  });
}

/** The comparisons with at least one common block. */
export function comparisonsMade(summary: Summary): (Comparison & { readonly ratio: number })[] {
  return summary.comparisons.filter((one): one is Comparison & { readonly ratio: number } =>
    one.n > 0 && one.ratio !== null
  );
}

/**
 * The cases that a comparison's interval is about: cases like those measured, repeats of one case, or
 * stretches of load.
 */
export function scopeText({ unit, units }: Pick<Comparison, "unit" | "units">): string {
  if (unit === "stretch") return counted(units, "stretch", "stretches");
  return unit === "repeat" ? `this case (${units} repeats)` : `cases like these ${units}`;
}

/** A comparison as `ratio (interval), n = pairs of requests`. */
export function ratioText(one: Comparison): string {
  if (one.ratio === null) return `no common block (n = ${one.n})`;
  const interval = one.ci95 === null ? "no interval" : intervalOf(one.ci95, ratio);
  return `${ratio(one.ratio)} (${interval}), n = ${one.n}`;
}

/** The plan in one line. */
export function planText(summary: Summary): string {
  const { plan } = summary;
  const prompts = counted(plan.prompt_set.prompts.length, "prompt");
  const load = plan.rate === null ? `${counted(plan.concurrency, "client")}` : `${plan.rate} requests/s`;
  const length = plan.for_s === undefined
    ? counted(plan.rounds, "round")
    : `${counted(plan.rounds, "round")} in ${seconds(plan.for_s)}`;
  return `${prompts} (${plan.prompt_set.name}), ${length}, ${plan.warmup} warm-up, ` +
    `${
      prefixText(plan.prefix)
    }, at most ${plan.max_tokens} tokens, temperature ${plan.temperature}, ${load}, ` +
    `order ${plan.order}, seed ${plan.seed}`;
}

/** What the energy estimate rests on; empty without watts. */
export function energyText({ watts }: ReportOptions): string {
  return watts === undefined
    ? ""
    : `Energy is an estimate: output tokens ÷ tokens/s × ${watts} W, where the watts were stated, not measured.`;
}

/** What a prefix means for the time to first token. */
export const prefixMeanings: Readonly<Record<PrefixKind, string>> = {
  "cold": "every prompt begins with a new number, so the prompt cache can't help",
  "warm": "the same prompt was sent right before, so the prompt cache shortens the time to first token",
  "as is": "prompts were sent unchanged, so the prompt cache may have shortened the time to first token",
};

/** The cases that the intervals and verdicts are about, and how many claims they were corrected over. */
export function scopeSentence({ scope, comparisons, candidates, ranks }: Summary): string {
  const cases = counted(scope.cases, "case");
  const about = {
    "cases like these": `cases like these (${cases})`,
    "this case": `this one case alone (${counted(scope.units, "repeat")})`,
    "this load on these cases": `this load on these ${cases} (${
      scope.units === 1 ? "1 stretch" : `${scope.units} stretches`
    })`,
  };
  const asked = comparisons.filter(({ p_corrected }) => p_corrected !== null).length;
  return `Scope: intervals and verdicts are about ${about[scope.claim]}. ` +
    `"Better" holds with 95 % for all ${counted(asked, "comparison")} of ${
      counted(candidates.length, "candidate")
    } together.` + ranksText(ranks.filter(({ metric }) => metric === "latency_s"));
}

/** Ranks as intervals; nothing for two candidates, where the comparison says the same. */
function ranksText(ranks: Summary["ranks"]): string {
  if (ranks.length < 3) return "";
  const places = ranks.toSorted((a, b) => a.from - b.from || a.to - b.to)
    .map(({ candidate, from, to }) => `\`${candidate}\` ${from === to ? from : `${from} to ${to}`}`);
  return ` Rank by latency: ${places.join(", ")}.`;
}

/** The machine in one line, without the name of a host, user or folder. */
export function machineText({ machine }: Pick<Summary, "machine">): string {
  const gpu = machine.gpu.length === 0 ? "no GPU found" : machine.gpu.join(", ");
  return `${machine.cpu}, ${counted(machine.cores, "core")}, ${plain(machine.ram_gb)} GB RAM, ${gpu}, ` +
    `${machine.os} (${machine.arch})`;
}

/**
 * Podium's own timing error in one line, for a single client over plain HTTP, which is
 * how most runs are measured.
 *
 * ```ts ignore
 * console.log(instrumentText(selfcheck));
 * ```
 */
export function instrumentText(check: SelfcheckResult): string {
  const single = check.accuracy.find((one) => one.concurrency === 1) ?? check.accuracy[0];
  const date = check.created_at.slice(0, 10);
  if (single === undefined) return `self-check of ${date}: no accuracy measured`;
  const { ttft_error_ms: error } = single;
  const p99 = error.p99 === null ? "" : `, p99 ${plain(error.p99)} ms`;
  return `self-check of ${date}: TTFT error p50 ${
    error.p50 === null ? "unknown" : `${plain(error.p50)} ms`
  }${p99} ` +
    `(n = ${error.n}, ${single.concurrency} at a time, other programs ${
      plain(check.others_cpu_percent)
    } % of a core)`;
}
