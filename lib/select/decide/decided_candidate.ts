/** A candidate's row in a decision: its rank, quality, speed, memory, licence and energy. */
import { costPer1000, energyOf } from "../../bench/energy.ts";
import { licenseTerms } from "../../catalog/licenses.ts";
import { findModel, findVariant, type Registry } from "../../catalog/model.ts";
import { meanOf } from "../../stats/mean.ts";
import { scoreDifference } from "../../stats/paired_difference.ts";
import type { DecidedCandidate } from "./decision_schema.ts";
import { type CandidateEvidence, type Evidence, incomparable } from "./evidence.ts";
import { candidateIn } from "./facts.ts";
import { type Ranking, utilityFrom } from "./ranking.ts";

/** Further facts of the candidates. */
export interface CandidateTerms {
  readonly registry: Registry | null;
  /** Watts of the machine under load, stated by the user, and the price of a kilowatt-hour. */
  readonly watts: number | null;
  readonly pricePerKwh: number | null;
}

/** The scores that count for a candidate; null where they are those of another candidate whose answers differ. */
export const qualityFor = ({ shared }: CandidateEvidence, { quality }: Evidence) =>
  shared !== null && shared.different > 0 ? null : quality;

export function decidedCandidate(
  one: CandidateEvidence,
  { basis, features, order, chances, eligibility }: Ranking,
  evidence: Evidence,
  terms: CandidateTerms,
): DecidedCandidate {
  const { id, run, summary, qualityByPrompt, shared } = one;
  const own = features.get(id);
  const place = order.indexOf(id);
  const scores = [...qualityByPrompt.values()];
  const standing = eligibility.get(id);
  const comparable = comparableWithLeader(order[0], evidence);
  const timed = comparable.includes(one);
  return {
    id,
    run,
    rank: place < 0 ? null : place + 1,
    worth: own === undefined ? null : utilityFrom(own, basis.weights),
    probability_best: chances?.get(id) ?? null,
    on_front: paretoFront(comparable.filter(({ summary }) => summary.requests.ok > 0).map(frontPoint))
      .includes(id),
    quality: meanScore(scores),
    quality_ci95: qualityInterval(scores),
    checks: checksOf(one, evidence),
    quality_shared: shared && { from: shared.from, compared: shared.compared, different: shared.different },
    may_be_chosen: evidence.qualitySource === null || place < 0 ? null : standing?.eligible ?? false,
    why_or_why_not: standing?.why ?? null,
    latency_s: timed ? summary.latency_s.mean : null,
    latency_p95_s: timed ? summary.latency_s.p95 : null,
    ttft_s: timed ? summary.ttft_s.mean : null,
    output_tokens_per_s: timed ? summary.output_tokens_per_s.mean : null,
    memory_mb: summary.memory_mb,
    size_mb: summary.size_mb,
    sha256: fileHash(one, evidence, terms),
    license: summary.license,
    license_terms: termsText(summary.license ?? ""),
    requests: summary.requests,
    energy: timed ? energyOfCandidate(one, terms) : null,
  };
}

/** The candidates whose times compare with the leader's: times of another run count only under the same conditions. */
function comparableWithLeader(
  leaderId: string | undefined,
  { candidates, runs }: Evidence,
): readonly CandidateEvidence[] {
  const leader = candidates.find(({ id }) => id === leaderId);
  return leader === undefined
    ? candidates
    : candidates.filter((one) => incomparable(runs, [leader, one]) === null);
}

/** 95 % interval of the mean score over cases; null below two cases. */
function qualityInterval(scores: readonly number[]): [number, number] | null {
  const interval = scoreDifference(scores.map((score) => [score, 0] as const))?.interval;
  return interval === undefined ? null : [Math.max(0, interval[0]), Math.min(1, interval[1])];
}

function termsText(license: string): string | null {
  const known = licenseTerms(license);
  if (known === null) return null;
  return `commercial use: ${known.commercialUse}, redistribution: ${known.redistribution}; ${known.conditions}`;
}

/** As the run recorded it; from the registry for runs that did not. */
function fileHash({ id, run, summary }: CandidateEvidence, { runs }: Evidence, { registry }: CandidateTerms) {
  const recorded = runs.find(({ run_id }) => run_id === run)?.candidates.find((other) => other.id === id)
    ?.sha256;
  const model = registry === null ? undefined : findModel(registry, summary.alias);
  const [name = ""] = (summary.variant ?? "").split("+");
  return recorded ?? (model === undefined ? null : findVariant(model, name)?.sha256 ?? null);
}

function checksOf(one: CandidateEvidence, evidence: Evidence): DecidedCandidate["checks"] {
  const checks = candidateIn(one.id, qualityFor(one, evidence))?.checks ?? [];
  return checks.map(({ name, pass_rate: { passed, n } }) => ({ name, passed, cases: n }));
}

/** Measured where a counter was read; otherwise the heuristic, where watts were stated. */
function energyOfCandidate(
  { summary, joulesPerRequest: measured }: CandidateEvidence,
  { watts, pricePerKwh }: CandidateTerms,
): DecidedCandidate["energy"] {
  const estimate = watts === null ? null : energyOf(summary, watts);
  const joules = measured ?? estimate?.joulesPerAnswer ?? null;
  if (joules === null) return null;
  return {
    source: measured === null ? "estimate" : "measured",
    joules_per_request: joules,
    watts: measured === null ? watts : null,
    watt_hours_per_1000: joules / 3.6,
    cost_per_1000: pricePerKwh === null ? null : costPer1000(joules, pricePerKwh),
    price_per_kwh: pricePerKwh,
    basis: measured === null
      ? "output tokens ÷ output tokens/s × the watts that were stated"
      : "the processor's own counter, each block's joules shared by the time of its requests",
  };
}

const meanScore = (scores: readonly number[]) => scores.length === 0 ? null : meanOf(scores);

const frontPoint = ({ id, qualityByPrompt, summary }: CandidateEvidence): FrontPoint => ({
  id,
  quality: meanScore([...qualityByPrompt.values()]),
  latencyS: summary.latency_s.mean,
  memoryMb: summary.memory_mb,
});

/** What of a candidate the Pareto front compares; null where unknown. */
export interface FrontPoint {
  readonly id: string;
  readonly quality: number | null;
  readonly latencyS: number | null;
  readonly memoryMb: number | null;
}

/**
 * Those that no other beats in one thing without losing in another: higher quality, lower latency, less
 * memory. A figure that one of two lacks doesn't count between them.
 *
 * ```ts
 * const front = paretoFront([
 *   { id: "a", quality: 0.9, latencyS: 2, memoryMb: 500 },
 *   { id: "b", quality: 0.5, latencyS: 1, memoryMb: 300 },
 *   { id: "c", quality: 0.4, latencyS: 1.5, memoryMb: 400 },
 * ]);
 * if (front.join() !== "a,b") throw new Error("b beats c in everything");
 * ```
 */
export function paretoFront(points: readonly FrontPoint[]): string[] {
  const axes = [
    ({ quality }: FrontPoint) => quality,
    ({ latencyS }: FrontPoint) => latencyS === null ? null : -latencyS,
    ({ memoryMb }: FrontPoint) => memoryMb === null ? null : -memoryMb,
  ];
  const beats = (a: FrontPoint, b: FrontPoint) => {
    const gaps = axes.flatMap((axis) => {
      const [x, y] = [axis(a), axis(b)];
      return x === null || y === null ? [] : [x - y];
    });
    return gaps.length > 0 && gaps.every((gap) => gap >= 0) && gaps.some((gap) => gap > 0);
  };
  return points.filter((point) => !points.some((other) => beats(other, point))).map(({ id }) => id);
}
