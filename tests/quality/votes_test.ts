/** Votes on pairs: kept, summarised, decided in time; and what the page that takes them does. */
import assert from "node:assert/strict";
import { makePairs, pairProgress } from "../../lib/quality/answer_pairs.ts";
import { readVotes, saveVote, type VoteRecord, voteSummary, voteValue } from "../../lib/quality/votes.ts";
import { anytimeMeanInterval } from "../../lib/stats/bounded_interval.ts";
import { bradleyTerry, type PairOutcome } from "../../lib/stats/bradley_terry.ts";
import { seededRandom } from "../../lib/stats/random.ts";

Deno.test("the interval holds at all times at once, for any values", () => {
  const random = seededRandom("coverage");
  for (
    const draw of [
      () => random() < 0.5 ? 1 : 0,
      () => random() < 0.1 ? 1 : 0,
      () => 0.5 * Math.round(2 * random()),
    ]
  ) {
    const mean = draw === undefined
      ? 0
      : Array.from({ length: 20_000 }, draw).reduce((sum, one) => sum + one, 0) / 20_000;
    let missed = 0;
    for (let run = 0; run < 120; run++) {
      const values: number[] = [];
      for (let n = 0; n < 60; n++) {
        values.push(draw());
        if (n % 6 !== 5) continue;
        const [low, high] = anytimeMeanInterval(values, 0.05);
        if (low > mean + 0.01 || high < mean - 0.01) {
          missed++;
          break;
        }
      }
    }
    assert.ok(missed <= 0.05 * 120 + 6, `${missed} of 120 runs missed ${mean}`);
  }
  assert.deepEqual(anytimeMeanInterval([], 0.05), [0, 1]);
  assert.ok(anytimeMeanInterval(Array(12).fill(1), 0.05)[0] > 0.5, "twelve of twelve decide");
  assert.ok(anytimeMeanInterval([1, 1, 1], 0.05)[0] < 0.5, "three of three don't");
  assert.throws(() => anytimeMeanInterval([2], 0.05), RangeError);
});

Deno.test("Bradley–Terry finds known strengths, and repeats of a case don't narrow its interval", () => {
  // Strengths 4 : 2 : 1: a beats b in 2/3, a beats c in 4/5, b beats c in 2/3 of the comparisons.
  const games = (first: string, second: string, won: number, all: number): PairOutcome[] =>
    Array.from(
      { length: all },
      (_, at) => ({ first, second, share: at < won ? 1 : 0, case_id: `${first}${second}${at}`, voter: "v" }),
    );
  const all = [...games("a", "b", 200, 300), ...games("a", "c", 240, 300), ...games("b", "c", 200, 300)];
  const found = bradleyTerry(all);
  assert.deepEqual(found.map(({ id }) => id), ["a", "b", "c"]);
  assert.ok(Math.abs((found[0]?.share ?? 0) - (4 / 6 + 4 / 5) / 2) < 0.01, String(found[0]?.share));
  assert.ok(
    (found[0]?.ci95[0] ?? 1) < (found[0]?.share ?? 0) && (found[0]?.ci95[1] ?? 0) > (found[0]?.share ?? 0),
  );
  const width = (some: PairOutcome[]) => {
    const [one] = bradleyTerry(some);
    return (one?.ci95[1] ?? 0) - (one?.ci95[0] ?? 0);
  };
  const few = games("a", "b", 8, 12);
  const repeated = Array.from({ length: 10 }, () => few).flat();
  assert.ok(width(repeated) > 0.8 * width(few), "ten votes on each case are twelve cases still");
  assert.ok(
    bradleyTerry(games("a", "b", 5, 5)).every(({ share }) => share > 0 && share < 1),
    "nobody is infinitely good",
  );
});

const vote = (at: number, more: Partial<VoteRecord> = {}): VoteRecord => ({
  rater: "ana",
  prompt_id: `p${at}`,
  candidates: ["a", "b"],
  answers: [`${at}a`, `${at}b`],
  shown_first: "first",
  choice: "first",
  ...more,
});

Deno.test("a case counts once in a pair's interval, and all votes are counted", () => {
  const again = Array.from({ length: 30 }, (_, at) => vote(1, { rater: `r${at}` }));
  const summary = voteSummary(again, ["a", "b"]);
  assert.deepEqual([summary?.votes, summary?.cases, summary?.raters.length], [30, 1, 30]);
  assert.equal(summary?.pairs[0]?.decided, null, "thirty people on one case say nothing about other cases");
  const twelve = voteSummary(Array.from({ length: 12 }, (_, at) => vote(at, { choice: "second" })), [
    "a",
    "b",
  ]);
  assert.equal(twelve?.pairs[0]?.decided, "second");
  assert.equal(twelve?.chose_a, 0, "always the one that was not shown first");
  const ties = voteSummary(Array.from({ length: 60 }, (_, at) => vote(at, { choice: "tie" })), ["a", "b"]);
  assert.equal(ties?.pairs[0]?.decided, "tie");
  assert.equal(voteSummary([], ["a", "b"]), null);
  assert.deepEqual([voteValue(vote(1), "a"), voteValue(vote(1), "b"), voteValue(vote(1), "c")], [1, 0, null]);
  assert.equal(voteValue(vote(1, { choice: "both_bad" }), "a"), 0, "both bad is no tie in quality");
});

const answers = ["a", "b", "c"].flatMap((candidate) =>
  [1, 2, 3, 4].map((at) => ({
    id: `${at}${candidate}`,
    candidate,
    prompt_id: `p${at}`,
    phase: "timed" as const,
    round: 1,
    content: at === 4 ? "the same" : `answer ${candidate}`,
    reasoning: "",
  }))
);
const prompts = [1, 2, 3, 4].map((at) => ({
  id: `p${at}`,
  messages: [{ role: "user" as const, content: "?" }],
  aspects: [],
}));
const options = { runId: "run", rater: "ana", candidates: ["a", "b", "c"] };

Deno.test("pairs are blind, in random places, without equal texts; decided ones are not asked", () => {
  const pairs = makePairs(answers, prompts, options);
  assert.equal(pairs.length, 9, "three pairs for three cases: in the fourth all wrote the same");
  assert.deepEqual(pairs, makePairs(answers, prompts, options), "the same order every time");
  assert.notDeepEqual(
    pairs.map(({ item }) => item),
    makePairs(answers, prompts, { ...options, rater: "ben" }).map(({ item }) => item),
  );
  const places = Array.from(
    { length: 40 },
    (_, at) => makePairs(answers, prompts, { ...options, rater: `r${at}` }),
  )
    .flat().map(({ vote, a }) => [vote.shown_first, a === `answer ${vote.candidates[0]}`] as const);
  assert.ok(places.every(([first, isFirst]) => (first === "first") === isFirst));
  const share = places.filter(([first]) => first === "first").length / places.length;
  assert.ok(share > 0.4 && share < 0.6, String(share));
  const decided = Array.from({ length: 20 }, (_, at) => vote(at + 10));
  const { next, decided: number, pairs: all } = pairProgress(pairs, decided);
  assert.notDeepEqual(next?.vote.candidates, ["a", "b"]);
  assert.deepEqual([number, all], [1, 3]);
  const rest = pairs.filter(({ vote }) => vote.candidates.join() !== "a,b").map(({ vote }) => ({
    ...vote,
    choice: "tie" as const,
  }));
  assert.equal(pairProgress(pairs, [...decided, ...rest]).next, null, "what is left is decided");
  assert.notEqual(pairProgress(pairs, [...decided, ...rest], true).next, null, "unless the voter goes on");
});

Deno.test("two people who vote at once lose no vote, and a changed vote keeps its place", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => saveVote(folder, vote(at, { rater: `r${at % 2}` }))),
    );
    assert.equal((await readVotes(folder)).length, 20);
    const [first] = await readVotes(folder);
    assert.ok(first !== undefined);
    await saveVote(folder, { ...first, choice: "tie" });
    assert.equal((await readVotes(folder))[0]?.choice, "tie");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
