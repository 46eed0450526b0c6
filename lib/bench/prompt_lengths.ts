/** Prompts of wanted lengths, calibrated with the candidates' own tokenizers, as the endpoints count. */
import { UserError } from "../errors.ts";
import { distractorText, paddedSet, type TokenScale, USUAL_SCALE } from "./padding.ts";
import type { PromptSet } from "../prompts/prompt.ts";
import { seededRandom } from "../stats/random.ts";
import type { LiveCandidate } from "./live_candidate.ts";
import type { NamedCandidate } from "./named_candidate.ts";
import { PLAN_DEFAULTS, withColdPrefix } from "./plan.ts";
import type { SessionPlan } from "./run_info.ts";

/** The set at the wanted lengths before counting, to decide the context size. */
export function draftLengths(plan: SessionPlan, lengths: readonly number[]): PromptSet {
  return paddedSet(plan.prompts, lengths, USUAL_SCALE, plan.seed ?? PLAN_DEFAULTS.seed).set;
}

/** Characters of the two texts that are counted. */
const COUNTED = [600, 2400] as const;

/**
 * The set at the wanted lengths. Two short texts are sent to every candidate and counted by its own tokenizer
 * (`usage.prompt_tokens`); all get the same text, as long as the tokenizer that needs most tokens for it
 * allows, so that blocks stay comparable and no candidate's length is exceeded. Lengths beyond a candidate's
 * context are left out.
 *
 * @param note gets what was left out, and whether lengths are estimates
 * @throws {UserError} where nothing is left
 */
export async function trueLengths(
  { candidates, named }: {
    readonly candidates: readonly LiveCandidate[];
    readonly named: readonly NamedCandidate[];
  },
  plan: SessionPlan,
  lengths: readonly number[],
  { signal, note = () => {} }: { signal: AbortSignal; note?: ((line: string) => void) | undefined },
): Promise<PromptSet> {
  const { maxTokens, seed, prompts: { prompts } } = { ...PLAN_DEFAULTS, ...plan };
  const kept = lengths.filter((length) => {
    const small = named.find((one) => contextOf(one) < length + maxTokens);
    if (small === undefined) return true;
    note(
      `${length} prompt tokens and ${maxTokens} for the answer don't fit the context of ${small.info.id} ` +
        `(${contextOf(small)}): left out`,
    );
    return false;
  });
  const scales: TokenScale[] = [];
  for (const live of candidates) scales.push(...await countedScale(live, plan, signal));
  if (scales.length < candidates.length) {
    note("not every candidate counts prompt tokens: the lengths are estimates for those that don't");
  }
  const densest = scales.toSorted((a, b) => b.perCharacter - a.perCharacter)[0] ?? USUAL_SCALE;
  const { set, tooLong } = paddedSet(plan.prompts, kept, densest, seed);
  for (const [length, cases] of tooLong) {
    note(`${cases} of ${prompts.length} cases are longer than ${length} tokens: left out there`);
  }
  if (set.prompts.length > 0) return set;
  throw new UserError(
    `no case can be made ${
      lengths.join(" or ")
    } prompt tokens long: give other lengths with --prompt-tokens, ` +
      "or shorter prompts",
  );
}

function contextOf(named: NamedCandidate): number {
  return named.kind === "embedded"
    ? named.engine.contextTokens ?? named.model.contextTokens ?? Infinity
    : Infinity;
}

/** Tokens per character and besides, from two requests; none where the candidate doesn't answer or doesn't count. */
async function countedScale(
  live: LiveCandidate,
  plan: SessionPlan,
  signal: AbortSignal,
): Promise<[] | [TokenScale]> {
  // A candidate that can't be opened becomes a row with the reason.
  const open = await live.open(signal).catch(() => null);
  signal.throwIfAborted();
  if (open === null) return [];
  const { prefix, temperature, timeoutS } = { ...PLAN_DEFAULTS, ...plan };
  try {
    const tokens: number[] = [];
    for (const characters of COUNTED) {
      const text = distractorText(characters, seededRandom(`tokens ${characters}`)).slice(0, characters);
      const messages = [{ role: "user" as const, content: text }];
      const trace = await open.request({
        model: live.info.model_id,
        messages: prefix === "as is" ? messages : withColdPrefix(messages, text),
        maxTokens: 1,
        temperature,
      }, { timeoutMs: 1000 * timeoutS, signal });
      const counted = trace.usage?.promptTokens ?? trace.server?.promptTokens ?? null;
      if (counted === null) return [];
      tokens.push(counted);
    }
    const [few = 0, many = 0] = tokens;
    const perCharacter = (many - few) / (COUNTED[1] - COUNTED[0]);
    return perCharacter <= 0 ? [] : [{ perCharacter, fixed: few - perCharacter * COUNTED[0] }];
  } finally {
    await open.close();
  }
}
