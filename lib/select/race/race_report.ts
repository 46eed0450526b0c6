/** What a race found, as `race --json` prints it: from the run's records alone, so that a replay says the same. */
import type { Exclusion, RaceTerms } from "../../bench/records.ts";
import type { Interval } from "../../stats/quantile.ts";
import {
  type Departure,
  effectBetween,
  type Elimination,
  evidenceAgainst,
  type RaceScope,
  type RaceState,
  type Verdict,
} from "./race_state.ts";
import { leftText } from "./race.ts";
import type { RecordedRace } from "./recorded_race.ts";

/** Of races that name no scope. */
const DEFAULT_SCOPE: RaceScope = "cases like these";

/** The document that `race --json` prints: the verdict, its scope, and the evidence behind it. */
export interface RaceReport {
  /** The run that holds the records. */
  readonly run_id: string;
  /** What decides a block: `latency`, `ttft`, `throughput`, `checks` or `utility`. */
  readonly by: RaceTerms["by"];
  /** The weights of a race by utility; null otherwise. */
  readonly weights: RaceTerms["weights"];
  /** Which cases the verdict and the intervals speak about, how many were in the set, and how many were raced. */
  readonly scope: { readonly claim: RaceScope; readonly cases: number; readonly raced: number };
  /** How the race ended: `winner`, `tie`, `undecided`, `only`, `left` or `none`. */
  readonly verdict: Verdict["verdict"];
  /** The winner's id; null without a winner. */
  readonly winner: string | null;
  /**
   * What to use, in a race by check scores. Null in a race by anything else: that says who is the fastest,
   * and the decision (decision.json), which asks for quality, chooses.
   */
  readonly choice: string | null;
  /** Of candidates that tie, the lightest; null without a tie. */
  readonly lightest: string | null;
  /** The last candidate that was eliminated; null where none was. */
  readonly runner_up: string | null;
  /** Why there is no winner; null where there is one. */
  readonly reason: string | null;
  /** Requests that were sent. */
  readonly requests: number;
  /** Blocks that were judged. */
  readonly blocks: number;
  /** Accepted probability of a wrong winner. */
  readonly delta: number;
  /** The difference that does not matter: a share for times, points for scores. */
  readonly epsilon: number;
  /** The most requests that were allowed. */
  readonly budget: number;
  /** The evidence at which a candidate goes. */
  readonly threshold: number;
  /** Those still in, with the evidence against each. */
  readonly live: readonly { readonly id: string; readonly evidence: number }[];
  /** Those that went by evidence, with the rival that beat each. */
  readonly eliminated: readonly Elimination[];
  /** Candidates that failed out of the race; later blocks are not evidence. */
  readonly left: readonly Departure[];
  /** Those that never raced, with the reason and what would admit them. */
  readonly excluded: readonly Exclusion[];
  /** Whether the machine was busy in most blocks: how large the effects are then holds for this busy machine only. */
  readonly provisional: boolean;
  /** How the choice, or the first of those left, compares with each other candidate. */
  readonly effects: readonly RaceEffect[];
  /** The same blocks by output tokens/s, at the same delta; null where answers are about as long. */
  readonly per_token:
    | {
      readonly verdict: Verdict["verdict"];
      readonly winner: string | null;
      readonly effects: readonly RaceEffect[];
    }
    | null;
  /** The run whose answers were checked against the quality floor. */
  readonly quality_run: string | null;
}

/** How much better or worse `a` is than `b`. */
export interface RaceEffect {
  readonly a: string;
  readonly b: string;
  readonly kind: "ratio" | "difference";
  readonly size: number | null;
  /** Holds at any time, all of them together with probability 1 − delta. */
  readonly interval: Interval | null;
  readonly blocks: number;
}

/**
 * A finished race as one JSON document.
 *
 * @throws {RangeError} When the race has not ended.
 *
 * ```ts ignore
 * const report = raceReport(await replayRecorded("reports/2026-11-21T04-55-07-ab12"));
 * ```
 */
export function raceReport(
  { info, terms, state, perToken, busy, cases }:
    & Pick<RecordedRace, "terms" | "state" | "perToken" | "busy" | "cases">
    & { readonly info: { readonly run_id: string } },
): RaceReport {
  const { verdict } = state;
  if (verdict === null) throw new RangeError("Cannot report a race that has not ended");
  const first = verdict.choice ?? state.live[0];
  return {
    run_id: info.run_id,
    by: terms.by,
    weights: terms.weights,
    scope: { claim: terms.scope ?? DEFAULT_SCOPE, cases, raced: state.blocks },
    verdict: verdict.verdict,
    winner: verdict.winner,
    choice: terms.by === "checks" ? verdict.choice : null,
    lightest: verdict.verdict === "tie" ? verdict.choice : null,
    runner_up: verdict.verdict === "winner" ? verdict.runnerUp : null,
    reason: "reason" in verdict ? verdict.reason : null,
    requests: state.requests,
    blocks: state.blocks,
    delta: terms.delta,
    epsilon: terms.epsilon,
    budget: terms.budget,
    threshold: state.candidates.length / terms.delta,
    live: state.live.map((id) => ({ id, evidence: evidenceValue(state, id) })),
    eliminated: state.eliminated,
    left: state.left,
    excluded: terms.excluded,
    provisional: busy !== null,
    effects: effectsOf(state, first),
    per_token: perToken === null || perToken.verdict === null ? null : {
      verdict: perToken.verdict.verdict,
      winner: perToken.verdict.winner,
      effects: effectsOf(perToken, first),
    },
    quality_run: terms.quality_run,
  };
}

function effectsOf(state: RaceState, first: string | undefined): RaceEffect[] {
  if (first === undefined) return [];
  return state.candidates.filter(({ id }) => id !== first).map(({ id }) => ({
    a: first,
    b: id,
    kind: state.rules.effect,
    ...effectBetween(state, first, id),
  }));
}

const evidenceValue = (state: RaceState, id: string) => evidenceAgainst(state, id).evidence;

/**
 * The race at a glance, one line per candidate: whether it is still in, the evidence against it as a part of
 * the threshold, and the budget.
 *
 * ```ts
 * import { startRace } from "./race.ts";
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 100 } as const;
 * const [budget, a] = raceLines(startRace([{ id: "a", sizeMb: null }, { id: "b", sizeMb: null }], rules));
 * if (!budget?.startsWith("block 0, 0 of 100 requests")) throw new Error(budget);
 * if (!a?.includes("0 of 40")) throw new Error(a);
 * ```
 */
export function raceLines(state: RaceState): string[] {
  const { candidates, live, eliminated, left, blocks, requests, rules } = state;
  const width = Math.max(0, ...candidates.map(({ id }) => id.length));
  const lines = candidates.map(({ id }) => {
    const name = id.padEnd(width);
    const out = eliminated.find((one) => one.id === id);
    const departed = left.find((one) => one.id === id);
    if (departed !== undefined) return `left ${name}  block ${departed.block}: failures (${departed.reason})`;
    if (out !== undefined) {
      return `out  ${name}  block ${out.block}: lost ${out.wins} of ${out.untied} to ${out.by}`;
    }
    const { evidence, threshold } = evidenceAgainst(state, id);
    const against = blocks === 0 ? 0 : evidence;
    return `${live.includes(id) ? "in " : "   "}  ${name}  evidence ${short(against)} of ${short(threshold)}`;
  });
  return [
    `block ${blocks}, ${requests} of ${rules.budget} requests; evidence against each:`,
    ...lines,
  ];
}

/** Evidence with two digits, from tiny to huge. */
function short(value: number): string {
  if (value >= 1e4) return value.toExponential(0);
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

/**
 * The evidence against every candidate after each block, until it goes: for `evidencePlot`.
 *
 * ```ts ignore
 * const figure = evidencePlot(evidencePoints(race), { threshold: 40, title: "Evidence", caption: "by latency" });
 * ```
 */
export function evidencePoints(
  { history, state }: Pick<RecordedRace, "history" | "state">,
): { block: number; candidate: string; evidence: number }[] {
  const states = [...history, state].filter(({ blocks }) => blocks > 0);
  return states.flatMap((now, i) => {
    const racing = states[i - 1]?.live ?? now.candidates.map(({ id }) => id);
    return racing.map((id) => ({ block: now.blocks, candidate: id, evidence: evidenceValue(now, id) }));
  });
}

/** The verdict in a few sentences, with its scope. */
export function verdictText(report: RaceReport): string {
  const left = report.verdict !== "left" && report.left.length > 0 ? ` ${leftText(report)}.` : "";
  return `${mainVerdict(report)}${left}${perTokenText(report)}`;
}

/** `cases like these (24 cases)`, `these 10 cases`. */
export function scopeText({ claim, cases, raced }: RaceReport["scope"]): string {
  return claim === "these cases" ? `these ${cases} cases` : `cases like these (${raced} of ${cases} raced)`;
}

function mainVerdict(report: RaceReport): string {
  const { verdict, winner, lightest, reason, requests, blocks, delta, by } = report;
  const cost = `${requests} requests, ${blocks} blocks`;
  const about = `for ${scopeText(report.scope)}`;
  const provisionally = report.provisional ? ", provisionally (the machine was busy)" : "";
  switch (verdict) {
    case "winner": {
      const rival = report.effects.find(({ b }) => b === report.runner_up);
      return `Winner by ${by}: ${winner}, ${about} (${cost}, delta ${delta})${
        rival === undefined ? "" : `; against the runner-up${provisionally}: ${effectText(rival)}`
      }.`;
    }
    case "tie":
      return `Tie by ${by}: ${
        report.live.map(({ id }) => id).join(" and ")
      } are as good as equal, ${about} (${cost}); ${lightest} is the lightest.`;
    case "undecided":
      return `${
        report.provisional ? "No verdict" : "Undecided"
      } by ${by}, ${about}: ${reason} (${cost}); still in: ${report.live.map(({ id }) => id).join(", ")}.`;
    case "left":
      return `No verdict by ${by}: ${reason} (${cost}). Failures are not evidence of speed.`;
    case "only":
      return `Nothing to race: only ${winner} passed the constraints.`;
    case "none":
      return `None: ${reason}.`;
  }
}

function perTokenText({ per_token, winner, provisional }: RaceReport): string {
  if (per_token === null) return "";
  const { effects } = per_token;
  const [first] = effects;
  const verdict = per_token.verdict === "winner"
    ? `${per_token.winner} wins${per_token.winner === winner ? " as well" : ""}`
    : per_token.verdict;
  return `\nAnswers differ in length. By output tokens/s: ${verdict}${
    first === undefined
      ? ""
      : `; ${provisional ? "provisionally, " : ""}${first.a}: ${effects.map(effectText).join(", ")}`
  }.`;
}

/** `0.62 × (0.55 to 0.70) of b, 24 blocks`. */
function effectText({ b, kind, size, interval, blocks }: RaceReport["effects"][number]): string {
  if (size === null) return `no block that both it and ${b} answered`;
  const text = (value: number) =>
    kind === "ratio" ? `${value.toFixed(2)} ×` : `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(2)}`;
  const range = interval === null
    ? "too few blocks for an interval"
    : `${text(interval[0])} to ${text(interval[1])} at any time`;
  return `${text(size)} ${b} (${range}, ${blocks} ${blocks === 1 ? "block" : "blocks"})`;
}
