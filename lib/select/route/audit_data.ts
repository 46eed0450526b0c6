/** The recorded answers of runs, as an audit needs them: every prompt with the worth of every model's answer. */
import { readRunInfo } from "../../bench/read_run.ts";
import type { RunInfo } from "../../bench/records.ts";
import { UserError } from "../../errors.ts";
import { readRatings } from "../../quality/ratings.ts";
import { highestScore, lowestScore } from "../../quality/rubric.ts";
import { meanOf, sumOf } from "../../stats/mean.ts";
import type { ScoredCase } from "./audit.ts";
import { answersKey, readQuality } from "../decide/facts.ts";

export interface ScoredCases {
  readonly runs: readonly string[];
  /** What gave the worths: the checks, or where there are none people, or a judge. */
  readonly source: "checks" | "people" | "judge";
  /** Models by weights (threads and device don't change an answer), in the order of the runs. */
  readonly arms: readonly string[];
  /** Prompts that every model answered. */
  readonly outcomes: readonly ScoredCase[];
  /** Prompts that some model did not answer. */
  readonly left_out: number;
}

/** One scored answer. */
interface Scored {
  readonly arm: string;
  readonly prompt: string;
  readonly worth: number;
}

/**
 * Reads the scored answers of runs. Repeats of a prompt are averaged. A failed request is worth nothing.
 *
 * @param excluded models (by id or weights) that may not be used anyway
 * @throws {UserError} when a run's answers were not scored, or the runs were scored in
 * different ways, or fewer than two
 *   models or prompts are left
 *
 * ```ts ignore
 * const { outcomes, arms } = await scoredCases(["reports/2026-11-21T05-30-00-ab12"], []);
 * ```
 */
export async function scoredCases(
  folders: readonly string[],
  excluded: readonly string[],
): Promise<ScoredCases> {
  const read = [];
  for (const folder of folders) {
    const info = await readRunInfo(folder);
    read.push({ info, ...await scoresOf(folder, info) });
  }
  const runs = read.map(({ info }) => info.run_id);
  const prompts = read.flatMap(({ info }) => info.plan.prompt_set.prompts);
  const texts = new Map(
    prompts.map(({ sha256, messages }) =>
      [sha256, messages.findLast(({ role }) => role === "user")?.content ?? ""] as const
    ),
  );
  const [source, other] = new Set(read.map(({ source }) => source));
  if (source === undefined) throw new RangeError("Cannot audit without a run");
  if (other !== undefined) {
    throw new UserError(
      `${runs.join(" and ")} were scored by ${source} and by ${other}, whose figures don't compare: ` +
        "audit runs that were scored in the same way",
    );
  }
  const out = new Set(excluded.map(answersKey));
  const kept = read.flatMap(({ scored }) => scored).filter(({ arm }) => !out.has(arm));
  const arms = [...new Set(kept.map(({ arm }) => arm))];
  const byPrompt = Map.groupBy(kept, ({ prompt }) => prompt);
  const outcomes = [...byPrompt].flatMap(([id, same]): ScoredCase[] => {
    const answers = Map.groupBy(same, ({ arm }) => arm);
    if (answers.size < arms.length) return [];
    const worth = Object.fromEntries(
      [...answers].map(([arm, own]) => [arm, meanOf(own.map(({ worth }) => worth))]),
    );
    return [{ id, text: texts.get(id) ?? "", worth }];
  });
  assertEnough(arms, outcomes, runs);
  return { runs, source, arms, outcomes, left_out: byPrompt.size - outcomes.length };
}

function assertEnough(
  arms: readonly string[],
  outcomes: readonly ScoredCase[],
  runs: readonly string[],
): void {
  const where = runs.join(" and ");
  if (arms.length < 2) {
    throw new UserError(
      `${where} holds scored answers of ${
        arms.length === 0 ? "no model" : `${arms[0]} alone`
      } that may be used: ` +
        "there is nothing to route between; capture a second model (deno task quality capture --models A,B)",
      1,
    );
  }
  if (outcomes.length < 2) {
    throw new UserError(
      `${where} holds ${outcomes.length} prompts that all of ${
        arms.join(", ")
      } answered: an audit takes two, and ` +
        "20 to switch a rule on",
      1,
    );
  }
}

async function scoresOf(
  folder: string,
  { run_id, plan }: RunInfo,
): Promise<{ readonly source: ScoredCases["source"]; readonly scored: Scored[] }> {
  const hashes = new Map(plan.prompt_set.prompts.map(({ id, sha256 }) => [id, sha256]));
  const hash = (id: string) => hashes.get(id) ?? `${run_id}/${id}`;
  const report = await readQuality(folder);
  if (report !== null && report.answers.length > 0) {
    const judged = report.answers.filter(({ state }) => state !== "unsupported");
    const scored = judged.map(({ candidate, prompt_id, score }) => ({
      arm: answersKey(candidate),
      prompt: hash(prompt_id),
      worth: score,
    }));
    return { source: "checks", scored };
  }
  const ratings = await readRatings(folder);
  const people = ratings.some(({ source }) => source === "person");
  const wanted = people ? "person" : "judge";
  const scored = ratings.filter(({ source }) => source === wanted).map(({ candidate, prompt_id, scores }) => {
    const values = Object.values(scores);
    const mean = sumOf(values) / Math.max(1, values.length);
    const worth = (mean - lowestScore) / (highestScore - lowestScore);
    return { arm: answersKey(candidate), prompt: hash(prompt_id), worth };
  });
  if (scored.length > 0) return { source: people ? "people" : "judge", scored };
  throw new UserError(
    `the answers of ${folder} were not scored: deno task quality check ${folder} (prompts with checks), or ` +
      `deno task quality annotate ${folder}`,
  );
}
