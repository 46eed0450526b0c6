/**
 * Who leads in a time, by the one definition that reports, `compare` and `select` share: the
 * geometric mean of the ratios block by block. A mean over all requests can point the other way,
 * since a few long answers move it.
 */
import { machineWasBusy } from "../bench/noise_effect.ts";
import type { CandidateSummary, Comparison, Summary } from "../bench/summary_schema.ts";
import { adviceFor } from "../stats/planning.ts";
import { intervalOf, plain, ratio, seconds, sentence, times } from "./format.ts";
import { mostlyDisturbed, scopeText } from "./summary_text.ts";

type Timed = "latency_s" | "ttft_s";
const words: Readonly<Record<Timed, { fastest: string; clearly: string; mean: string }>> = {
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
 * The candidate that leads, and by how much or why that is not settled. Names are in backticks.
 *
 * @param ready the candidates with figures
 * @returns one sentence or none
 */
export function leaderSentences(
  summary: Summary,
  ready: readonly CandidateSummary[],
  metric: Timed,
): string[] {
  const known = ready.filter((one) => one[metric].mean !== null);
  const [only] = known;
  if (only === undefined || (known.length === 1 && ready.length > 1)) return [];
  const { fastest, mean } = words[metric];
  const meanOf = ({ [metric]: { mean: value, n } }: CandidateSummary) =>
    `${mean}: ${seconds(value)}, n = ${plain(n)}.`;
  if (known.length === 1) return [`\`${only.id}\`: ${meanOf(only)}`];
  const [first] = known.map((one) => {
    const rivals = rivalsOf(summary, one.id, known, metric);
    return { one, rivals, ahead: rivals.filter(({ ratio }) => ratio !== null && ratio < 1).length };
  }).toSorted((a, b) => a.ahead - b.ahead || (a.one[metric].mean ?? 0) - (b.one[metric].mean ?? 0));
  if (first === undefined) return [];
  const { one, rivals } = first;
  const [nearest] = rivals.toSorted((a, b) => (a.ratio ?? 0) - (b.ratio ?? 0));
  if (rivals.some(({ verdict }) => verdict !== "slower") || nearest === undefined) {
    const text = mostlyDisturbed(summary)
      ? provisional(summary, one.id, rivals, metric)
      : unsettled(summary, one.id, rivals, metric);
    return [`${text} ${meanOf(one)}`];
  }
  return [`\`${one.id}\` ${fastest}: \`${nearest.id}\` takes ${evidence(nearest)}. ${meanOf(one)}`];
}

function rivalsOf(
  { comparisons }: Summary,
  leader: string,
  known: readonly CandidateSummary[],
  metric: Timed,
): Rival[] {
  return known.filter(({ id }) => id !== leader).map(({ id }) => {
    const found = comparisons.find(({ metric: of, a, b }) =>
      of === metric && (a === id && b === leader || a === leader && b === id)
    );
    if (found === undefined || found.ratio === null) {
      const none = { ratio: null, ci95: null, n: 0, scope: "no case", why: "", spread: null };
      return { id, ...none, verdict: "undecided" };
    }
    const { n, why, spread, verdict, ci95 } = found;
    const isFirst = found.a === id;
    return {
      id,
      ratio: isFirst ? found.ratio : 1 / found.ratio,
      ci95: isFirst || ci95 === null ? ci95 : [1 / ci95[1], 1 / ci95[0]],
      n,
      scope: scopeText(found),
      verdict: verdict === "similar" || verdict === "undecided"
        ? verdict
        : verdict === (isFirst ? "a better" : "b better")
        ? "faster"
        : "slower",
      why,
      spread,
    };
  });
}

/** `1.54 times as long (95 % interval 1.48–1.60 for cases like these 10, n = 20)`. */
function evidence({ ratio: found, ci95, n, scope }: Rival): string {
  const interval = ci95 === null ? "" : `95 % interval ${intervalOf(ci95, ratio)} for ${scope}, `;
  return `${times(found ?? NaN)} as long (${interval}n = ${n})`;
}

/** Where other programs disturbed most blocks. */
function provisional({ blocks }: Summary, leader: string, rivals: readonly Rival[], metric: Timed): string {
  const ratios = rivals.filter((rival) => rival.ratio !== null)
    .map((rival) => `\`${rival.id}\` takes ${evidence(rival)}`);
  return `No verdict on who ${words[metric].fastest}: ${
    machineWasBusy(blocks.busiest)
  }. Provisionally, \`${leader}\` leads${ratios.length === 0 ? "" : `: ${listed(ratios)}`}.`;
}

/** Where a rival is within the limit of what matters, or can't be told apart. */
function unsettled(summary: Summary, leader: string, rivals: readonly Rival[], metric: Timed): string {
  const similar = rivals.filter(({ verdict }) => verdict === "similar").map(({ id }) => `\`${id}\``);
  const open = rivals.filter(({ verdict }) => verdict === "undecided");
  const openNames = open.map((rival) =>
    rival.ratio === null ? `\`${rival.id}\`` : `\`${rival.id}\`, which takes ${evidence(rival)}`
  );
  const parts = [
    ...(similar.length === 0
      ? []
      : [`${listed(similar)} ${similar.length === 1 ? "is" : "are"} within 10 % of it`]),
    ...(open.length === 0 ? [] : [`the run can't tell it apart from ${listed(openNames)}`]),
  ];
  const whys = [...new Set(open.map(({ why }) => why).filter((why) => why !== ""))];
  return [
    `No candidate is clearly ${words[metric].clearly}: \`${leader}\` leads, but ${parts.join(", and ")}.`,
    ...whys.map(sentence),
    ...adviceOn(summary, open),
  ].join(" ");
}

/** What would narrow the widest interval, by the spread between cases and between repeats. */
function adviceOn({ plan, scope }: Summary, open: readonly Rival[]): string[] {
  const [widest] = open.flatMap(({ spread }) => spread ?? [])
    .toSorted((a, b) => (b.between ?? 0) - (a.between ?? 0));
  const between = widest?.between ?? null;
  if (between === null || scope.claim !== "cases like these") return [];
  const spread = { between, within: widest?.within ?? null };
  const advice = adviceFor(spread, { cases: scope.cases, rounds: plan.rounds, wanted: Math.log(1.1) });
  return [`An interval of ${advice}.`];
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
