/** The findings of a run, in sentences that a reader can act on; a warning that qualifies a finding follows it. */
import { machineWasBusy } from "../bench/noise_effect.ts";
import type { CandidateSummary, Comparison, Summary, Warning } from "../bench/summary_schema.ts";
import { adviceFor } from "../stats/planning.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { limitSentences } from "./by_length.ts";
import { sustainedSentences } from "./sustained.ts";
import { counted, intervalOf, megabytes, plain, ratio, seconds, sentence, times } from "./format.ts";
import { qualityTexts } from "./quality_table.ts";
import {
  estimatedTokens,
  measured,
  mostlyDisturbed,
  scopeSentence,
  scopeText,
  statusText,
} from "./summary_text.ts";

/** One sentence that a reader can act on. Names in it are in backticks. */
export interface Highlight {
  /** A qualification follows the finding that it can void; a caution concerns the whole run. */
  readonly kind: "finding" | "qualification" | "failure" | "caution";
  readonly text: string;
}

/** The note of a report of speed where no answer was scored. */
const speedRecommendsNothing =
  "Speed alone recommends nothing: no answer in this run was checked or rated. Read the answers side by side before " +
  "choosing a model.";

/** This report shows speed and quality, but does not combine them. */
const combinedBySelect =
  "This report does not weigh speed against quality; deno task select does, within your limits.";

/** The warnings that can void each kind of finding, and so follow it. */
const voidedBy: Readonly<Record<"quality" | "latency" | "ttft" | "throughput", readonly Warning["code"][]>> =
  {
    quality: ["plain-chat-template", "request-changed"],
    latency: [
      "answers-cut",
      "lengths-differ",
      "drift-not-controlled",
      "load-missed",
      "client-bottleneck",
      "device-fallback",
      "engine-ways-differ",
      "request-changed",
      "drift-seen",
      "not-stable",
      "short-stretches",
      "few-stretches",
    ],
    ttft: ["cache-hit", "shared-cache", "warm-prefix", "prefix-as-is"],
    throughput: ["estimated-tokens", "server-disagrees"],
  };

/**
 * The findings of a run: quality first, then who is faster where that is settled and what can't be told apart, what
 * failed, and what qualifies the figures. A warning that can void a finding comes right after it.
 *
 * @example
 * ```ts ignore
 * for (const { text } of highlights(summary)) console.log(`- ${text}`);
 * ```
 */
export function highlights(summary: Summary, quality: QualityReport | null = null): Highlight[] {
  const ready = summary.candidates.filter(measured);
  const scored = quality === null ? [] : qualityTexts(quality);
  const shown = new Set<Warning>();
  const qualified = (kind: keyof typeof voidedBy, findings: readonly Highlight[]): Highlight[] => {
    if (findings.length === 0) return [];
    const warnings = summary.warnings.filter((one) => voidedBy[kind].includes(one.code));
    for (const warning of warnings) shown.add(warning);
    return [...findings, ...warnings.map(qualification)];
  };
  const findings = [
    ...qualified("quality", scored.map((text) => ({ kind: "finding", text }))),
    ...(scored.length === 0 ? [] : quality?.warnings.map(qualification) ?? []),
    ...(summary.plan.mode === "race" ? [raceCaution] : []),
    ...summary.warnings.filter(({ code }) => code === "noise").map(caution),
    ...qualified("latency", leader(summary, ready, "latency_s")),
    ...qualified("ttft", leader(summary, ready, "ttft_s")),
    ...qualified("throughput", throughput(ready)),
    ...goodput(ready),
    ...sustainedSentences(summary).map((text) => ({ kind: "finding" as const, text })),
    ...limitSentences(summary).map((text) => ({ kind: "finding" as const, text })),
    ...(ready.length > 1 ? [{ kind: "finding" as const, text: scopeSentence(summary) }] : []),
    ...memory(ready),
    ...failures(summary.candidates),
  ];
  const elsewhere: readonly Warning["code"][] = ["noise", "failures", "skipped"];
  const further = summary.warnings.filter((one) => !shown.has(one) && !elsewhere.includes(one.code)).length;
  return [
    ...findings,
    ...(further === 0 ? [] : [{
      kind: "caution" as const,
      text: `The report has ${further} more ${further === 1 ? "warning" : "warnings"}.`,
    }]),
    { kind: "caution", text: scored.length === 0 ? speedRecommendsNothing : combinedBySelect },
  ];
}

function caution({ message, remedy }: Pick<Warning, "message" | "remedy">): Highlight {
  return { kind: "caution", text: `${sentence(message)} ${sentence(remedy)}` };
}

function qualification(warning: Pick<Warning, "message" | "remedy">): Highlight {
  return { ...caution(warning), kind: "qualification" };
}

type Timed = "latency_s" | "ttft_s";
const timed: Readonly<Record<Timed, { fastest: string; clearly: string; mean: string }>> = {
  latency_s: { fastest: "answers fastest", clearly: "fastest", mean: "Mean latency" },
  ttft_s: { fastest: "starts to answer first", clearly: "first to answer", mean: "Mean time to first token" },
};

/** Another candidate against the one that leads, over the blocks that both answered. */
interface Rival {
  readonly id: string;
  /** Geometric mean of other / leader; null where they share no block. */
  readonly ratio: number | null;
  readonly ci95: readonly [number, number] | null;
  readonly n: number;
  /** The cases that the interval is about. */
  readonly scope: string;
  readonly verdict: "slower" | "faster" | "similar" | "undecided";
  readonly why: string;
  readonly spread: Comparison["spread"] | null;
}

/**
 * Who leads, by the one definition that reports, `compare` and `select` share: the geometric mean of the ratios block
 * by block. A mean over all requests can point the other way, since a few long answers move it.
 */
function leader(summary: Summary, ready: readonly CandidateSummary[], metric: Timed): Highlight[] {
  const known = ready.filter((one) => one[metric].mean !== null);
  const [only] = known;
  if (only === undefined || (known.length === 1 && ready.length > 1)) return [];
  const { fastest, mean } = timed[metric];
  const meanOf = (one: CandidateSummary) =>
    `${mean}: ${seconds(one[metric].mean)}, n = ${plain(one[metric].n)}.`;
  if (known.length === 1) return [{ kind: "finding", text: `\`${only.id}\`: ${meanOf(only)}` }];
  const standings = known.map((one) => ({ one, rivals: rivalsOf(summary, one.id, known, metric) }));
  const behind = ({ rivals }: { rivals: readonly Rival[] }) =>
    rivals.filter(({ ratio }) => ratio !== null && ratio < 1).length;
  const [first] = standings.toSorted((a, b) =>
    behind(a) - behind(b) || (a.one[metric].mean ?? 0) - (b.one[metric].mean ?? 0)
  );
  if (first === undefined) return [];
  const { one, rivals } = first;
  const nearest = rivals.toSorted((a, b) => (a.ratio ?? 0) - (b.ratio ?? 0))[0];
  if (rivals.some(({ verdict }) => verdict !== "slower") || nearest === undefined) {
    return [{ kind: "finding", text: `${unsettled(summary, one.id, rivals, metric)} ${meanOf(one)}` }];
  }
  const text = `\`${one.id}\` ${fastest}: \`${nearest.id}\` takes ${evidence(nearest)}. ${meanOf(one)}`;
  return [{ kind: "finding", text }];
}

/** `1.54 times as long (95 % interval 1.48–1.60 for cases like these 10, n = 20)`. */
function evidence({ ratio: found, ci95, n, scope }: Rival): string {
  const interval = ci95 === null ? "" : `95 % interval ${intervalOf(ci95, ratio)} for ${scope}, `;
  return `${times(found ?? NaN)} as long (${interval}n = ${n})`;
}

/** The candidate that leads, where it is not settled that it does. */
function unsettled(summary: Summary, first: string, rivals: readonly Rival[], metric: Timed): string {
  if (mostlyDisturbed(summary)) {
    const ratios = rivals.filter((rival) => rival.ratio !== null).map((rival) =>
      `\`${rival.id}\` takes ${evidence(rival)}`
    );
    return `No verdict on who ${timed[metric].fastest}: ${
      machineWasBusy(summary.blocks.busiest)
    }. Provisionally, \`${first}\` leads` +
      (ratios.length === 0 ? "." : `: ${listed(ratios)}.`);
  }
  const named = (verdict: Rival["verdict"]) =>
    rivals.filter((rival) => rival.verdict === verdict).map((rival) =>
      verdict === "undecided" && rival.ratio !== null
        ? `\`${rival.id}\`, which takes ${evidence(rival)}`
        : `\`${rival.id}\``
    );
  const [similar, open] = [named("similar"), named("undecided")];
  const parts = [
    similar.length > 0 ? `${listed(similar)} ${similar.length === 1 ? "is" : "are"} within 10 % of it` : "",
    open.length > 0 ? `the run can't tell it apart from ${listed(open)}` : "",
  ].filter((part) => part !== "");
  const whys = [...new Set(rivals.filter(({ verdict }) => verdict === "undecided").map(({ why }) => why))];
  const next = `${whys.map((why) => why === "" ? "" : ` ${sentence(why)}`).join("")}${
    adviceOn(summary, rivals)
  }`;
  return `No candidate is clearly ${timed[metric].clearly}: \`${first}\` leads, but ${
    parts.join(", and ")
  }.` +
    (open.length > 0 ? next : "");
}

/** What would narrow the widest interval, by the spread between cases and between repeats. */
function adviceOn({ plan, scope }: Summary, rivals: readonly Rival[]): string {
  const [widest] = rivals.filter(({ verdict, spread }) => verdict === "undecided" && spread !== null)
    .toSorted((a, b) => (b.spread?.between ?? 0) - (a.spread?.between ?? 0));
  const between = widest?.spread?.between ?? null;
  if (between === null || scope.claim !== "cases like these") return "";
  const spread = { between, within: widest?.spread?.within ?? null };
  const advice = adviceFor(spread, { cases: scope.cases, rounds: plan.rounds, wanted: Math.log(1.1) });
  return ` An interval of ${advice}.`;
}

function rivalsOf(
  summary: Summary,
  first: string,
  known: readonly CandidateSummary[],
  metric: Timed,
): Rival[] {
  return known.filter(({ id }) => id !== first).map(({ id }) => {
    const found = summary.comparisons.find((one) =>
      one.metric === metric && (one.a === id ? one.b === first : one.a === first && one.b === id)
    );
    if (found === undefined || found.ratio === null) {
      return {
        id,
        ratio: null,
        ci95: null,
        n: 0,
        scope: "no case",
        verdict: "undecided",
        why: "",
        spread: null,
      };
    }
    const { why, spread, n } = found;
    const scope = scopeText(found);
    return found.a === id
      ? {
        why,
        spread,
        id,
        ratio: found.ratio,
        ci95: found.ci95,
        n,
        scope,
        verdict: verdictOn("a better", found),
      }
      : {
        why,
        spread,
        id,
        ratio: 1 / found.ratio,
        ci95: found.ci95 === null ? null : [1 / found.ci95[1], 1 / found.ci95[0]],
        n,
        scope,
        verdict: verdictOn("b better", found),
      };
  });
}

/** The stored verdict as one on the rival; `faster` is how the comparison words it when the rival is faster. */
function verdictOn(faster: Comparison["verdict"], { verdict }: Comparison): Rival["verdict"] {
  if (verdict === "similar" || verdict === "undecided") return verdict;
  return verdict === faster ? "faster" : "slower";
}

function throughput(ready: readonly CandidateSummary[]): Highlight[] {
  const rates = ready.filter((one) => one.decode_tokens_per_s.mean !== null).map((one) =>
    `\`${one.id}\` ${plain(one.decode_tokens_per_s.mean)}${estimatedTokens(one) ? " (estimated tokens)" : ""}`
  );
  if (rates.length < 2) return [];
  const text =
    `Decode speed in tokens/s: ${rates.join(", ")}. Models split text into different tokens, so compare ` +
    "characters/s too.";
  return [{ kind: "finding", text }];
}

function goodput(ready: readonly CandidateSummary[]): Highlight[] {
  return ready.flatMap(({ id, goodput }) =>
    goodput === null ? [] : [{
      kind: "finding" as const,
      text: `\`${id}\`: ${plain(100 * goodput.met)} % of ${
        counted(goodput.n, "request")
      } met the limits, a goodput of ${plain(goodput.requests_per_s)} requests/s.`,
    }]
  );
}

function memory(ready: readonly CandidateSummary[]): Highlight[] {
  const known = ready.filter((one) => one.memory_mb !== null)
    .toSorted((a, b) => (a.memory_mb ?? 0) - (b.memory_mb ?? 0));
  if (known.length === 0) return [];
  const each = known.map((one) => `\`${one.id}\` ${megabytes(one.memory_mb)}`).join(", ");
  return [{ kind: "finding", text: `Memory of the engine process (largest resident size): ${each}.` }];
}

function failures(candidates: readonly CandidateSummary[]): Highlight[] {
  return candidates.filter((one) => one.status !== "ok").map((one) => {
    const what = one.reason === null ? statusText(one) : one.status === "partial" ? "" : `${one.status}: `;
    return { kind: "failure", text: `\`${one.id}\`: ${what}${one.reason ?? ""}.` };
  });
}

/** A race stops when it has seen enough, so intervals for a fixed sample size don't hold. */
const raceCaution: Highlight = {
  kind: "caution",
  text:
    "This run was a race: it stopped when the evidence sufficed. Its verdict is in decision.json; the intervals " +
    "here assume a fixed number of requests and are too narrow.",
};

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
