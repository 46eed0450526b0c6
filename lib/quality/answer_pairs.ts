/** Pairs of answers to compare blind: in random order, A and B at random, most needed first. */
import { createHash } from "node:crypto";
import type { AnswerRecord } from "../bench/records.ts";
import { UserError } from "../errors.ts";
import type { Prompt } from "../prompts/prompts.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import { promptForPeople } from "./sheet.ts";
import { visibleAnswer } from "./text.ts";
import { pairSummary, type VoteRecord } from "./votes.ts";

/** Two answers to one case. */
export interface AnswerPair {
  /** Says nothing about the candidates. */
  readonly item: string;
  readonly prompt: string;
  readonly aspects: string;
  readonly a: string;
  readonly b: string;
  /** A vote on it, without the choice. */
  readonly vote: Omit<VoteRecord, "choice">;
}

/**
 * All pairs of one voter: for each two candidates and each case their first answers, where the texts differ.
 * The same run and voter get the same order.
 *
 * @param candidates of the run, in its order
 * @throws {UserError} where no two answers differ
 */
export function makePairs(
  answers: readonly AnswerRecord[],
  prompts: readonly Pick<Prompt, "id" | "messages" | "aspects">[],
  { runId, rater, candidates }: { runId: string; rater: string; candidates: readonly string[] },
): AnswerPair[] {
  const keyOf = (prompt: string, candidate: string) => JSON.stringify([prompt, candidate]);
  const first = new Map<string, AnswerRecord>();
  for (const answer of answers.filter(({ phase }) => phase === "timed")) {
    const key = keyOf(answer.prompt_id, answer.candidate);
    if (!first.has(key)) first.set(key, answer);
  }
  const random = seededRandom(`${runId} ${rater} pairs`);
  const twos = candidates.flatMap((one, at) =>
    candidates.slice(at + 1).map((other) => [one, other] as const)
  );
  const pairs = shuffle(prompts, random).flatMap((prompt) =>
    shuffle(twos, random).flatMap(([one, other]): AnswerPair[] => {
      const [left, right] = [first.get(keyOf(prompt.id, one)), first.get(keyOf(prompt.id, other))];
      if (left === undefined || right === undefined) return [];
      const swap = random() < 0.5;
      const [a, b] = (swap ? [right, left] : [left, right]).map(({ content }) => visibleAnswer(content));
      if (a === undefined || b === undefined || a === b) return [];
      const item = createHash("sha256").update(`${runId} ${rater} ${left.id} ${right.id}`).digest("hex");
      const vote = {
        rater,
        prompt_id: prompt.id,
        candidates: [one, other] satisfies [string, string],
        answers: [left.id, right.id] satisfies [string, string],
        shown_first: swap ? "second" as const : "first" as const,
      };
      return [{ item: item.slice(0, 12), ...promptForPeople(prompt), a, b, vote }];
    })
  );
  if (pairs.length === 0) {
    throw new UserError("no two answers to compare: give a run with several candidates", 1);
  }
  return pairs;
}

/** Where one voter is. */
export interface PairProgress {
  /** The next pair to vote on; null where no further vote could change a result. */
  readonly next: AnswerPair | null;
  readonly voted: number;
  readonly total: number;
  /** How many pairs of candidates the votes of the run decide, and how many there are. */
  readonly decided: number;
  readonly pairs: number;
}

/**
 * The next pair for a voter: of the cases in order, the first whose candidates are not decided yet.
 *
 * @param votes of the run, all voters
 * @param onward also pairs of candidates that are decided
 */
export function pairProgress(
  own: readonly AnswerPair[],
  votes: readonly VoteRecord[],
  onward = false,
): PairProgress {
  const keyOf = (candidates: readonly string[]) => JSON.stringify(candidates);
  const all = new Set(own.map(({ vote }) => keyOf(vote.candidates)));
  const byPair = Map.groupBy(votes, ({ candidates }) => keyOf(candidates));
  const decided = new Set(
    [...byPair].filter(([, same]) => pairSummary(same, all.size).decided !== null).map(([key]) => key),
  );
  const done = new Set(votes.map(({ rater, answers }) => JSON.stringify([rater, answers])));
  const open = own.filter(({ vote }) => !done.has(JSON.stringify([vote.rater, vote.answers])));
  return {
    next: open.find(({ vote }) => onward || !decided.has(keyOf(vote.candidates))) ?? null,
    voted: own.length - open.length,
    total: own.length,
    decided: [...decided].filter((key) => all.has(key)).length,
    pairs: all.size,
  };
}
