/** Figures of a compared text, their intervals in simulated texts, and verdicts on a job. */
import assert from "node:assert/strict";
import { jobFidelity, jobSentence, textFidelity } from "../../lib/quality/fidelity.ts";
import type { QualityReport } from "../../lib/quality/quality_schema.ts";
import { blockMean, blockQuantile } from "../../lib/stats/blocks.ts";
import { seededRandom, standardNormal } from "../../lib/stats/random.ts";

const settings = { threads: 1, kv_cache: "f16", batch_tokens: 256, flash_attention: "auto" } as const;

Deno.test("figures follow from the compared predictions", () => {
  const block = (kl: number[], first: number[], second: number[], sameTop: boolean[]) => ({
    state: "block" as const,
    kl,
    surprise: [first, second] as [number[], number[]],
    sameTop,
    furthest: [{ before: "a", token: "b", top: ["c", "d"] as [string, string], kl: Math.max(...kl) }],
  });
  const fidelity = textFidelity(
    {
      reading: { tokens: 90, blocks: 2, vocabulary: 10, settings: [settings, settings] },
      blocks: [
        block([0.1, 0.3], [1, 2], [1.5, 2.5], [true, true]),
        block([0.2, 0.4], [2, 3], [2.1, 3.1], [true, false]),
      ],
      seconds: 1,
    },
    32,
    seededRandom(1),
  );
  const near = (value: number, wanted: number) => assert.ok(Math.abs(value - wanted) < 1e-9, `${value}`);
  near(fidelity.kl_mean.value, 0.25);
  near(fidelity.perplexity_ratio.value, Math.exp(0.3));
  near(fidelity.perplexity[0].value, Math.exp(2));
  near(fidelity.same_top.value, 0.75);
  assert.equal(fidelity.kl_p99, null, "four predictions have no 99th percentile");
  assert.deepEqual(fidelity.furthest.map(({ kl }) => kl), [0.4, 0.3]);
  assert.equal(fidelity.same_top.ci95?.[1], 1, "a share ends at 1");
});

Deno.test("intervals over blocks hold what they promise where values of a block hang together", () => {
  const random = seededRandom("texts");
  const worlds = 400;
  // Divergences are skewed, and some blocks are harder than others.
  const block = () => {
    const hard = 0.4 * standardNormal(random);
    return Array.from({ length: 60 }, () => Math.exp(-4 + hard + 1.2 * standardNormal(random)));
  };
  const text = (blocks: number) => Array.from({ length: blocks }, block);
  // All values together are log-normal: mean exp(μ + σ²/2), 99th percentile exp(μ + 2.3263 σ).
  const sigma = Math.hypot(0.4, 1.2);
  const truth = { mean: Math.exp(-4 + sigma ** 2 / 2), p99: Math.exp(-4 + 2.326348 * sigma) };
  let [held, naive, heldP99] = [0, 0, 0];
  for (let world = 0; world < worlds; world++) {
    const blocks = text(9);
    const inside = (ci95: readonly [number, number] | null, value: number) =>
      ci95 !== null && ci95[0] <= value && value <= ci95[1];
    if (inside(blockMean(blocks).ci95, truth.mean)) held++;
    if (inside(blockMean(blocks.flat().map((one) => [one])).ci95, truth.mean)) naive++;
    if (world < 40 && inside(blockQuantile(blocks, 0.99, random).ci95, truth.p99)) heldP99++;
  }
  assert.ok(held / worlds >= 0.9, `mean: ${held / worlds}`);
  assert.ok(naive < held, `tokens taken as independent: ${naive / worlds}`);
  assert.ok(heldP99 >= 34, `99th percentile: ${heldP99} of 40`);
});

type Answers = QualityReport["answers"];

/** Scores of the first and the second candidate, case by case. */
function answered(scores: readonly (readonly [number, number])[]): Pick<QualityReport, "run_id" | "answers"> {
  const answers = scores.flatMap((pair, at) =>
    pair.map((score, which): Answers[number] => ({
      id: `${at}/${which}`,
      candidate: ["a", "b"][which] ?? "",
      prompt_id: `c${at}`,
      round: 1,
      state: score === 1 ? "right" : "wrong",
      score,
      passed: score === 1,
      failure: null,
      checks: [],
    }))
  );
  return { run_id: "run", answers };
}
const repeat = (count: number, pair: readonly [number, number]) => Array.from({ length: count }, () => pair);
const judge = (scores: readonly (readonly [number, number])[], epsilon = 0.1) =>
  jobFidelity(answered(scores), ["a", "b"], epsilon);

Deno.test("equal answers to many cases are as good as each other, to few cases they tell nothing", () => {
  assert.equal(judge(repeat(60, [1, 1]))?.verdict, "as good as");
  assert.equal(judge(repeat(8, [1, 1]))?.verdict, "can't tell");
  assert.equal(judge(repeat(1, [1, 1])), null);
});

Deno.test("a loss is named with its size and its interval, and so is a gain", () => {
  const lost = judge([...repeat(30, [1, 1]), ...repeat(15, [1, 0])]);
  assert.equal(lost?.verdict, "worse by");
  assert.deepEqual(lost.passed, { both: 30, first: 15, second: 0, neither: 0 });
  assert.match(jobSentence(lost, ["a", "b"]), /^b is worse than a by 0\.33 points on 45 cases like these/);
  assert.equal(judge([...repeat(30, [0, 0]), ...repeat(15, [0, 1])])?.verdict, "better by");
});

Deno.test("a loss that is significant and within epsilon is still as good as", () => {
  const scores = Array.from({ length: 300 }, (_, at) => [0.8, at % 3 === 0 ? 0.75 : 0.79] as const);
  assert.equal(judge(scores)?.verdict, "as good as");
  assert.equal(judge(scores, 0.01)?.verdict, "worse by");
});

Deno.test("the verdict 'as good as' is wrong in at most one of twenty worlds at the border of epsilon", () => {
  const random = seededRandom("border");
  let wrong = 0;
  const worlds = 1000;
  for (let world = 0; world < worlds; world++) {
    const scores = Array.from({ length: 120 }, () => {
      const draw = random();
      return draw < 0.15 ? [1, 0] as const : draw < 0.2 ? [0, 1] as const : [1, 1] as const;
    });
    if (judge(scores)?.verdict === "as good as") wrong++;
  }
  // Three standard errors above 5 %.
  assert.ok(wrong / worlds <= 0.071, `${wrong} of ${worlds}`);
});
