/** From evidence, constraints and weights to a decision that can be defended, or an honest "not yet". */
import type { Exclusion } from "../../bench/records.ts";
import { UserError } from "../../errors.ts";
import { sumOf } from "../../stats/mean.ts";
import type { Random } from "../../stats/random.ts";
import { studentTQuantile } from "../../stats/t.ts";
import { type Constraints, exclusionsOf } from "./constraints.ts";
import { type CandidateTerms, decidedCandidate, qualityFor } from "./decided_candidate.ts";
import type { Decision } from "./decision_schema.ts";
import { type Eligibility, eligibilityOf } from "./eligibility.ts";
import { type CandidateEvidence, type Evidence, incomparable } from "./evidence.ts";
import { factsOfSummary } from "./facts.ts";
import { leadOf } from "./lead.ts";
import {
  boundFeatures,
  chancesOfBest,
  type DecisionWeights,
  featuresOf,
  type Ranking,
  rankingBasis,
  utilityFrom,
} from "./ranking.ts";
import type { SharedAnswers } from "./shared_answers.ts";
import { severalRuns, speedFaults, verdictOf, type VerdictTerms } from "./verdict.ts";
import { sensitivity, whatWouldChangeIt } from "./what_would_change.ts";

/** What a decision rests on besides the evidence. */
export interface DecisionTerms extends VerdictTerms, CandidateTerms {
  readonly constraints: Constraints;
  readonly weights: DecisionWeights;
  /** The largest loss of quality against the best, in points of the score, that a choice may have. Default 0.1. */
  readonly maxDrop?: number;
  readonly course: Decision["course"];
  /** The command that makes this decision again. */
  readonly command?: string;
  readonly random: Random;
}

/**
 * Decides. The order is: constraints (each exclusion with its reason); then who may be chosen for its quality
 * (see `eligibilityOf`); then, among these, the verdict of the race where there was one, otherwise quality,
 * speed and memory together. A choice needs quality: where no answer was scored, or the fastest is not good
 * enough, the verdict says "fastest" at most, and nothing is chosen.
 *
 * @throws {UserError} when the times of those left were measured under conditions that don't compare
 *
 * ```ts ignore
 * const decision = decide(await gatherEvidence(["reports/2026-11-21T04-55-07-ab12"], null), terms);
 * ```
 */
export function decide(evidence: Evidence, given: DecisionTerms): Decision {
  const excluded = exclusions(evidence, given);
  const isExcluded = ({ id }: CandidateEvidence) => excluded.some((one) => one.id === id);
  const remaining = evidence.candidates.filter((one) => !isExcluded(one));
  const fault = incomparable(evidence.runs, remaining);
  if (fault !== null) {
    throw new UserError(`${fault}: give runs made alike, or the run of the answers with --quality`);
  }
  const faults = speedFaults(remaining, evidence, given);
  const weights = racedWeights(given);
  const terms = { ...given, weights: faults.length === 0 ? weights : withoutSpeed(weights) };
  const ranking = rank(remaining, evidence, terms);
  const conclusion = verdictOf(ranking, remaining, evidence, terms);
  const decision: Omit<Decision, "what_would_change_it"> = {
    schema_version: 2,
    policy: "evidence",
    ...sourcesOf(evidence, terms),
    scope: scopeOf(ranking, terms),
    ...requirements(evidence, terms),
    ...conclusion,
    leader: ranking.order[0] ?? null,
    best_of_the_rest: conclusion.verdict === "none"
      ? bestOfTheRest(evidence.candidates.filter(isExcluded), evidence, terms)
      : null,
    ...extentOf(evidence, terms),
    excluded,
    weights: { ...ranking.basis.weights },
    lead_ci95: leadInterval(ranking),
    sensitivity: sensitivity(conclusion.choice ?? ranking.order[0], ranking),
    candidates: evidence.candidates.map((one) => decidedCandidate(one, ranking, evidence, terms)),
    course: terms.course,
    warnings: [
      ...faults.map((fault) => `speed does not count: ${fault}`),
      ...evidenceWarnings(ranking, evidence, terms),
    ],
  };
  return { ...decision, what_would_change_it: whatWouldChangeIt(decision, ranking, evidence.quality) };
}

/** The machine, the runs, their job and versions, and the command. */
function sourcesOf({ machine, runs, quality, qualitySource }: Evidence, { command }: DecisionTerms) {
  const [{ versions, plan: { prompt_set: { name, sha256 } } }] = runs;
  return {
    machine,
    runs: runs.map(({ run_id }) => run_id),
    versions,
    prompt_set: { name, sha256 },
    command: command ?? null,
    quality_run: quality?.run_id ?? null,
    quality_source: qualitySource,
    quality_prompt_set: quality?.prompt_set ?? null,
  };
}

function scopeOf({ basis }: Ranking, { race }: DecisionTerms): Decision["scope"] {
  return {
    claim: race?.terms.scope ?? "cases like these",
    cases: race?.state.blocks ?? basis.speedPrompts.length,
    scored_cases: basis.qualityPrompts.length,
  };
}

/** What a choice must meet: the baseline, the best candidate's quality, and the limits that were requested. */
function requirements(
  { qualitySource, baseline }: Evidence,
  { maxDrop = MAX_DROP, constraints }: DecisionTerms,
) {
  const isSet = (limit: unknown) => limit !== null && !(Array.isArray(limit) && limit.length === 0);
  return {
    max_drop: maxDrop,
    baseline: qualitySource === null ? null : baseline.what,
    baseline_score: qualitySource === null ? null : baseline.score,
    limits: Object.fromEntries(Object.entries(constraints).filter(([, limit]) => isSet(limit))),
  };
}

/** Requests and blocks, and who went when: of the race, or of the runs where there was none. */
function extentOf(
  { candidates, blocks, disturbedBlocks }: Evidence,
  { race, delta, epsilon }: DecisionTerms,
) {
  const requests = candidates.map(({ summary }) => summary.requests.ok + summary.requests.failed);
  return {
    requests: race?.state.requests ?? sumOf(requests),
    blocks: race?.state.blocks ?? blocks,
    disturbed_blocks: disturbedBlocks,
    delta: race?.terms.delta ?? delta,
    epsilon: race?.terms.epsilon ?? epsilon,
    eliminated: [...race?.state.eliminated ?? []],
    left: [...race?.state.left ?? []],
  };
}

/** Quality and memory alone; where neither has a weight, quality. */
function withoutSpeed({ quality = 0, memory = 0 }: DecisionWeights): DecisionWeights {
  return quality + memory === 0 ? { quality: 1 } : { quality, memory };
}

/** Default of the largest loss of quality that a choice may have against the best. */
export const MAX_DROP = 0.1;

/** A race by utility has weights of its own, and its decision ranks by them. */
function racedWeights({ race, weights }: DecisionTerms): DecisionWeights {
  const raced = race?.terms.by === "utility" ? race.terms.weights : null;
  if (raced === null || raced === undefined) return weights;
  const { checks = 0, ...rest } = raced;
  return { ...rest, ...(checks > 0 ? { quality: checks } : {}) };
}

/** 95 % interval of the first's utility minus the second's; null below five cases. */
function leadInterval({ order, basis }: Ranking): [number, number] | null {
  const [a, b] = order.map((id) => basis.candidates.find((one) => one.id === id));
  const lead = a === undefined || b === undefined ? null : leadOf(a, b, basis);
  if (lead === null) return null;
  const half = studentTQuantile(0.975, lead.df) * lead.error;
  return [lead.mean - half, lead.mean + half];
}

/** The evidence of the recorded answers on a candidate that shares another's scores. */
function sharedText({ from, compared, different }: SharedAnswers): string {
  if (different > 0) {
    return `it can't share the scores of ${from}: ${different} of ${compared} recorded answers differ at temperature 0`;
  }
  return compared === 0
    ? `it shares the scores of ${from}, which differs in settings that should not change answers; no recorded answers could be compared`
    : `it shares the scores of ${from}: all ${compared} recorded answers that could be compared are the same`;
}

function exclusions(evidence: Evidence, { constraints, registry, race }: DecisionTerms): Exclusion[] {
  const before = race?.terms.excluded ?? [];
  return evidence.candidates.flatMap((candidate) => {
    const { id, summary, qualityByPrompt, shared } = candidate;
    const known = before.filter((one) => one.id === id);
    if (known.length > 0) return known;
    const limits = exclusionsOf(
      factsOfSummary(summary, registry, qualityFor(candidate, evidence)),
      constraints,
    );
    const differs = shared !== null && shared.different > 0;
    const found = differs ? limits.filter(({ constraint }) => constraint !== "quality") : limits;
    // A race of one sends no requests, so its candidate is not excluded for missing answers.
    const unasked = race !== null && race.state.requests === 0 &&
      race.state.candidates.some((one) => one.id === id);
    if (summary.requests.ok === 0 && !unasked) {
      const reason = summary.reason ?? "it gave no answer";
      found.push({ id, constraint: "failed", reason, admit: "fix the reported problem, and measure again" });
    } else if (evidence.quality !== null && qualityByPrompt.size === 0 && found.length === 0) {
      found.push({
        id,
        constraint: "quality",
        reason: differs
          ? sharedText(shared)
          : `others' answers were scored (${evidence.quality.run_id}), its own were not`,
        admit: "deno task quality capture scores its own answers",
      });
    }
    return found;
  });
}

/** Candidates that may be chosen come first, by utility, then the others by quality. Unscored: by speed alone. */
function rank(remaining: readonly CandidateEvidence[], evidence: Evidence, terms: DecisionTerms): Ranking {
  const isScored = evidence.qualitySource !== null;
  const basis = rankingBasis(remaining, isScored ? terms.weights : { latency: 1 });
  const bounded = boundFeatures(remaining.map((one) => featuresOf(one, basis)));
  const features = new Map(remaining.map(({ id }, at) => [id, bounded[at] ?? {}]));
  const { maxDrop = MAX_DROP, constraints: { minPassRate, minScore, minRating } } = terms;
  // A floor of zero has no effect.
  const floor = (minPassRate ?? 0) > 0 || (minScore ?? 0) > 0 || (minRating ?? 1) > 1;
  const cases = basis.qualityPrompts;
  const eligibility = isScored
    ? eligibilityOf(remaining, { floor, maxDrop, baseline: evidence.baseline, cases })
    : new Map<string, Eligibility>();
  const isAllowed = (id: string) => !isScored || eligibility.get(id)?.eligible === true;
  const worth = (id: string) =>
    isAllowed(id) ? utilityFrom(features.get(id) ?? {}, basis.weights) : features.get(id)?.quality ?? 0;
  const order = remaining.map(({ id }) => id).sort((a, b) =>
    Number(isAllowed(b)) - Number(isAllowed(a)) || worth(b) - worth(a)
  );
  return { basis, features, order, chances: chancesOfBest(basis, terms.random), eligibility };
}

/** By the same weights where their times compare, otherwise by quality alone. */
function bestOfTheRest(
  excluded: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: DecisionTerms,
): string | null {
  const measured = excluded.filter(({ summary, qualityByPrompt }) =>
    evidence.qualitySource === null ? summary.requests.ok > 0 : qualityByPrompt.size > 0
  );
  const timed = measured.every(({ summary }) => summary.requests.ok > 0);
  const alike = timed && incomparable(evidence.runs, measured) === null;
  const weights = alike ? terms.weights : { quality: 1 };
  return rank(measured, evidence, { ...terms, weights }).order[0] ?? null;
}

function evidenceWarnings(
  { basis }: Ranking,
  { quality, candidates }: Evidence,
  { race }: DecisionTerms,
): string[] {
  return [
    ...(race?.busy ? [`during the race ${race.busy}: its ratios are provisional`] : []),
    ...severalRuns(basis.candidates),
    ...basis.unknown.map(({ part, lacking }) =>
      `${part} does not count: it is not known of ${lacking.join(", ")}`
    ),
    ...(basis.candidates.length > 1 && basis.speedPrompts.length === 0
      ? ["the candidates were timed on different prompts, so speed does not count"]
      : []),
    ...candidates.flatMap(({ id, shared }) => shared === null ? [] : [`${id}: ${sharedText(shared)}`]),
    ...(quality?.warnings ?? []).map(({ message }) => `answers: ${message}`),
    ...candidates.filter(({ summary }) => summary.status === "partial").map(({ id, summary }) =>
      `${id}: ${summary.reason}`
    ),
  ];
}
