/** votes.jsonl: which of two answers people preferred, blind; and the result of all votes of a run. */
import { join } from "node:path";
import { z } from "zod";
import { anytimeMeanInterval } from "../stats/bounded_interval.ts";
import { bradleyTerry, type PairOutcome } from "../stats/bradley_terry.ts";
import { meanOf } from "../stats/mean.ts";
import type { VoteSummary } from "./quality_schema.ts";
import { readRecordLines, underLock, writeRecordLines } from "./record_lines.ts";

/** A person's choice between two answers. */
export const choice = z.enum(["first", "second", "tie", "both_bad"]);
export type Choice = z.infer<typeof choice>;

const voteRecord = z.object({
  rater: z.string().min(1),
  prompt_id: z.string(),
  /** The two candidates, in the order of the run. */
  candidates: z.tuple([z.string(), z.string()]),
  /** Their answers: the requests' ids. */
  answers: z.tuple([z.string(), z.string()]),
  /** Which of the two was shown as A. */
  shown_first: z.enum(["first", "second"]),
  choice,
});
export type VoteRecord = z.infer<typeof voteRecord>;

const votesPath = (folder: string) => join(folder, "votes.jsonl");

/**
 * The votes of a run, in the order in which they were given; empty when there are none.
 *
 * @throws {UserError} for a line that can't be read, with its number
 */
export async function readVotes(folder: string): Promise<VoteRecord[]> {
  return await readRecordLines(votesPath(folder), voteRecord);
}

const voteKey = ({ rater, answers }: Pick<VoteRecord, "rater" | "answers">) =>
  JSON.stringify([rater, answers]);

/**
 * Adds a vote, or takes one back (`choice: null`). Two people may vote at once: each change is made under a
 * lock. A changed vote keeps its position, and so stays the first vote on its case.
 *
 * @returns all votes of the run afterwards
 */
export async function saveVote(
  folder: string,
  vote: Omit<VoteRecord, "choice"> & { readonly choice: Choice | null },
): Promise<VoteRecord[]> {
  return await underLock(votesPath(folder), async () => {
    const votes = new Map((await readVotes(folder)).map((one) => [voteKey(one), one]));
    if (vote.choice === null) votes.delete(voteKey(vote));
    else votes.set(voteKey(vote), { ...vote, choice: vote.choice });
    const all = [...votes.values()];
    await writeRecordLines(votesPath(folder), all);
    return all;
  });
}

/** Total error of all intervals of a run's pairs together. */
const ERROR = 0.05;
/** Neither is preferred within this distance from one half. */
const TIE_MARGIN = 0.1;

const shareOf: Readonly<Record<Choice, number>> = { first: 1, second: 0, tie: 0.5, both_bad: 0.5 };

/**
 * The result of the votes on one pair. The interval rests on the first vote on each case, by any voter, and
 * holds at all times at once: further votes on a case say nothing about other cases.
 *
 * @param pairs of the run: their intervals hold together
 */
export function pairSummary(votes: readonly VoteRecord[], pairs: number): VoteSummary["pairs"][number] {
  const [first] = votes;
  const firsts = [...Map.groupBy(votes, ({ prompt_id }) => prompt_id).values()].flatMap(([vote]) =>
    vote === undefined ? [] : [shareOf[vote.choice]]
  );
  const [low, high] = anytimeMeanInterval(firsts, ERROR / Math.max(1, pairs));
  const count = (one: Choice) => votes.filter(({ choice }) => choice === one).length;
  return {
    candidates: [first?.candidates[0] ?? "", first?.candidates[1] ?? ""],
    cases: firsts.length,
    votes: votes.length,
    first: count("first"),
    second: count("second"),
    ties: count("tie"),
    both_bad: count("both_bad"),
    share: firsts.length === 0 ? null : meanOf(firsts),
    interval: [low, high],
    decided: decidedBy(low, high),
  };
}

function decidedBy(low: number, high: number): VoteSummary["pairs"][number]["decided"] {
  if (low > 0.5) return "first";
  if (high < 0.5) return "second";
  return low > 0.5 - TIE_MARGIN && high < 0.5 + TIE_MARGIN ? "tie" : null;
}

/**
 * The result of all votes of a run; null without votes.
 *
 * @param candidates of the run, in its order
 *
 * ```ts
 * const vote = (at: number) => ({
 *   rater: "ana", prompt_id: `p${at}`, candidates: ["a", "b"] as [string, string], answers: [`${at}a`, `${at}b`] as [string, string],
 *   shown_first: "first" as const, choice: "first" as const,
 * });
 * const summary = voteSummary(Array.from({ length: 12 }, (_, at) => vote(at)), ["a", "b"]);
 * if (summary?.pairs[0]?.decided !== "first") throw new Error("twelve of twelve decide");
 * ```
 */
export function voteSummary(votes: readonly VoteRecord[], candidates: readonly string[]): VoteSummary | null {
  if (votes.length === 0) return null;
  const pairs = Map.groupBy(votes, ({ candidates }) => JSON.stringify(candidates));
  const number = candidates.length * (candidates.length - 1) / 2;
  const comparisons = votes.map(({ candidates: [first, second], prompt_id, rater, choice }): PairOutcome => ({
    first,
    second,
    share: shareOf[choice],
    case_id: prompt_id,
    voter: rater,
  }));
  const shownA = votes.filter(({ choice }) => choice === "first" || choice === "second");
  const choseA = shownA.filter(({ choice, shown_first }) => choice === shown_first).length;
  return {
    votes: votes.length,
    raters: [...new Set(votes.map(({ rater }) => rater))],
    cases: new Set(votes.map(({ prompt_id }) => prompt_id)).size,
    chose_a: shownA.length === 0 ? null : choseA / shownA.length,
    pairs: [...pairs.values()].map((same) => pairSummary(same, number)),
    strengths: bradleyTerry(comparisons).map(({ id, share, ci95 }) => ({ id, share, ci95: [...ci95] })),
  };
}

/** The quality, 0 to 1, that a vote gives a candidate; null where the vote is about others. */
export function voteValue({ candidates, choice }: VoteRecord, candidate: string): number | null {
  const at = candidates.indexOf(candidate);
  if (at < 0) return null;
  if (choice === "both_bad") return 0;
  return choice === "tie" ? 0.5 : Number((choice === "first") === (at === 0));
}
