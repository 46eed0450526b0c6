/**
 * The scored answers of a run, and what each is worth by case: by checks, people's ratings,
 * votes on pairs, or a judge.
 */
import type { BoundedScore } from "../../bench/gate.ts";
import type { RunInfo } from "../../bench/records.ts";
import type { QualityReport, ScoreState } from "../../quality/quality_schema.ts";
import { type RatingRecord, readRatings } from "../../quality/ratings.ts";
import { readVotes, type VoteRecord, voteValue } from "../../quality/votes.ts";
import { meanOf } from "../../stats/mean.ts";
import { candidateIn, readQuality } from "./facts.ts";

/** How answers were judged; of several ways the first in this order counts. */
export type QualitySource = "checks" | "people" | "votes" | "judge";

/** quality.json, and the ratings and votes next to it. */
export interface ScoredAnswers {
  readonly report: QualityReport;
  readonly ratings: readonly RatingRecord[];
  readonly votes: readonly VoteRecord[];
  readonly source: QualitySource;
  readonly folder: string;
}

/** Those of the first run whose answers were scored; null where none were. */
export async function scoredAnswers(folders: readonly string[]): Promise<ScoredAnswers | null> {
  for (const folder of folders) {
    const report = await readQuality(folder);
    const source = report === null ? null : sourceOf(report);
    if (report !== null && source !== null) {
      return { report, source, ratings: await readRatings(folder), votes: await readVotes(folder), folder };
    }
  }
  return null;
}

function sourceOf({ answers, candidates, votes }: QualityReport): QualitySource | null {
  if (answers.length > 0) return "checks";
  const raters = candidates.flatMap(({ ratings }) => ratings.map(({ source }) => source));
  if (raters.includes("person")) return "people";
  if (votes !== undefined) return "votes";
  return raters.includes("judge") ? "judge" : null;
}

/** Mean worth of a candidate's answers to each prompt (by its id), 0 to 1; empty where nothing was scored. */
export function worthByPrompt(id: string, scored: ScoredAnswers | null): Map<string, number> {
  const found = candidateIn(id, scored?.report ?? null);
  if (scored === null || found === null) return new Map();
  const byPrompt = Map.groupBy(worths(found.id, scored), ({ prompt }) => prompt);
  return new Map([...byPrompt].map(([prompt, same]) => [prompt, meanOf(same.map(({ worth }) => worth))]));
}

/** Check scores, ratings from 1 to 5 drawn to 0 to 1, or votes that were won. */
function worths(
  id: string,
  { source, report, ratings, votes }: ScoredAnswers,
): { readonly prompt: string; readonly worth: number }[] {
  switch (source) {
    case "checks":
      return report.answers.filter(({ candidate, state }) => candidate === id && state !== "unsupported")
        .map(({ prompt_id, score }) => ({ prompt: prompt_id, worth: score }));
    case "votes":
      return votes.flatMap((vote) => {
        const worth = voteValue(vote, id);
        return worth === null ? [] : [{ prompt: vote.prompt_id, worth }];
      });
    case "people":
    case "judge": {
      const rater = source === "people" ? "person" : "judge";
      return ratings.filter(({ candidate, source }) => candidate === id && source === rater)
        .map(({ prompt_id, scores }) => ({
          prompt: prompt_id,
          worth: (meanOf(Object.values(scores)) - 1) / 4,
        }));
    }
  }
}

/** The hash of the prompt that was scored, where it is a case of the plan: times and scores are then paired by it. */
export function caseOf(promptId: string, { report }: ScoredAnswers, { prompt_set }: RunInfo["plan"]): string {
  const isSameSet = report.prompt_set.sha256 === prompt_set.sha256;
  const hash = isSameSet ? prompt_set.prompts.find(({ id }) => id === promptId)?.sha256 : undefined;
  return hash ?? `answers to ${promptId}`;
}

/**
 * Mean score by case of each candidate of a scored run, under the prompt's hash, with its bounds: what a gate
 * pairs two runs by.
 *
 * ```ts ignore
 * const scores = scoresByCase(quality, info).get("smollm2:q4_1");
 * ```
 */
export function scoresByCase(
  report: QualityReport,
  { plan }: RunInfo,
): Map<string, Map<string, BoundedScore>> {
  const hashes = new Map(plan.prompt_set.prompts.map(({ id, sha256 }) => [id, sha256]));
  return new Map(
    [...Map.groupBy(report.answers, ({ candidate }) => candidate)].map(([candidate, answers]) => {
      const byPrompt = Map.groupBy(answers, ({ prompt_id }) => prompt_id);
      const scores = [...byPrompt].map(([id, same]) => {
        const bounds = {
          score: meanOf(same.map(({ score }) => score)),
          least: meanOf(same.map(({ score, state }) => isOpen(state) ? 0 : score)),
          most: meanOf(same.map(({ score, state }) => isOpen(state) ? 1 : score)),
        };
        return [hashes.get(id) ?? id, bounds] as const;
      });
      return [candidate, new Map(scores)] as const;
    }),
  );
}

/** Whether another token limit, or other checks, could have given any score. */
const isOpen = (state: ScoreState) => state === "cut" || state === "unsupported";
