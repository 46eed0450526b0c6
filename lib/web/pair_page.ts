/** The page on which people compare two answers blind, with the keyboard; each vote is saved at once. */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { bodyText, DEFAULT_LIMITS, type IncomingRequest, parsedJson } from "../openai/server.ts";
import { type AnswerPair, pairProgress } from "../quality/answer_pairs.ts";
import { choice, readVotes, saveVote, type VoteRecord } from "../quality/votes.ts";
import { type PrivatePageOptions, refuse, reply, servePrivately } from "./live_page.ts";
import { pairMarkup, pairScript, pairStyle } from "./pair_assets.ts";

const order = z.strictObject({
  item: z.string(),
  /** The chosen one of the two as shown; null takes the vote back. */
  better: z.enum(["a", "b", "tie", "both_bad"]).nullable(),
});

/** A page of pairs that is being served. */
export interface PairPage {
  readonly url: string;
  /** Resolves when the voter says that they are finished. */
  readonly finished: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Serves pairs as a page on 127.0.0.1. It shows the next pair that may change a result; where all are decided it says
 * so, and continues only if the voter wants to.
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
export async function servePairs(
  pairs: readonly AnswerPair[],
  folder: string,
  options: PrivatePageOptions,
): Promise<PairPage> {
  const finished = Promise.withResolvers<void>();
  const state = (votes: readonly VoteRecord[], onward: boolean) => {
    const { next, ...progress } = pairProgress(pairs, votes, onward);
    const shown = next === null
      ? null
      : { item: next.item, prompt: next.prompt, aspects: next.aspects, a: next.a, b: next.b };
    return reply(JSON.stringify({ ...progress, next: shown }), "application/json");
  };

  async function vote(request: IncomingRequest, onward: boolean): Promise<Response> {
    const parsed = order.safeParse(parsedJson(await bodyText(request, DEFAULT_LIMITS)));
    if (!parsed.success) return refuse(400, z.prettifyError(parsed.error));
    const { item, better } = parsed.data;
    const pair = pairs.find((one) => one.item === item);
    if (pair === undefined) return refuse(400, `unknown pair ${item}`);
    const isFirst = (better === "a") === (pair.vote.shown_first === "first");
    const chosen = better === "a" || better === "b" ? (isFirst ? "first" : "second") : better;
    try {
      return state(await saveVote(folder, { ...pair.vote, choice: choice.nullable().parse(chosen) }), onward);
    } catch (error) {
      const reason = error instanceof UserError ? error.message : reasonOf(error);
      return refuse(500, `the vote is not saved: ${reason}`);
    }
  }

  const server = await servePrivately(async (request, path) => {
    switch (path) {
      case "GET ":
        return reply(pairMarkup, "text/html");
      case "GET page.css":
        return reply(pairStyle, "text/css");
      case "GET page.js":
        return reply(pairScript, "text/javascript");
      case "GET next":
        return state(await readVotes(folder), false);
      case "GET onward":
        return state(await readVotes(folder), true);
      case "POST vote":
        return await vote(request, false);
      case "POST vote-onward":
        return await vote(request, true);
      case "POST done":
        finished.resolve();
        return new Response(null, { status: 204 });
      default:
        return refuse(404, "not found");
    }
  }, options);
  return { ...server, finished: finished.promise };
}
