/** From evidence, constraints and weights to a decision that can be defended, or an honest "not yet". */
import { costPer1000, energyOf } from "../../bench/energy.ts";
import type { Exclusion } from "../../bench/records.ts";
import type { Registry } from "../../catalog/model.ts";
import { UserError } from "../../errors.ts";
import type { Random } from "../../stats/random.ts";
import { type Constraints, exclusionsOf } from "./constraints.ts";
import type { DecidedCandidate, Decision } from "./decision_schema.ts";
import { type CandidateEvidence, type Evidence, incomparable } from "./evidence.ts";
import { factsOfSummary } from "./facts.ts";
import { licenseTerms } from "../../catalog/licenses.ts";
import { raceReport } from "../race/race_report.ts";
import type { RecordedRace } from "../race/recorded_race.ts";
import { whatWouldChangeIt } from "./what_would_change.ts";
import {
  chances,
  type DecisionWeights,
  featuresOf,
  paretoFront,
  type Ranking,
  rankingBasis,
  sensitivity,
  utilityFrom,
} from "./ranking.ts";

export interface DecisionTerms {
  readonly constraints: Constraints;
  readonly weights: DecisionWeights;
  /** A winner must come out best in at least 1 − delta of the resamples; a race has its own. */
  readonly delta: number;
  /** Worths closer than this are as good as equal: 0.05 is a twentieth of the quality scale. */
  readonly epsilon: number;
  readonly registry: Registry | null;
  /** Where the first run is a race: its verdict stands, because it holds whenever it stopped. */
  readonly race: RecordedRace | null;
  /** Watts of the machine under load, stated by the user, and the price of a kilowatt-hour. */
  readonly watts: number | null;
  readonly pricePerKwh: number | null;
  readonly course: Decision["course"];
  readonly random: Random;
}

type Outcome = Pick<Decision, "verdict" | "winner" | "choice" | "runner_up" | "reason">;

/**
 * Decides. The order is: constraints (each exclusion with its reason), then the verdict of the race where there was
 * one, otherwise quality, speed and memory basis, with the prompts resampled to see how sure the first place is.
 * Without any scored answer speed is ranked and nothing is recommended.
 *
 * @throws {UserError} when the times of those left were measured under conditions that don't compare
 *
 * @example
 * ```ts ignore
 * const decision = decide(await gatherEvidence(["reports/2026-11-21T04-55-07-ab12"], null), terms);
 * ```
 */
export function decide(evidence: Evidence, terms: DecisionTerms): Decision {
  const excluded = exclusions(evidence, terms);
  const out = new Set(excluded.map(({ id }) => id));
  const left = evidence.candidates.filter(({ id }) => !out.has(id));
  const fault = incomparable(evidence.runs, left);
  if (fault !== null) {
    throw new UserError(`${fault}: give runs made alike, or the run of the answers with --quality`);
  }
  const ranking = rank(left, evidence, terms);
  const rest = bestOfTheRest(evidence.candidates.filter(({ id }) => out.has(id)), evidence, terms);
  const outcome = verdictOf(ranking, left, evidence, terms);
  const best = outcome.choice ?? ranking.order[0];
  const raced = terms.race === null ? null : raceReport(terms.race);
  const decision: Omit<Decision, "what_would_change_it"> = {
    schema_version: 1,
    policy: "evidence",
    machine: evidence.machine,
    runs: evidence.runs.map(({ run_id }) => run_id),
    quality_run: evidence.quality?.run_id ?? null,
    quality_source: evidence.qualitySource,
    ...outcome,
    leader: ranking.order[0] ?? null,
    best_of_the_rest: outcome.verdict === "none" ? rest : null,
    requests: raced?.requests ??
      evidence.candidates.reduce((sum, { summary: { requests } }) => sum + requests.ok + requests.failed, 0),
    blocks: raced?.blocks ?? evidence.blocks,
    delta: raced?.delta ?? terms.delta,
    epsilon: raced?.epsilon ?? terms.epsilon,
    eliminated: [...raced?.eliminated ?? []],
    excluded,
    weights: { ...ranking.basis.weights },
    lead_ci95: ranking.chances === null ? null : [...ranking.chances.lead],
    sensitivity: best === undefined || left.length < 2
      ? []
      : sensitivity(best, ranking.features, ranking.basis.weights),
    candidates: evidence.candidates.map((one) => row(one, ranking, evidence, terms)),
    course: terms.course,
    warnings: warningsOf(ranking, evidence),
  };
  return { ...decision, what_would_change_it: whatWouldChangeIt(decision, ranking) };
}

function exclusions(evidence: Evidence, { constraints, registry, race }: DecisionTerms): Exclusion[] {
  const before = race?.terms.excluded ?? [];
  return evidence.candidates.flatMap(({ id, summary, qualityByPrompt }) => {
    const known = before.filter((one) => one.id === id);
    if (known.length > 0) return known;
    const found = exclusionsOf(factsOfSummary(summary, registry, evidence.quality), constraints);
    // A race of one asks nothing: there is nothing to hold against it.
    const unasked = race !== null && race.state.requests === 0 &&
      race.state.candidates.some((one) => one.id === id);
    if (summary.requests.ok === 0 && !unasked) {
      const reason = summary.reason ?? "it gave no answer";
      found.push({ id, constraint: "failed", reason, admit: "mend what it says, and measure again" });
    } else if (evidence.quality !== null && qualityByPrompt.size === 0 && found.length === 0) {
      found.push({
        id,
        constraint: "quality",
        reason: `others' answers were scored (${evidence.quality.run_id}), its own were not`,
        admit: "deno task quality capture asks it and scores its answers",
      });
    }
    return found;
  });
}

/** Without scored answers only speed is ranked. */
function rank(left: readonly CandidateEvidence[], evidence: Evidence, terms: DecisionTerms): Ranking {
  const weights = evidence.qualitySource === null ? { latency: 1 } : terms.weights;
  const basis = rankingBasis(left, weights);
  const features = new Map(left.map((one) => [one.id, featuresOf(one, basis, null)]));
  const order = left.map(({ id }) => id).sort((a, b) =>
    utilityFrom(features.get(b) ?? {}, basis.weights) - utilityFrom(features.get(a) ?? {}, basis.weights)
  );
  return { basis, features, order, chances: chances(basis, order, terms.random) };
}

/** By the same weights where their times compare, otherwise by quality alone. */
function bestOfTheRest(
  excluded: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: DecisionTerms,
): string | null {
  const measured = excluded.filter(({ summary, qualityByPrompt }) =>
    summary.requests.ok > 0 && (evidence.qualitySource === null || qualityByPrompt.size > 0)
  );
  const alike = incomparable(evidence.runs, measured) === null;
  const weights = alike ? terms.weights : { quality: 1 };
  return rank(measured, evidence, { ...terms, weights }).order[0] ?? null;
}

function verdictOf(
  ranking: Ranking,
  left: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: DecisionTerms,
): Outcome {
  const [first, second] = ranking.order;
  if (first === undefined) {
    const reason = "nobody passed the constraints";
    return { verdict: "none", winner: null, choice: null, runner_up: null, reason };
  }
  const raced = racedOutcome(left, terms.race);
  if (evidence.qualitySource === null) {
    const speed = raced?.winner === null || raced === null
      ? `${first} is the fastest`
      : `${raced.winner} won by ${terms.race?.terms.by}`;
    return {
      verdict: "undecided",
      winner: null,
      choice: null,
      runner_up: second ?? null,
      reason: `${speed}, but nobody checked or rated an answer: speed is ranked, nothing is recommended`,
    };
  }
  if (raced !== null) return raced;
  if (second === undefined) {
    const reason = "one was left by the constraints";
    return { verdict: "only", winner: first, choice: first, runner_up: null, reason };
  }
  return weighedOutcome(first, second, ranking, left, terms);
}

/** The race's verdict, unless what was measured since excludes its choice. */
function racedOutcome(left: readonly CandidateEvidence[], race: RecordedRace | null): Outcome | null {
  if (race === null) return null;
  const { verdict, winner, choice, runner_up, reason, requests, blocks, by } = raceReport(race);
  if (choice !== null && !left.some(({ id }) => id === choice)) {
    return {
      verdict: "undecided",
      winner: null,
      choice: null,
      runner_up,
      reason: `${choice} came out of the race, but a limit excludes it`,
    };
  }
  const texts = {
    winner: `it won the race by ${by} in ${requests} requests (${blocks} blocks)`,
    tie: `those left are as good as equal by ${by} after ${requests} requests; it is the lightest`,
    only: "one was left by the constraints",
  };
  return {
    verdict,
    winner,
    choice,
    runner_up,
    reason: verdict === "undecided" || verdict === "none" || verdict === "left"
      ? reason ?? ""
      : texts[verdict],
  };
}

function weighedOutcome(
  first: string,
  second: string,
  { chances }: Ranking,
  left: readonly CandidateEvidence[],
  { delta, epsilon }: DecisionTerms,
): Outcome {
  const sure = chances?.best.get(first) ?? null;
  if (sure === null || chances === null) {
    const reason = `${first} leads, but on too few prompts to say how sure that is`;
    return { verdict: "undecided", winner: null, choice: null, runner_up: second, reason };
  }
  const percent = Math.round(1000 * sure) / 10;
  if (Math.max(...chances.lead.map(Math.abs)) < epsilon) {
    const weight = (id: string) => {
      const summary = left.find((one) => one.id === id)?.summary;
      return summary?.memory_mb ?? summary?.size_mb ?? Infinity;
    };
    const [choice, other] = weight(second) < weight(first) ? [second, first] : [first, second];
    const reason = `${first} and ${second} are as good as equal (within ${epsilon}); ${choice} is no heavier`;
    return { verdict: "tie", winner: null, choice, runner_up: other, reason };
  }
  if (sure >= 1 - delta) {
    const reason = `it came out best in ${percent} % of the resamples`;
    return { verdict: "winner", winner: first, choice: first, runner_up: second, reason };
  }
  return {
    verdict: "undecided",
    winner: null,
    choice: null,
    runner_up: second,
    reason: `${first} leads, but came out best in only ${percent} % of the resamples (${
      100 * (1 - delta)
    } % are needed)`,
  };
}

function row(
  one: CandidateEvidence,
  { basis, features, order, chances }: Ranking,
  evidence: Evidence,
  terms: DecisionTerms,
): DecidedCandidate {
  const { id, run, summary, qualityByPrompt } = one;
  const own = features.get(id);
  const place = order.indexOf(id);
  const scores = [...qualityByPrompt.values()];
  const known = licenseTerms(summary.license ?? "");
  // Times of another run count only where it asked under the same conditions.
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
    latency_s: timed ? summary.latency_s.mean : null,
    ttft_s: timed ? summary.ttft_s.mean : null,
    output_tokens_per_s: timed ? summary.output_tokens_per_s.mean : null,
    memory_mb: summary.memory_mb,
    size_mb: summary.size_mb,
    license: summary.license,
    license_terms: known === null
      ? null
      : `commercial use: ${known.commercialUse}, redistribution: ${known.redistribution}; ${known.conditions}`,
    requests: summary.requests,
    energy: timed ? energy(one, terms) : null,
  };
}

/** Measured where a counter told; otherwise the heuristic, where watts were stated. */
function energy(
  { summary, joulesPerRequest: measured }: CandidateEvidence,
  { watts, pricePerKwh }: DecisionTerms,
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

function warningsOf({ basis }: Ranking, { quality, candidates }: Evidence): string[] {
  return [
    ...basis.unknown.map(({ part, lacking }) =>
      `${part} is not basis: it is not known of ${lacking.join(", ")}`
    ),
    ...(basis.candidates.length > 1 && basis.speedPrompts.length === 0
      ? ["the candidates were timed on different prompts: speed is not basis"]
      : []),
    ...(quality?.warnings ?? []).map(({ message }) => `answers: ${message}`),
    ...candidates.filter(({ summary }) => summary.status === "partial").map(({ id, summary }) =>
      `${id}: ${summary.reason}`
    ),
  ];
}
