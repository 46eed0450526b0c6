/** Baselines without a language model: a constant answer, or an adapter's, scored like the models' own. */
import { join } from "node:path";
import { adapterCommand, AdapterHost } from "../../adapter/adapter_host.ts";
import { readAnswers, readRunInfo } from "../../bench/read_run.ts";
import type { RunInfo } from "../../bench/records.ts";
import { findModel, type Registry } from "../../catalog/model.ts";
import { reasonOf, UserError } from "../../errors.ts";
import type { Environment } from "../../program.ts";
import { loadPromptSet, type Prompt, type PromptSet } from "../../prompts/prompts.ts";
import { scoreAnswer } from "../../quality/check.ts";
import { meanOf, sumOf } from "../../stats/mean.ts";
import { caseOf, type ScoredAnswers } from "./scored_answers.ts";

/** What a choice without a quality floor must beat. */
export interface Baseline {
  /** What it is, for messages: `extractive-notes, 0.53`. */
  readonly what: string;
  /** Its mean score, 0 to 1. */
  readonly score: number;
  /** Score by case; 0 where a case is not among them. */
  readonly byPrompt: ReadonlyMap<string, number>;
}

/** The baseline where the checks are not with the run. */
export const EMPTY_ANSWER: Baseline = {
  what: "an empty answer, which scores 0",
  score: 0,
  byPrompt: new Map(),
};

/** Where the baseline of a decision comes from. */
export interface BaselineSource {
  readonly answersOf?: BaselineAnswers;
  readonly prompts?: PromptSet;
}

/** Gets the answers of the model that a prompt set names as its baseline: text by the prompt's id. */
export type BaselineAnswers = (
  alias: string,
  prompts: readonly Prompt[],
  maxTokens: number,
) => Promise<ReadonlyMap<string, string>>;

/**
 * The answers of the model that the prompt set names; where it names none, or that one can't answer, the best
 * constant answer, which then says why.
 */
export async function baselineOf(
  scored: ScoredAnswers,
  runs: readonly RunInfo[],
  { answersOf, prompts }: BaselineSource,
): Promise<Baseline> {
  const path = join(scored.folder, "prompts.json");
  const isCopied = await Deno.stat(path).then(({ isFile }) => isFile, () => false);
  const set = isCopied ? await loadPromptSet(path) : prompts;
  if (set === undefined) return EMPTY_ANSWER;
  const { plan } = runs.find(({ plan }) => plan.prompt_set.sha256 === scored.report.prompt_set.sha256) ??
    await readRunInfo(scored.folder);
  const baseline = (scores: ReadonlyMap<string, number>, name: string, note = ""): Baseline => {
    const score = meanOf([...scores.values()]);
    const byPrompt = new Map([...scores].map(([id, one]) => [caseOf(id, scored, plan), one] as const));
    return { what: `${name}, ${score.toFixed(2)}${note}`, score, byPrompt };
  };
  let note = "";
  const checked = set.prompts.filter(({ checks }) => checks.length > 0);
  if (set.baseline !== null && answersOf !== undefined && checked.length > 0) {
    try {
      const given = await answersOf(set.baseline, checked, plan.max_tokens);
      const scores = checked.map((prompt) =>
        [prompt.id, scoreAnswer(given.get(prompt.id) ?? "", prompt.checks, prompt).score] as const
      );
      return baseline(new Map(scores), set.baseline);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      note = `; ${set.name} names ${set.baseline}, but ${reasonOf(error)}`;
    }
  }
  const answers = await Array.fromAsync(
    readAnswers(scored.folder),
    ({ prompt_id, content }) => ({ prompt: prompt_id, text: content }),
  );
  const constants = constantBaseline(set.prompts, answers);
  return constants === null ? EMPTY_ANSWER : baseline(constants, "the best constant answer", note);
}

/**
 * Gets a baseline's answers from the registry's adapter of that name. The adapter runs in a process of its
 * own, with the permissions that its entry states, and ends with the last answer.
 *
 * @throws {UserError} (when called) where the registry has no such adapter, or the adapter can't be loaded
 *
 * ```ts ignore
 * const answersOf = adapterAnswers(registry, { denoPath: Deno.execPath(), env: Deno.env });
 * const answers = await answersOf("extractive-notes", set.prompts, 128);
 * ```
 */
export function adapterAnswers(
  registry: Registry,
  deno: { readonly denoPath: string; readonly env: Environment },
): BaselineAnswers {
  return async (alias, prompts, maxTokens) => {
    const adapter = findModel(registry, alias)?.variants.find(({ adapter }) => adapter !== null)?.adapter;
    if (adapter === undefined || adapter === null) {
      throw new UserError(`the registry has no adapter called ${alias}`);
    }
    const host = new AdapterHost(await adapterCommand(alias, adapter, deno));
    const late = (seconds: number) =>
      setTimeout(() => void host.kill(`it took longer than ${seconds} s`), seconds * 1000);
    let deadline = late(adapter.loadTimeoutS);
    try {
      await host.ready;
      const answers = new Map<string, string>();
      for (const { id, messages } of prompts) {
        clearTimeout(deadline);
        deadline = late(adapter.answerTimeoutS);
        const prompt = messages.findLast(({ role }) => role === "user")?.content ?? "";
        const request = { messages, prompt, maxTokens, temperature: 0, seed: null, stop: [] };
        let text = "";
        await host.ask(request, (piece) => text += piece, new AbortController().signal);
        answers.set(id, text);
      }
      return answers;
    } catch (error) {
      throw new UserError(`${alias} gave no answers: ${reasonOf(error)}`, 1, { cause: error });
    } finally {
      clearTimeout(deadline);
      await host.stop();
    }
  };
}

/** Most different answers that are tried as constants. */
const MOST_CONSTANTS = 200;

/**
 * Score of a constant answer to each case: of the texts that were given to the other cases, the labels of
 * the job and the empty text, the one that scores best on them. Except with labels, a case never
 * contributes to its own baseline.
 *
 * @param answers text by case
 * @returns null without a case that has checks
 *
 * ```ts
 * import { parsePromptSet } from "../../prompts/prompts.ts";
 * const check = { kind: "contains", name: "the label", texts: ["positive"] };
 * const { prompts } = parsePromptSet(["a", "b", "c"].map((id) => ({ id, prompt: id, checks: [check] })), "labels");
 * const scores = constantBaseline(prompts, prompts.map(({ id }) => ({ prompt: id, text: "positive" })));
 * console.assert([...scores ?? []].every(([, score]) => score === 1), "always saying positive is right here");
 * ```
 */
export function constantBaseline(
  prompts: readonly Prompt[],
  answers: readonly { readonly prompt: string; readonly text: string }[],
): Map<string, number> | null {
  const checked = prompts.filter(({ checks }) => checks.length > 0);
  if (checked.length === 0) return null;
  const labels = checked.flatMap(({ checks }) =>
    checks.flatMap((one) => one.kind === "label" ? one.labels : [])
  );
  // Where tools may be called, calling none is a constant answer too.
  const wordsAlone = checked.some(({ checks }) => checks.some(({ kind }) => kind === "calls")) ? ["No."] : [];
  const givenTo = new Map(["", ...wordsAlone, ...labels].map((text) => [text, new Set<string>()]));
  for (const { prompt, text } of answers) {
    const to = givenTo.get(text) ?? new Set<string>();
    if (givenTo.size < MOST_CONSTANTS || givenTo.has(text)) givenTo.set(text, to.add(prompt));
  }
  const constants = [...givenTo].map(([text, to]) => {
    const scores = checked.map((prompt) => scoreAnswer(text, prompt.checks, prompt).score);
    return { to, scores, sum: sumOf(scores) };
  });
  return new Map(checked.map((prompt, at) => {
    // A text that was given to this case alone would leak its answer.
    const others = constants.filter(({ to }) => !(to.size === 1 && to.has(prompt.id)));
    // Labels are known beforehand. Without this case the most frequent of even ones
    // would always be another one.
    const worth = ({ sum, scores }: typeof others[number]) =>
      labels.length > 0 ? sum : sum - (scores[at] ?? 0);
    const best = others.reduce((top, one) => worth(one) > worth(top) ? one : top);
    return [prompt.id, best.scores[at] ?? 0];
  }));
}
