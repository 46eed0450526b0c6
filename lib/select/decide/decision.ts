/** From evidence, constraints and weights to a decision that can be defended, or an honest "not yet". */
import { costPer1000, energyOf } from "../../bench/energy.ts";
import type { Exclusion } from "../../bench/records.ts";
import { licenseTerms } from "../../catalog/licenses.ts";
import { findModel, findVariant, type Registry } from "../../catalog/model.ts";
import { UserError } from "../../errors.ts";
import { scoreDifference } from "../../stats/paired_difference.ts";
import type { Random } from "../../stats/random.ts";
import { signTestP } from "../../stats/special.ts";
import { studentTQuantile } from "../../stats/t.ts";
import { FAR_RATIO } from "../race/pairing.ts";
import { TAIL_BLOCKS } from "../race/race.ts";
import { raceReport } from "../race/race_report.ts";
import type { RecordedRace } from "../race/recorded_race.ts";
import { type Constraints, exclusionsOf } from "./constraints.ts";
import type { DecidedCandidate, Decision } from "./decision_schema.ts";
import { eligibilityOf } from "./eligibility.ts";
import { type CandidateEvidence, type Evidence, incomparable } from "./evidence.ts";
import { candidateIn, factsOfSummary } from "./facts.ts";
import {
  boundFeatures,
  chances,
  type DecisionWeights,
  featuresOf,
  isAhead,
  type Lead,
  leadOf,
  paretoFront,
  type Ranking,
  type RankingBasis,
  rankingBasis,
  sensitivity,
  speedParts,
  utilityFrom,
} from "./ranking.ts";
import type { SharedAnswers } from "./shared_answers.ts";
import { whatWouldChangeIt } from "./what_would_change.ts";

export interface DecisionTerms {
  readonly constraints: Constraints;
  readonly weights: DecisionWeights;
  /** Accepted probability of a winner among identical candidates; a race has its own. */
  readonly delta: number;
  /** Utilities closer than this are as good as equal: 0.05 is a twentieth of the quality scale. */
  readonly epsilon: number;
  /** The largest loss of quality against the best, in points of the score, that a choice may have. Default 0.1. */
  readonly maxDrop?: number;
  readonly registry: Registry | null;
  /** Where the first run is a race: its verdict stands, because it holds whenever it stopped. */
  readonly race: RecordedRace | null;
  /** Watts of the machine under load, stated by the user, and the price of a kilowatt-hour. */
  readonly watts: number | null;
  readonly pricePerKwh: number | null;
  readonly course: Decision["course"];
  /** The command that makes this decision again. */
  readonly command?: string;
  readonly random: Random;
}

type Conclusion = Pick<Decision, "verdict" | "winner" | "choice" | "fastest" | "runner_up" | "reason">;

/**
 * Decides. The order is: constraints (each exclusion with its reason); then who may be chosen for its quality (see
 * `eligibilityOf`); then, among these, the verdict of the race where there was one, otherwise quality, speed and memory
 * together. A choice needs quality: where no answer was scored, or the fastest is not good enough, the verdict says
 * "fastest" at most, and nothing is chosen.
 *
 * @throws {UserError} when the times of those left were measured under conditions that don't compare
 *
 * @example
 * ```ts ignore
 * const decision = decide(await gatherEvidence(["reports/2026-11-21T04-55-07-ab12"], null), terms);
 * ```
 */
export function decide(evidence: Evidence, given: DecisionTerms): Decision {
  const excluded = exclusions(evidence, given);
  const out = new Set(excluded.map(({ id }) => id));
  const left = evidence.candidates.filter(({ id }) => !out.has(id));
  const faults = speedFaults(left, evidence, given);
  const weights = racedWeights(given);
  const terms = { ...given, weights: faults.length === 0 ? weights : withoutSpeed(weights) };
  const fault = incomparable(evidence.runs, left);
  if (fault !== null) {
    throw new UserError(`${fault}: give runs made alike, or the run of the answers with --quality`);
  }
  const ranking = rank(left, evidence, terms);
  const rest = bestOfTheRest(evidence.candidates.filter(({ id }) => out.has(id)), evidence, terms);
  const outcome = verdictOf(ranking, left, evidence, terms);
  const best = outcome.choice ?? ranking.order[0];
  const raced = terms.race === null ? null : raceReport(terms.race);
  const lead = leadText(ranking);
  const [run] = evidence.runs;
  const decision: Omit<Decision, "what_would_change_it"> = {
    schema_version: 2,
    policy: "evidence",
    machine: evidence.machine,
    runs: evidence.runs.map(({ run_id }) => run_id),
    versions: run?.versions ?? {},
    prompt_set: run === undefined
      ? null
      : { name: run.plan.prompt_set.name, sha256: run.plan.prompt_set.sha256 },
    command: terms.command ?? null,
    quality_run: evidence.quality?.run_id ?? null,
    quality_source: evidence.qualitySource,
    quality_prompt_set: evidence.quality?.prompt_set ?? null,
    scope: scopeOf(ranking, raced),
    max_drop: terms.maxDrop ?? MAX_DROP,
    baseline: evidence.qualitySource === null
      ? null
      : evidence.baseline?.what ?? "an empty answer, which scores 0",
    baseline_score: evidence.qualitySource === null ? null : evidence.baseline?.score ?? 0,
    limits: Object.fromEntries(
      Object.entries(terms.constraints).filter(([, limit]) =>
        limit !== null && !(Array.isArray(limit) && limit.length === 0)
      ),
    ),
    ...outcome,
    leader: ranking.order[0] ?? null,
    best_of_the_rest: outcome.verdict === "none" ? rest : null,
    requests: raced?.requests ??
      evidence.candidates.reduce((sum, { summary: { requests } }) => sum + requests.ok + requests.failed, 0),
    blocks: raced?.blocks ?? evidence.blocks,
    disturbed_blocks: evidence.disturbedBlocks,
    delta: raced?.delta ?? terms.delta,
    epsilon: raced?.epsilon ?? terms.epsilon,
    eliminated: [...raced?.eliminated ?? []],
    left: [...raced?.left ?? []],
    excluded,
    weights: { ...ranking.basis.weights },
    lead_ci95: lead,
    sensitivity: best === undefined || left.length < 2
      ? []
      : sensitivity(best, ranking.features, ranking.basis.weights),
    candidates: evidence.candidates.map((one) => row(one, ranking, evidence, terms)),
    course: terms.course,
    warnings: [
      ...faults.map((fault) => `speed does not count: ${fault}`),
      ...(terms.race?.busy ? [`during the race ${terms.race.busy}: its ratios are provisional`] : []),
      ...severalRuns(left),
      ...warningsOf(ranking, evidence),
    ],
  };
  return { ...decision, what_would_change_it: whatWouldChangeIt(decision, ranking, evidence.quality) };
}

/** Why the times allow no verdict. A race controls for drift and noise by itself, and its verdict stands. */
function speedFaults(
  left: readonly CandidateEvidence[],
  { speedFaults }: Evidence,
  { race }: DecisionTerms,
): string[] {
  if (race !== null) return [];
  return [...new Set(left.map(({ run }) => run))].flatMap((run) => {
    const fault = speedFaults.get(run);
    return fault === undefined ? [] : [`${run}: ${fault}`];
  });
}

/** Quality and memory alone; where neither has a weight, quality. */
function withoutSpeed({ quality = 0, memory = 0 }: DecisionWeights): DecisionWeights {
  return quality + memory === 0 ? { quality: 1 } : { quality, memory };
}

function severalRuns(left: readonly CandidateEvidence[]): string[] {
  const runs = new Set(left.map(({ run }) => run)).size;
  return runs < 2 ? [] : [
    `the times come from ${runs} runs, between which the machine may have changed: measure them in one run to be sure`,
  ];
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

function scopeOf({ basis }: Ranking, raced: ReturnType<typeof raceReport> | null): Decision["scope"] {
  return {
    claim: raced?.scope.claim ?? "cases like these",
    cases: raced?.scope.raced ?? basis.speedPrompts.length,
    scored_cases: basis.qualityPrompts.length,
  };
}

/** 95 % interval of the first's utility minus the second's; null below five cases. */
function leadText({ order, basis }: Ranking): [number, number] | null {
  const [a, b] = order.map((id) => basis.candidates.find((one) => one.id === id));
  const lead = a === undefined || b === undefined ? null : leadOf(a, b, basis);
  if (lead === null) return null;
  const half = studentTQuantile(0.975, lead.df) * lead.error;
  return [lead.mean - half, lead.mean + half];
}

/** The scores that count for a candidate: none of another whose answers differ from its own. */
const qualityFor = ({ shared }: CandidateEvidence, { quality }: Evidence) =>
  shared !== null && shared.different > 0 ? null : quality;

/** What the recorded answers say about a candidate that another's scores stand for. */
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
    // A race of one asks nothing: there is nothing to hold against it.
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
function rank(left: readonly CandidateEvidence[], evidence: Evidence, terms: DecisionTerms): Ranking {
  const scored = evidence.qualitySource !== null;
  const basis = rankingBasis(left, scored ? terms.weights : { latency: 1 });
  const bounded = boundFeatures(left.map((one) => featuresOf(one, basis, null)));
  const features = new Map(left.map(({ id }, at) => [id, bounded[at] ?? {}]));
  const { minPassRate, minScore, minRating } = terms.constraints;
  const eligibility = scored
    ? eligibilityOf(left, {
      // A floor of nothing asks for nothing.
      floor: (minPassRate ?? 0) > 0 || (minScore ?? 0) > 0 || (minRating ?? 1) > 1,
      maxDrop: terms.maxDrop ?? MAX_DROP,
      baseline: evidence.baseline,
      cases: basis.qualityPrompts,
    })
    : new Map();
  const allowed = (id: string) => !scored || eligibility.get(id)?.eligible === true;
  const value = (id: string) =>
    allowed(id) ? utilityFrom(features.get(id) ?? {}, basis.weights) : features.get(id)?.quality ?? 0;
  const order = left.map(({ id }) => id).sort((a, b) =>
    Number(allowed(b)) - Number(allowed(a)) || value(b) - value(a)
  );
  return { basis, features, order, chances: chances(basis, terms.random), eligibility };
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

function verdictOf(
  ranking: Ranking,
  left: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: DecisionTerms,
): Conclusion {
  const [first, second] = ranking.order;
  if (first === undefined) {
    const reason = "no candidate passed the constraints";
    return { verdict: "none", winner: null, choice: null, fastest: null, runner_up: null, reason };
  }
  const fastest = fastestOf(left, evidence, terms);
  const nothing = (reason: string): Conclusion => ({
    verdict: fastest === null ? "undecided" : "fastest",
    winner: null,
    choice: null,
    fastest,
    runner_up: second ?? null,
    reason: fastest === null ? reason : `${fastest} is the fastest, but ${reason}`,
  });
  if (evidence.qualitySource === null) {
    const busy = terms.race?.state.verdict?.verdict === "undecided" ? terms.race.busy : null;
    return nothing(
      `${
        busy === null ? "" : `${busy}; `
      }no answer was checked or rated: speed is ranked, nothing is recommended`,
    );
  }
  const eligible = (id: string) => ranking.eligibility.get(id)?.eligible === true;
  const why = (id: string) => ranking.eligibility.get(id)?.why ?? "its answers were not scored";
  const raced = racedOutcome(left, terms.race);
  if (raced !== null) {
    if (raced.choice === null || eligible(raced.choice)) return { ...raced, fastest: null };
    return nothing(`${raced.choice}, which came out of the race, is not a choice: ${why(raced.choice)}`);
  }
  if (!eligible(first)) return nothing(`no candidate may be chosen for its quality: ${first}: ${why(first)}`);
  if (second === undefined) {
    const reason = `it is the only one that the constraints left, and ${why(first)}`;
    return { verdict: "only", winner: first, choice: first, fastest: null, runner_up: null, reason };
  }
  return { ...rankedOutcome(first, second, ranking, left, terms), fastest: null };
}

/** The winner of the race by speed, or who leads every other in latency beyond chance; null where that is open. */
function fastestOf(
  left: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: DecisionTerms,
): string | null {
  const { race, delta } = terms;
  if (race !== null) {
    const { winner, by } = raceReport(race);
    return by === "checks" || by === "utility" ? null : winner;
  }
  if (speedFaults(left, evidence, terms).length > 0 || severalRuns(left).length > 0) return null;
  const basis = rankingBasis(left, { latency: 1 });
  const [first, ...others] = left.toSorted((a, b) =>
    (featuresOf(b, basis, null).latency ?? -Infinity) - (featuresOf(a, basis, null).latency ?? -Infinity)
  );
  if (first === undefined || others.length === 0) return null;
  const ahead = (other: CandidateEvidence) => {
    const [own, theirs] = failedAlone(first, other);
    return own <= theirs && signTestP(own, theirs) > 0.05 &&
      leads(leadOf(first, other, basis), delta / left.length);
  };
  return others.every(ahead) ? first.id : null;
}

/** Cases that only `a`, and only `b`, failed. Failures are censored, not dropped: the slowest may be among them. */
function failedAlone(a: CandidateEvidence, b: CandidateEvidence): [number, number] {
  const only = (one: CandidateEvidence, other: CandidateEvidence) =>
    [...one.failedCases].filter((hash) => !other.failedCases.has(hash)).length;
  return [only(a, b), only(b, a)];
}

const leads = (lead: Lead | null, error: number) => lead !== null && isAhead(lead, error);

/** The race's verdict, unless what was measured since excludes its choice. */
function racedOutcome(
  left: readonly CandidateEvidence[],
  race: RecordedRace | null,
): Omit<Conclusion, "fastest"> | null {
  if (race === null) return null;
  const { verdict, winner, runner_up, reason, requests, blocks, by } = raceReport(race);
  const choice = race.state.verdict?.choice ?? null;
  if (choice !== null && !left.some(({ id }) => id === choice)) {
    return {
      verdict: "undecided",
      winner: null,
      choice: null,
      runner_up,
      reason: `${choice} came out of the race, but it is excluded`,
    };
  }
  const texts = {
    winner: `it won the race by ${by} in ${requests} requests (${blocks} blocks)`,
    tie: `those left are as good as equal by ${by} after ${requests} requests; it is the lightest`,
    only: "it is the only one that the constraints left",
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

/**
 * By quality, speed and memory together. A winner leads every other one beyond chance, each test at δ/2K: so one of K
 * identical candidates is called the winner with probability at most δ. One that may not be chosen for its quality is
 * beaten by quality as well.
 */
function rankedOutcome(
  first: string,
  second: string,
  { basis, eligibility }: Ranking,
  left: readonly CandidateEvidence[],
  { delta, epsilon }: DecisionTerms,
): Omit<Conclusion, "fastest"> {
  const find = (id: string) => left.find((one) => one.id === id);
  const own = find(first);
  const undecided = (reason: string) =>
    ({ verdict: "undecided", winner: null, choice: null, runner_up: second, reason }) as const;
  if (own === undefined) return undecided("");
  // Two tests may each call a rival beaten, so each gets half of the error.
  const error = delta / left.length / 2;
  const byQuality = { ...basis, weights: { quality: 1 } };
  const timed = speedParts(basis.weights).length > 0;
  const open = left.filter((other) => other !== own).filter((other) => {
    const [failed, theirs] = failedAlone(own, other);
    const excused = timed && failed > theirs;
    return (excused || !leads(leadOf(own, other, basis), error)) &&
      !((excused || eligibility.get(other.id)?.eligible === false) &&
        leads(leadOf(own, other, byQuality), error));
  });
  const about = `over ${basis.qualityPrompts.length} scored cases, at an error of ${delta} in all`;
  const rival = find(second);
  const lead = rival === undefined ? null : leadOf(own, rival, basis);
  if (lead === null || rival === undefined) {
    return undecided(`${first} leads, but on too few cases to say how sure that is`);
  }
  const reach = Math.abs(lead.mean) + studentTQuantile(1 - delta / 2, lead.df) * lead.error;
  const tied = reach < epsilon && eligibility.get(second)?.eligible === true;
  const tails = tailsFault(own, rival, basis);
  if (tied && tails === "") {
    const weight = (id: string) => {
      const summary = find(id)?.summary;
      return summary?.memory_mb ?? summary?.size_mb ?? Infinity;
    };
    const [choice, other] = weight(second) < weight(first) ? [second, first] : [first, second];
    const reason = `${first} and ${second} are as good as equal (within ${epsilon}); ${choice} is no heavier`;
    return { verdict: "tie", winner: null, choice, runner_up: other, reason };
  }
  if (open.length === 0) {
    const reason = `it leads every other candidate ${about}; ${eligibility.get(first)?.why ?? ""}`;
    return { verdict: "winner", winner: first, choice: first, runner_up: second, reason };
  }
  if (tied) return undecided(`${first} and ${second} are alike in the mean, but ${tails}`);
  const flaky = timed && open.some((other) => failedAlone(own, other)[0] > failedAlone(own, other)[1]);
  return undecided(
    `${first} leads, but not ${open.map(({ id }) => id).join(" and ")} beyond chance ${about}` +
      (flaky ? "; it failed in more cases, so its speed does not count" : ""),
  );
}

/** Why two candidates may differ in rare cases, tails and failures included; empty where not. See `TAIL_BLOCKS`. */
function tailsFault(a: CandidateEvidence, b: CandidateEvidence, basis: RankingBasis): string {
  const [onlyA, onlyB] = failedAlone(a, b);
  if (onlyA + onlyB > 0) return `only ${a.id} failed in ${onlyA} cases, only ${b.id} in ${onlyB}`;
  const few = (cases: number, what: string) =>
    cases < TAIL_BLOCKS ? `${what}: that takes ${TAIL_BLOCKS} cases, and there are ${cases}` : "";
  const scored = few(basis.qualityPrompts.length, "a difference in rare cases was not ruled out");
  if (scored !== "" || (basis.weights.latency ?? 0) === 0) return scored;
  const logs = basis.speedPrompts.map((prompt) =>
    (a.logByPrompt.get(prompt)?.latency_s ?? 0) - (b.logByPrompt.get(prompt)?.latency_s ?? 0)
  );
  const far = logs.filter((log) => Math.abs(log) > Math.log(FAR_RATIO)).length;
  return far > 0
    ? `one took more than ${FAR_RATIO} times as long in ${far} of ${logs.length} cases`
    : few(logs.length, "their slowest answers were not compared");
}

function row(
  one: CandidateEvidence,
  { basis, features, order, chances, eligibility }: Ranking,
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

/** Of the mean score over cases; null below two. */
function qualityInterval(scores: readonly number[]): [number, number] | null {
  const interval = scoreDifference(scores.map((score) => [score, 0] as const))?.interval;
  return interval === undefined ? null : [Math.max(0, interval[0]), Math.min(1, interval[1])];
}

/** Of runs that did not record it. */
function registryHash({ alias, variant }: CandidateEvidence["summary"], registry: Registry | null) {
  const entry = registry === null ? undefined : findModel(registry, alias);
  const [name = ""] = (variant ?? "").split("+");
  return entry === undefined ? null : findVariant(entry, name)?.sha256 ?? null;
}

function checksOf(one: CandidateEvidence, evidence: Evidence): DecidedCandidate["checks"] {
  const checks = candidateIn(one.id, qualityFor(one, evidence))?.checks ?? [];
  return checks.map(({ name, pass_rate: { passed, n } }) => ({ name, passed, cases: n }));
}

/** Measured where a counter was read; otherwise the heuristic, where watts were stated. */
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
