/** One candidate's figures by length of the prompt: an average over 200 and 3,000 tokens describes neither. */
import { meanOf } from "../stats/mean.ts";
import type { Collected } from "./collect.ts";
import type { PlanInfo } from "./records.ts";
import type { LengthSummary, SummaryStatistic } from "./summary_schema.ts";

/** Lengths are shown apart where the longest prompt has at least this many times the tokens of the shortest. */
const FAR_APART = 4;

/** Prompts of about the same length, by their number in the plan, with the mean tokens of each. */
export interface LengthGroup {
  readonly targetTokens: number | null;
  readonly prompts: ReadonlyMap<number, number>;
}

/**
 * The prompts of a candidate by length: as --prompt-tokens asked for, else in steps of doubling, counted down
 * from the longest. Empty where lengths differ by less than four times or are not known.
 *
 * @param tokens mean prompt tokens of each prompt, by its number in the plan
 *
 * ```ts
 * const groups = lengthGroups(new Map([[0, 220], [1, 240], [2, 2860]]), []);
 * if (groups.length !== 2 || groups[0]?.prompts.size !== 2) throw new Error("two short ones, a long one");
 * if (lengthGroups(new Map([[0, 220], [1, 240]]), []).length !== 0) throw new Error("about equally long");
 * ```
 */
export function lengthGroups(
  tokens: ReadonlyMap<number, number>,
  prompts: readonly Pick<PlanInfo["prompt_set"]["prompts"][number], "target_tokens">[],
): LengthGroup[] {
  const target = (prompt: number) => prompts[prompt]?.target_tokens ?? null;
  const known = [...tokens].filter(([, length]) => length > 0);
  const longest = Math.max(...known.map(([, length]) => length));
  const shortest = Math.min(...known.map(([, length]) => length));
  const isLadder = known.some(([prompt]) => target(prompt) !== null);
  if (known.length === 0 || (!isLadder && longest < FAR_APART * shortest)) return [];
  const groups = Map.groupBy(
    known,
    ([prompt, length]) => target(prompt) ?? -Math.floor(Math.log2(longest / length)),
  );
  return [...groups].sort(([a], [b]) => a - b).map(([, members]) => ({
    targetTokens: target(members[0]?.[0] ?? -1),
    prompts: new Map(members),
  }));
}

/**
 * The rows of a candidate.
 *
 * @param statistic one metric over the good requests of some prompts
 */
export function byLength(
  candidate: Collected,
  plan: PlanInfo,
  statistic: (
    metric: "latency_s" | "ttft_s" | "prefill_tokens_per_s" | "decode_tokens_per_s",
    prompts: ReadonlyMap<number, number>,
  ) => SummaryStatistic,
): LengthSummary[] {
  const lengths = new Map(
    [...Map.groupBy(candidate.good, ({ prompt }) => prompt)].flatMap(([prompt, same]) => {
      const known = same.flatMap(({ promptTokens }) => promptTokens ?? []);
      return known.length === 0 ? [] : [[prompt, meanOf(known)] as const];
    }),
  );
  return lengthGroups(lengths, plan.prompt_set.prompts).map(({ targetTokens, prompts }) => {
    const tokens = [...prompts.values()];
    const timed = candidate.timed.filter(({ prompt }) => prompts.has(prompt));
    return {
      from_tokens: Math.round(Math.min(...tokens)),
      to_tokens: Math.round(Math.max(...tokens)),
      target_tokens: targetTokens,
      prompt_tokens_mean: meanOf(tokens),
      failed: timed.filter(({ failure }) => failure !== null).length,
      latency_s: statistic("latency_s", prompts),
      ttft_s: statistic("ttft_s", prompts),
      prefill_tokens_per_s: statistic("prefill_tokens_per_s", prompts),
      decode_tokens_per_s: statistic("decode_tokens_per_s", prompts),
      met: plan.slo === null ? null : timed.filter(({ met }) => met).length / timed.length,
    };
  });
}
