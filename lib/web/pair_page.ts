/** The page on which people compare two answers blind, with the keyboard; each vote is saved at once. */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import type { IncomingRequest } from "../openai/server.ts";
import { type AnswerPair, pairProgress } from "../quality/answer_pairs.ts";
import { type Choice, readVotes, saveVote, type VoteRecord } from "../quality/votes.ts";
import {
  json,
  posted,
  type PrivatePage,
  type PrivatePageOptions,
  refuse,
  servePrivately,
} from "./live_page.ts";
import { pairMarkup, pairScript, pairStyle } from "./pair_assets.ts";

const orderSchema = z.strictObject({
  item: z.string(),
  /** The chosen one of the two as shown; null takes the vote back. */
  better: z.enum(["a", "b", "tie", "both_bad"]).nullable(),
});

/**
 * Serves pairs as a page on 127.0.0.1. It shows the next pair that may change a result; where all are decided
 * it says so, and continues only if the voter wants to.
 *
 * @param folder of the run: votes.jsonl in it takes the votes
 * @throws the system's error where the port can't be had
 *
 * ```ts ignore
 * const pairs = makePairs(answers, prompts, { runId, rater: "ana", candidates });
 * const page = await servePairs(pairs, folder, { token: crypto.randomUUID(), ... });
 * await page.finished;
 * await page.stop();
 * ```
 */
export function servePairs(
  pairs: readonly AnswerPair[],
  folder: string,
  options: PrivatePageOptions,
): Promise<PrivatePage> {
  const progress = (votes: readonly VoteRecord[], onward: boolean) => {
    const { next, ...counts } = pairProgress(pairs, votes, onward);
    if (next === null) return json({ ...counts, next });
    const { item, prompt, aspects, a, b } = next;
    return json({ ...counts, next: { item, prompt, aspects, a, b } });
  };
  const vote = async (request: IncomingRequest, onward: boolean) => {
    const order = await posted(request, orderSchema);
    if (order instanceof Response) return order;
    const pair = pairs.find((one) => one.item === order.item);
    if (pair === undefined) return refuse(400, `unknown pair ${order.item}`);
    try {
      return progress(await saveVote(folder, { ...pair.vote, choice: chosenOf(order, pair) }), onward);
    } catch (error) {
      const reason = error instanceof UserError ? error.message : reasonOf(error);
      return refuse(500, `the vote is not saved: ${reason}`);
    }
  };
  return servePrivately({
    page: pairMarkup,
    style: pairStyle,
    script: pairScript,
    routes: {
      "GET next": async () => progress(await readVotes(folder), false),
      "GET onward": async () => progress(await readVotes(folder), true),
      "POST vote": (request) => vote(request, false),
      "POST vote-onward": (request) => vote(request, true),
    },
  }, options);
}

/** The choice among the pair's candidates in their own order, whichever of them was shown as A. */
function chosenOf({ better }: z.infer<typeof orderSchema>, { vote }: AnswerPair): Choice | null {
  if (better !== "a" && better !== "b") return better;
  return (better === "a") === (vote.shown_first === "first") ? "first" : "second";
}
