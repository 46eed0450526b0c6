/**
 * How much a quantisation, a KV-cache type or another setting changes a model: how far two candidates'
 * predictions are apart over a text, and whether their answers to a job are as good.
 */
import type { ComparedText, ReadBlock, TextReading } from "../engine/text_comparison.ts";
import { type BlockEstimate, blockMean, blockQuantile } from "../stats/blocks.ts";
import { meanOf, sumOf } from "../stats/mean.ts";
import { scoreDifference } from "../stats/paired_difference.ts";
import type { Interval } from "../stats/quantile.ts";
import type { Random } from "../stats/random.ts";
import type { QualityReport } from "./quality_schema.ts";

/** Block size of llama.cpp's own tool. */
export const FIDELITY_DEFAULTS = {
  blockTokens: 512,
  mostTokens: 16_384,
  epsilon: 0.1,
  maxTokens: 384,
} as const;

/** How far the second candidate's predictions over a text are from the first's, with 95 % intervals over blocks. */
export interface TextFidelity {
  /** Tokens of the text; only whole blocks are read. */
  readonly tokens: number;
  /** Blocks that both candidates read. */
  readonly blocks: number;
  /** Tokens per block. */
  readonly block_tokens: number;
  /** Predictions that were compared: those of the second half of each block. */
  readonly compared: number;
  /** Mean Kullback-Leibler divergence per token, in nats. */
  readonly kl_mean: BlockEstimate;
  /** Its 99th percentile; null below 100 tokens. */
  readonly kl_p99: BlockEstimate | null;
  /** For each candidate, e to the mean surprise per token. */
  readonly perplexity: readonly [BlockEstimate, BlockEstimate];
  /** The second's perplexity over the first's, paired. */
  readonly perplexity_ratio: BlockEstimate;
  /** Share of tokens for which both rank the same token first. */
  readonly same_top: BlockEstimate;
  /** The tokens on which they are furthest apart, at most one per block. */
  readonly furthest: ReadBlock["furthest"];
  /** The settings with which each candidate read the text. */
  readonly settings: TextReading["settings"];
  /** Seconds for loading, reading and comparing. */
  readonly seconds: number;
}

/** The document that `deno task fidelity --json` prints. */
export interface FidelityReport {
  /** The version of this document. */
  readonly schema_version: 1;
  /** The ids of the two candidates: the second is compared with the first. */
  readonly candidates: readonly [first: string, second: string];
  /** The file that was read, and the figures. */
  readonly text: TextFidelity & { readonly file: string };
  /** Null where no job was given, or fewer than two cases were answered by both. */
  readonly job: JobFidelity | null;
}

/** How many of the tokens with the largest differences are kept. */
const FURTHEST = 5;

/**
 * The figures of a compared text, by llama.cpp's definitions.
 *
 * @param random for the resampling of blocks, e.g. `seededRandom("fidelity")`
 *
 * ```ts ignore
 * const fidelity = textFidelity(await compareOverText(order, options), 512, seededRandom("fidelity"));
 * console.log(fidelity.kl_mean.value, fidelity.perplexity_ratio.ci95);
 * ```
 */
export function textFidelity(
  { reading, blocks, seconds }: ComparedText,
  blockTokens: number,
  random: Random,
): TextFidelity {
  const kl = blocks.map((block) => block.kl);
  const compared = sumOf(kl.map((block) => block.length));
  const excess = blocks.map(({ surprise: [first, second] }) =>
    second.map((value, at) => value - (first[at] ?? 0))
  );
  return {
    tokens: reading.tokens,
    blocks: blocks.length,
    block_tokens: blockTokens,
    compared,
    kl_mean: blockMean(kl, [0, Infinity]),
    kl_p99: compared < 100 ? null : blockQuantile(kl, 0.99, random),
    perplexity: [
      exponential(blockMean(blocks.map(({ surprise }) => surprise[0]))),
      exponential(blockMean(blocks.map(({ surprise }) => surprise[1]))),
    ],
    perplexity_ratio: exponential(blockMean(excess)),
    same_top: blockMean(blocks.map(({ sameTop }) => sameTop.map(Number)), [0, 1]),
    furthest: blocks.flatMap(({ furthest }) => furthest.slice(0, 1))
      .filter(({ kl }) => kl > 0).toSorted((a, b) => b.kl - a.kl).slice(0, FURTHEST),
    settings: reading.settings,
    seconds,
  };
}

const exponential = ({ value, ci95 }: BlockEstimate): BlockEstimate => ({
  value: Math.exp(value),
  ci95: ci95 === null ? null : [Math.exp(ci95[0]), Math.exp(ci95[1])],
});

/** Whether the second candidate's answers to a job are as good as the first's. */
export interface JobFidelity {
  /** The run that holds the answers. */
  readonly run_id: string;
  /** Cases that both answered. */
  readonly cases: number;
  /** Mean score of each, from 0 to 1. */
  readonly score: readonly [number, number];
  /** Cases in which the answers passed: both, the first alone, the second alone, neither. */
  readonly passed: {
    readonly both: number;
    readonly first: number;
    readonly second: number;
    readonly neither: number;
  };
  /** Second minus first, in points of the score. */
  readonly difference: number;
  /** 90 % interval of it, for cases like these: two one-sided tests of 5 % each. */
  readonly ci90: Interval;
  /** Differences up to this size count as none. */
  readonly epsilon: number;
  /** `as good as`: the interval lies within ± epsilon. `worse by`, `better by`: it lies on one side of 0. */
  readonly verdict: "as good as" | "worse by" | "better by" | "can't tell";
}

/**
 * Compares two candidates' scores case by case, and tests equivalence with two one-sided tests (TOST,
 * Schuirmann 1987): each at 5 %, that is, the 90 % interval lies within ± epsilon. Cases that one of the two
 * failed to answer count with a score of 0; those whose checks can't judge an answer are left out for both.
 *
 * @returns null below two cases that both answered
 *
 * ```ts ignore
 * const job = jobFidelity(await writeQuality(folder, set), ["m:q8_0", "m:q4_0"], 0.1);
 * console.log(job?.verdict);
 * ```
 */
export function jobFidelity(
  { run_id, answers }: Pick<QualityReport, "run_id" | "answers">,
  [first, second]: readonly [string, string],
  epsilon: number,
): JobFidelity | null {
  const judged = answers.filter(({ state }) => state !== "unsupported");
  const byCase = Map.groupBy(judged, ({ prompt_id }) => prompt_id);
  const pairs = [...byCase.values()].flatMap((all) => {
    const [a, b] = [first, second].map((id) => all.filter(({ candidate }) => candidate === id));
    if (a === undefined || b === undefined || a.length === 0 || b.length === 0) return [];
    const score = (some: typeof all) => meanOf(some.map(({ score }) => score));
    const passed = (some: typeof all) => some.every(({ passed }) => passed);
    return [{ scores: [score(b), score(a)] as const, passed: [passed(a), passed(b)] as const }];
  });
  const found = scoreDifference(pairs.map(({ scores }) => scores), 0.9);
  if (found === null) return null;
  const count = (a: boolean, b: boolean) =>
    pairs.filter(({ passed }) => passed[0] === a && passed[1] === b).length;
  return {
    run_id,
    cases: pairs.length,
    score: [meanOf(pairs.map(({ scores }) => scores[1])), meanOf(pairs.map(({ scores }) => scores[0]))],
    passed: {
      both: count(true, true),
      first: count(true, false),
      second: count(false, true),
      neither: count(false, false),
    },
    difference: found.mean,
    ci90: found.cautious,
    epsilon,
    verdict: equivalence(found.interval, found.cautious, epsilon),
  };
}

function equivalence(interval: Interval, cautious: Interval, epsilon: number): JobFidelity["verdict"] {
  if (cautious[0] > -epsilon && cautious[1] < epsilon) return "as good as";
  if (interval[1] < 0) return "worse by";
  return interval[0] > 0 ? "better by" : "can't tell";
}

/** The verdict on a job as a sentence. */
export function jobSentence(
  { verdict, difference, ci90, cases, epsilon }: JobFidelity,
  [first, second]: readonly [string, string],
): string {
  const points = (value: number) => Math.abs(value).toFixed(2);
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${points(value)}`;
  const interval = `${signed(ci90[0])} to ${signed(ci90[1])}`;
  const on = `${cases} cases like these`;
  switch (verdict) {
    case "as good as":
      return `${second} is as good as ${first} on ${on}: the difference is ${signed(difference)} points ` +
        `(90 % interval ${interval}), within ± ${epsilon}.`;
    case "worse by":
    case "better by":
      return `${second} is ${verdict.slice(0, -3)} than ${first} by ${points(difference)} points on ${on} ` +
        `(90 % interval ${interval}).`;
    case "can't tell":
      return `Can't tell whether ${second} is as good as ${first}: ` +
        `the difference is ${signed(difference)} points, ` +
        `and its 90 % interval, ${interval}, does not lie within ± ${epsilon}. More cases would narrow it (${cases} now).`;
  }
}
