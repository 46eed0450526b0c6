/** Who wins, ties or is the fastest, and why: the verdict of a decision on the candidates that the constraints left. */
import { signTestP } from "../../stats/special.ts";
import { studentTQuantile } from "../../stats/t.ts";
import { FAR_RATIO } from "../race/pairing.ts";
import { TAIL_BLOCKS } from "../race/race.ts";
import { raceReport } from "../race/race_report.ts";
import type { RecordedRace } from "../race/recorded_race.ts";
import type { Decision } from "./decision_schema.ts";
import type { CandidateEvidence, Evidence } from "./evidence.ts";
import { isAhead, leadOf } from "./lead.ts";
import { featuresOf, type Ranking, type RankingBasis, rankingBasis, speedParts } from "./ranking.ts";

/** What a verdict rests on besides the evidence. */
export interface VerdictTerms {
  /** Accepted probability of a winner among identical candidates; a race has its own. */
  readonly delta: number;
  /** Utilities closer than this are as good as equal: 0.05 is a twentieth of the quality scale. */
  readonly epsilon: number;
  /** Where the first run is a race: its verdict stands, because it holds whenever it stopped. */
  readonly race: RecordedRace | null;
}

type Conclusion = Pick<Decision, "verdict" | "winner" | "choice" | "fastest" | "runner_up" | "reason">;

const NO_CANDIDATE = { winner: null, choice: null, fastest: null, runner_up: null } as const;

/** The verdict on the candidates that remain, in the order of the ranking. */
export function verdictOf(
  ranking: Ranking,
  remaining: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: VerdictTerms,
): Conclusion {
  const [first, second] = ranking.order.map((id) => remaining.find((one) => one.id === id));
  if (first === undefined) {
    return { verdict: "none", ...NO_CANDIDATE, reason: "no candidate passed the constraints" };
  }
  const fastest = fastestCandidate(remaining, evidence, terms);
  const nothingChosen = (why: string): Conclusion => ({
    verdict: fastest === null ? "undecided" : "fastest",
    ...NO_CANDIDATE,
    fastest,
    runner_up: second?.id ?? null,
    reason: fastest === null ? why : `${fastest} is the fastest, but ${why}`,
  });
  if (evidence.qualitySource === null) {
    const busy = terms.race?.state.verdict?.verdict === "undecided" ? terms.race.busy : null;
    const unscored = "no answer was checked or rated: speed is ranked, nothing is recommended";
    return nothingChosen(busy === null ? unscored : `${busy}; ${unscored}`);
  }
  const standing = (id: string) =>
    ranking.eligibility.get(id) ?? { eligible: false, why: "its answers were not scored" };
  if (terms.race !== null) {
    const raced = racedConclusion(remaining, terms.race);
    if (raced.choice === null || standing(raced.choice).eligible) return raced;
    return nothingChosen(
      `${raced.choice}, which came out of the race, is not a choice: ${standing(raced.choice).why}`,
    );
  }
  const { eligible, why } = standing(first.id);
  if (!eligible) return nothingChosen(`no candidate may be chosen for its quality: ${first.id}: ${why}`);
  if (second === undefined) {
    const reason = `it is the only one that the constraints left, and ${why}`;
    return { verdict: "only", ...NO_CANDIDATE, winner: first.id, choice: first.id, reason };
  }
  return rankedConclusion(first, second, ranking, remaining, terms);
}

/** The winner of the race by speed, or who leads every other in latency beyond chance; null where that is open. */
function fastestCandidate(
  remaining: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: VerdictTerms,
): string | null {
  const { race, delta } = terms;
  if (race !== null) {
    const { verdict, winner, by } = raceReport(race);
    // The only one that was left to race is faster than nobody.
    return verdict !== "winner" || by === "checks" || by === "utility" ? null : winner;
  }
  if (speedFaults(remaining, evidence, terms).length > 0 || severalRuns(remaining).length > 0) return null;
  const basis = rankingBasis(remaining, { latency: 1 });
  const [first, ...others] = remaining.toSorted((a, b) =>
    (featuresOf(b, basis).latency ?? -Infinity) - (featuresOf(a, basis).latency ?? -Infinity)
  );
  if (first === undefined || others.length === 0) return null;
  const isFaster = (other: CandidateEvidence) => {
    const [own, theirs] = failedAlone(first, other);
    return own <= theirs && signTestP(own, theirs) > 0.05 &&
      leads(first, other, basis, delta / remaining.length);
  };
  return others.every(isFaster) ? first.id : null;
}

/** Cases that only `a`, and only `b`, failed. Failures are censored, not dropped: the slowest may be among them. */
function failedAlone(a: CandidateEvidence, b: CandidateEvidence): [number, number] {
  const only = (one: CandidateEvidence, other: CandidateEvidence) =>
    [...one.failedCases].filter((hash) => !other.failedCases.has(hash)).length;
  return [only(a, b), only(b, a)];
}

/** Whether `a` leads `b` beyond chance, at this error. */
function leads(a: CandidateEvidence, b: CandidateEvidence, basis: RankingBasis, error: number): boolean {
  const lead = leadOf(a, b, basis);
  return lead !== null && isAhead(lead, error);
}

/** The race's verdict, unless what was measured since excludes its choice. */
function racedConclusion(remaining: readonly CandidateEvidence[], race: RecordedRace): Conclusion {
  const { verdict, winner, runner_up, reason, requests, blocks, by } = raceReport(race);
  const choice = race.state.verdict?.choice ?? null;
  if (choice !== null && !remaining.some(({ id }) => id === choice)) {
    const reason = `${choice} came out of the race, but it is excluded`;
    return { verdict: "undecided", ...NO_CANDIDATE, runner_up, reason };
  }
  const why = {
    winner: `it won the race by ${by} in ${requests} requests (${blocks} blocks)`,
    tie: `those left are as good as equal by ${by} after ${requests} requests; it is the lightest`,
    only: "it is the only one that the constraints left",
    undecided: reason ?? "",
    left: reason ?? "",
    none: reason ?? "",
  };
  return { verdict, winner, choice, fastest: null, runner_up, reason: why[verdict] };
}

/**
 * By quality, speed and memory together. A winner leads every other one beyond chance, each test at δ/2K: so
 * one of K identical candidates is called the winner with probability at most δ. One that may not be chosen
 * for its quality is beaten by quality as well.
 */
function rankedConclusion(
  first: CandidateEvidence,
  second: CandidateEvidence,
  { basis, eligibility }: Ranking,
  remaining: readonly CandidateEvidence[],
  { delta, epsilon }: VerdictTerms,
): Conclusion {
  const undecided = (reason: string): Conclusion => ({
    verdict: "undecided",
    ...NO_CANDIDATE,
    runner_up: second.id,
    reason,
  });
  const lead = leadOf(first, second, basis);
  if (lead === null) return undecided(`${first.id} leads, but on too few cases to say how sure that is`);
  const reach = Math.abs(lead.mean) + studentTQuantile(1 - delta / 2, lead.df) * lead.error;
  const tied = reach < epsilon && eligibility.get(second.id)?.eligible === true;
  const tails = tailsFault(first, second, basis);
  if (tied && tails === "") {
    const [choice, other] = weightOf(second) < weightOf(first) ? [second, first] : [first, second];
    const reason =
      `${first.id} and ${second.id} are as good as equal (within ${epsilon}); ${choice.id} is no heavier`;
    return { verdict: "tie", ...NO_CANDIDATE, choice: choice.id, runner_up: other.id, reason };
  }
  const unbeaten = unbeatenBy(first, remaining, { basis, eligibility }, delta);
  const about = `over ${basis.qualityPrompts.length} scored cases, at an error of ${delta} in all`;
  if (unbeaten.length === 0) {
    const reason = `it leads every other candidate ${about}; ${eligibility.get(first.id)?.why ?? ""}`;
    const ids = { winner: first.id, choice: first.id, fastest: null, runner_up: second.id };
    return { verdict: "winner", ...ids, reason };
  }
  if (tied) return undecided(`${first.id} and ${second.id} are alike in the mean, but ${tails}`);
  const isDiscounted = unbeaten.some((other) => isSpeedDiscounted(first, other, basis));
  return undecided(
    `${first.id} leads, but not ${unbeaten.map(({ id }) => id).join(" and ")} beyond chance ${about}` +
      (isDiscounted ? "; it failed in more cases, so its speed does not count" : ""),
  );
}

/** The candidates over which a lead of the first one is not shown, neither in all that counts nor in quality. */
function unbeatenBy(
  first: CandidateEvidence,
  remaining: readonly CandidateEvidence[],
  { basis, eligibility }: Pick<Ranking, "basis" | "eligibility">,
  delta: number,
): CandidateEvidence[] {
  // Two tests may each call a rival beaten, so each gets half of the error.
  const error = delta / remaining.length / 2;
  const byQuality = { ...basis, weights: { quality: 1 } };
  return remaining.filter((other) => {
    if (other === first) return false;
    const isDiscounted = isSpeedDiscounted(first, other, basis);
    const qualityDecides = isDiscounted || eligibility.get(other.id)?.eligible === false;
    const isBeaten = !isDiscounted && leads(first, other, basis, error) ||
      qualityDecides && leads(first, other, byQuality, error);
    return !isBeaten;
  });
}

/** Whether the speed of `a` does not count against `b`, since `a` failed in more cases. */
function isSpeedDiscounted(a: CandidateEvidence, b: CandidateEvidence, { weights }: RankingBasis): boolean {
  const [own, theirs] = failedAlone(a, b);
  return own > theirs && speedParts(weights).length > 0;
}

const weightOf = ({ summary }: CandidateEvidence) => summary.memory_mb ?? summary.size_mb ?? Infinity;

/** Why the times allow no verdict. A race controls for drift and noise by itself, and its verdict stands. */
export function speedFaults(
  remaining: readonly CandidateEvidence[],
  { speedFaults }: Evidence,
  { race }: VerdictTerms,
): string[] {
  if (race !== null) return [];
  return [...new Set(remaining.map(({ run }) => run))].flatMap((run) => {
    const fault = speedFaults.get(run);
    return fault === undefined ? [] : [`${run}: ${fault}`];
  });
}

export function severalRuns(remaining: readonly CandidateEvidence[]): string[] {
  const runs = new Set(remaining.map(({ run }) => run)).size;
  return runs < 2 ? [] : [
    `the times come from ${runs} runs, between which the machine may have changed: measure them in one run to be sure`,
  ];
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
