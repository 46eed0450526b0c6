/** Checks that candidates which share the quality of one of them do answer alike. */
import { readAnswers, readRunInfo, readSamples } from "../../bench/read_run.ts";
import type { RunInfo } from "../../bench/records.ts";

/** A candidate whose own answers were not scored, and the one whose scores stand for it. */
export interface SharedPair {
  readonly id: string;
  readonly from: string;
}

/** What the recorded answers say about a pair. */
export interface SharedAnswers extends SharedPair {
  /** Pairs of answers to the same text at temperature 0; 0 where none was recorded. */
  readonly compared: number;
  readonly different: number;
}

/** The good answers of a run at temperature 0. */
interface RunAnswers {
  readonly plan: RunInfo["plan"];
  /** Text by candidate, then by block: what all candidates of a block are sent is the same text. */
  readonly byBlock: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Text of the first good answer, by candidate, then by the hash of the prompt. */
  readonly byPrompt: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/**
 * Compares the recorded answers of each pair: block by block within a run, and between runs where
 * both sent the prompts unchanged. Runs at another temperature than 0, and requests that failed,
 * are left out. Where two runs had different token limits, the shorter answer counts as the same if
 * the longer one begins with it.
 *
 * @throws {UserError} where the records of a run can't be read
 *
 * ```ts ignore
 * const [found] = await compareSharedAnswers([{ id: "a:q4+threads=2", from: "a:q4+threads=1" }], [folder]);
 * if (found.different > 0) console.log("they don't answer alike");
 * ```
 */
export async function compareSharedAnswers(
  pairs: readonly SharedPair[],
  folders: readonly string[],
): Promise<SharedAnswers[]> {
  if (pairs.length === 0) return [];
  const wanted = new Set(pairs.flatMap(({ id, from }) => [id, from]));
  const runs: RunAnswers[] = [];
  for (const folder of new Set(folders)) {
    const { plan } = await readRunInfo(folder);
    if (plan.temperature === 0) runs.push(await answersOf(folder, plan, wanted));
  }
  return pairs.map(({ id, from }) => {
    const same = runs.flatMap((a) =>
      runs.flatMap((b) => {
        if (a === b) return compare(a.byBlock.get(id), a.byBlock.get(from), false);
        if (a.plan.prefix !== "as is" || b.plan.prefix !== "as is") return [];
        return compare(
          a.byPrompt.get(id),
          b.byPrompt.get(from),
          a.plan.max_tokens !== b.plan.max_tokens,
        );
      })
    );
    return { id, from, compared: same.length, different: same.filter((one) => !one).length };
  });
}

function compare(
  own: ReadonlyMap<string, string> = new Map(),
  theirs: ReadonlyMap<string, string> = new Map(),
  oneIsCut: boolean,
): boolean[] {
  return [...own].flatMap(([key, a]) => {
    const b = theirs.get(key);
    if (b === undefined) return [];
    return [a === b || oneIsCut && (a.startsWith(b) || b.startsWith(a))];
  });
}

async function answersOf(
  folder: string,
  plan: RunInfo["plan"],
  wanted: ReadonlySet<string>,
): Promise<RunAnswers> {
  const good = new Set<string>();
  for await (const record of readSamples(folder)) {
    if (record.kind === "request" && record.phase === "timed" && record.status === "ok") good.add(record.id);
  }
  const hashes = new Map(plan.prompt_set.prompts.map(({ id, sha256 }) => [id, sha256]));
  const byBlock = new Map<string, Map<string, string>>();
  const byPrompt = new Map<string, Map<string, string>>();
  for await (const { id, candidate, prompt_id, content, reasoning } of readAnswers(folder)) {
    if (!wanted.has(candidate) || !good.has(id)) continue;
    const text = `${reasoning}\n${content}`;
    const blocks = byBlock.get(candidate) ?? new Map<string, string>();
    byBlock.set(candidate, blocks.set(id.replace(`/${candidate}`, ""), text));
    const hash = hashes.get(prompt_id);
    const prompts = byPrompt.get(candidate) ?? new Map<string, string>();
    if (hash !== undefined && !prompts.has(hash)) prompts.set(hash, text);
    byPrompt.set(candidate, prompts);
  }
  return { plan, byBlock, byPrompt };
}
