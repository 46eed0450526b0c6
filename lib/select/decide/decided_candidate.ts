/** A candidate's row in a decision: its rank, quality, speed, memory, licence and energy. */
import { costPer1000, energyOf } from "../../bench/energy.ts";
import { licenseTerms } from "../../catalog/licenses.ts";
import { findModel, findVariant, type Registry } from "../../catalog/model.ts";
import { scoreDifference } from "../../stats/paired_difference.ts";
import type { DecidedCandidate } from "./decision_schema.ts";
import { type CandidateEvidence, type Evidence, incomparable } from "./evidence.ts";
import { candidateIn } from "./facts.ts";
import { paretoFront, type Ranking, utilityFrom } from "./ranking.ts";

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
  const { id, run, summary, qualityByPrompt } = one;
  const own = features.get(id);
  const place = order.indexOf(id);
  const scores = [...qualityByPrompt.values()];
  const known = licenseTerms(summary.license ?? "");
  // Times of another run count only where its conditions are the same.
  const leader = evidence.candidates.find((other) => other.id === order[0]);
  const alike = (other: CandidateEvidence) =>
    leader === undefined || incomparable(evidence.runs, [leader, other]) === null;
  const timed = alike(one);
  const points = evidence.candidates.filter((other) => other.summary.requests.ok > 0 && alike(other))
    .map((other) => ({
      id: other.id,
      quality: mean([...other.qualityByPrompt.values()]),
      latencyS: other.summary.latency_s.mean,
      memoryMb: other.summary.memory_mb,
    }));
  return {
    id,
    run,
    rank: place < 0 ? null : place + 1,
    worth: own === undefined ? null : utilityFrom(own, basis.weights),
    probability_best: chances?.best.get(id) ?? null,
    on_front: paretoFront(points).includes(id),
    quality: mean(scores),
    quality_ci95: qualityInterval(scores),
    checks: checksOf(one, evidence),
    quality_shared: one.shared === null ? null : {
      from: one.shared.from,
      compared: one.shared.compared,
      different: one.shared.different,
    },
    may_be_chosen: evidence.qualitySource === null || place < 0
      ? null
      : eligibility.get(id)?.eligible ?? false,
    why_or_why_not: eligibility.get(id)?.why ?? null,
    latency_s: timed ? summary.latency_s.mean : null,
    latency_p95_s: timed ? summary.latency_s.p95 : null,
    ttft_s: timed ? summary.ttft_s.mean : null,
    output_tokens_per_s: timed ? summary.output_tokens_per_s.mean : null,
    memory_mb: summary.memory_mb,
    size_mb: summary.size_mb,
    sha256: evidence.runs.find(({ run_id }) => run_id === run)?.candidates.find((other) => other.id === id)
      ?.sha256 ?? registryHash(summary, terms.registry),
    license: summary.license,
    license_terms: known === null
      ? null
      : `commercial use: ${known.commercialUse}, redistribution: ${known.redistribution}; ${known.conditions}`,
    requests: summary.requests,
    energy: timed ? energy(one, terms) : null,
  };
}

/** 95 % interval of the mean score over cases; null below two cases. */
function qualityInterval(scores: readonly number[]): [number, number] | null {
  const interval = scoreDifference(scores.map((score) => [score, 0] as const))?.interval;
  return interval === undefined ? null : [Math.max(0, interval[0]), Math.min(1, interval[1])];
}

/** The hash from the registry, for runs that did not record it. */
function registryHash({ alias, variant }: CandidateEvidence["summary"], registry: Registry | null) {
  const model = registry === null ? undefined : findModel(registry, alias);
  const [name = ""] = (variant ?? "").split("+");
  return model === undefined ? null : findVariant(model, name)?.sha256 ?? null;
}

function checksOf(one: CandidateEvidence, evidence: Evidence): DecidedCandidate["checks"] {
  const checks = candidateIn(one.id, qualityFor(one, evidence))?.checks ?? [];
  return checks.map(({ name, pass_rate: { passed, n } }) => ({ name, passed, cases: n }));
}

/** Measured where a counter was read; otherwise the heuristic, where watts were stated. */
function energy(
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

const mean = (values: readonly number[]) =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
