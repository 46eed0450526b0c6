/** Who wins, ties or is the fastest, and why: the verdict of a decision on the candidates that the constraints left. */
import { signTestP } from "../../stats/special.ts";
import { studentTQuantile } from "../../stats/t.ts";
import { FAR_RATIO } from "../race/pairing.ts";
import { TAIL_BLOCKS } from "../race/race.ts";
import { raceReport } from "../race/race_report.ts";
import type { RecordedRace } from "../race/recorded_race.ts";
import type { Decision } from "./decision_schema.ts";
import type { CandidateEvidence, Evidence } from "./evidence.ts";
import {
  featuresOf,
  isAhead,
  type Lead,
  leadOf,
  type Ranking,
  type RankingBasis,
  rankingBasis,
  speedParts,
} from "./ranking.ts";

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

/** Why the times allow no verdict. A race controls for drift and noise by itself, and its verdict stands. */
export function speedFaults(
  left: readonly CandidateEvidence[],
  { speedFaults }: Evidence,
  { race }: VerdictTerms,
): string[] {
  if (race !== null) return [];
  return [...new Set(left.map(({ run }) => run))].flatMap((run) => {
    const fault = speedFaults.get(run);
    return fault === undefined ? [] : [`${run}: ${fault}`];
  });
}

export function severalRuns(left: readonly CandidateEvidence[]): string[] {
  const runs = new Set(left.map(({ run }) => run)).size;
  return runs < 2 ? [] : [
    `the times come from ${runs} runs, between which the machine may have changed: measure them in one run to be sure`,
  ];
}

export function verdictOf(
  ranking: Ranking,
  left: readonly CandidateEvidence[],
  evidence: Evidence,
  terms: VerdictTerms,
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
  terms: VerdictTerms,
): string | null {
  const { race, delta } = terms;
  if (race !== null) {
    const { verdict, winner, by } = raceReport(race);
    // The only one that was left to race is faster than nobody.
    return verdict !== "winner" || by === "checks" || by === "utility" ? null : winner;
  }
  if (speedFaults(left, evidence, terms).length > 0 || severalRuns(left).length > 0) return null;
  const basis = rankingBasis(left, { latency: 1 });
  const [first, ...others] = left.toSorted((a, b) =>
    (featuresOf(b, basis).latency ?? -Infinity) - (featuresOf(a, basis).latency ?? -Infinity)
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
  { delta, epsilon }: VerdictTerms,
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
