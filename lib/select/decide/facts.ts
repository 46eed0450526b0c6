/** What is known of each candidate, gathered for the constraints from registry, machine, answers and figures. */
import { join } from "node:path";
import { parseDocument } from "../../text_file.ts";
import type { NamedCandidate } from "../../bench/named_candidate.ts";
import type { CandidateSummary } from "../../bench/summary_schema.ts";
import { fits, type Machine, neededRamGb } from "../../catalog/machine.ts";
import { findModel, findVariant, type Model, type Registry } from "../../catalog/model.ts";
import {
  type CandidateQuality,
  QUALITY_SCHEMA,
  type QualityReport,
  qualityReport,
} from "../../quality/quality_schema.ts";
import { casesPassed } from "../../quality/candidate_quality.ts";
import type { CandidateFacts, QualityFacts } from "./constraints.ts";

/** The engine's own context where nothing else is asked for. */
const DEFAULT_CONTEXT_TOKENS = 4096;

/**
 * What decides the text of an answer: model, weights and context. Threads and device should only decide how
 * soon it comes, so candidates that differ in them alone share their quality, unless their recorded answers
 * differ (see `compareSharedAnswers`). Flash attention rounds otherwise, and changes answers.
 *
 * ```ts
 * if (answersKey("a:q4_1+threads=1#2") !== "a:q4_1") throw new Error("threads don't change answers");
 * if (answersKey("a:q4_1+context=512") === "a:q4_1") throw new Error("a cut context does");
 * ```
 */
export function answersKey(id: string): string {
  return id.replace(/#\d+$/, "").replaceAll(/\+(?:threads|gpu)=[^+@]*/g, "");
}

/**
 * How good a candidate's answers were, by its own or by those of the same weights; null where none were
 * scored. In the share of cases that it passed, an answer that was cut, failed or could not be judged counts
 * as wrong: a floor needs evidence.
 */
export function qualityOf(id: string, report: QualityReport | null): QualityFacts | null {
  const found = candidateIn(id, report);
  if (report === null || found === null) return null;
  const people = found.ratings.find(({ source }) => source === "person");
  const right = found.states.unsupported === 0
    ? found.pass_rate
    : casesPassed(report.answers.filter(({ candidate }) => candidate === found.id));
  return {
    passed: right.passed,
    prompts: right.n,
    passRate: right.rate,
    passRateCi95: right.ci95,
    cut: found.states.cut,
    unsupported: found.states.unsupported,
    rightAtMost: found.right_bounds?.[1] ?? null,
    score: found.score.mean,
    scoreCi95: found.score.ci95 ?? equalScores(found.score, [0, 1]),
    rating: people?.overall.mean ?? null,
    ratingCi95: people === undefined ? null : people.overall.ci95 ?? equalScores(people.overall, [1, 5]),
    run: report.run_id,
  };
}

/** Where all scores are equal, nothing but their number bounds the mean: see `scoreDifference`. */
function equalScores(
  { n, mean }: { readonly n: number; readonly mean: number | null },
  [least, most]: readonly [number, number],
): [number, number] | null {
  if (n < 2 || mean === null) return null;
  const share = 0.025 ** (1 / n);
  return [mean * share + least * (1 - share), mean * share + most * (1 - share)];
}

/** The candidate of a quality report whose answers stand for those of `id`. */
export function candidateIn(id: string, report: QualityReport | null): CandidateQuality | null {
  const voted = new Set(report?.votes?.pairs.flatMap(({ candidates }) => candidates));
  const scored =
    report?.candidates.filter(({ id, answers, ratings }) =>
      answers > 0 || ratings.length > 0 || voted.has(id)
    ) ?? [];
  return scored.find((one) => one.id === id) ??
    scored.find((one) => answersKey(one.id) === answersKey(id)) ?? null;
}

/**
 * quality.json of a run; null where it has none.
 *
 * @throws {UserError} when it is damaged
 */
export async function readQuality(folder: string): Promise<QualityReport | null> {
  const path = join(folder, "quality.json");
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return parseDocument(text, {
    schema: qualityReport,
    newest: QUALITY_SCHEMA,
    name: path,
    remedy: `score the answers again with deno task quality check ${folder}`,
  });
}

/** A candidate that is yet to be measured. `freeDiskMb` is null where its file is here already. */
export function factsOfCandidate(
  candidate: NamedCandidate,
  { machine, freeDiskMb, quality, registry }: {
    machine: Machine;
    freeDiskMb: number | null;
    quality: QualityReport | null;
    registry: Registry;
  },
): CandidateFacts {
  const { info } = candidate;
  const model = candidate.kind === "embedded" ? candidate.model : findModel(registry, info.alias);
  const facts = {
    id: info.id,
    license: info.license,
    capabilities: capabilitiesOf(model),
    contextTokens: model?.contextTokens ?? null,
    sizeMb: info.size_mb,
    neededRamGb: null,
    fit: null,
    freeDiskMb: null,
    quality: qualityOf(info.id, quality),
    latencyS: null,
    ttftS: null,
    memoryMb: null,
  };
  if (candidate.kind === "endpoint") return facts;
  const { contextTokens, parallel } = candidate.engine;
  const options = { variant: candidate.variant, contextTokens, parallel };
  const trained = candidate.model.contextTokens ?? Infinity;
  return {
    ...facts,
    // An adapter has no context window: what its model says is all that is known.
    contextTokens: candidate.variant.adapter === null
      ? Math.min(contextTokens ?? DEFAULT_CONTEXT_TOKENS, trained)
      : candidate.model.contextTokens,
    neededRamGb: neededRamGb(candidate.model, options),
    fit: fits(candidate.model, machine, options),
    freeDiskMb,
  };
}

const capabilitiesOf = (model: Model | undefined): string[] =>
  model === undefined ? [] : [...new Set([...model.capabilities, ...model.task])];

/** A candidate that was measured. What the machine had free then is not known any more. */
export function factsOfSummary(
  summary: CandidateSummary,
  registry: Registry | null,
  quality: QualityReport | null,
): CandidateFacts {
  const model = registry === null ? undefined : findModel(registry, summary.alias);
  const [name, ...options] = (summary.variant ?? "").split("+");
  const context = options.find((option) => option.startsWith("context="))?.slice("context=".length);
  const variant = model === undefined || !name ? undefined : findVariant(model, name);
  return {
    id: summary.id,
    license: summary.license,
    capabilities: capabilitiesOf(model),
    contextTokens: context === undefined ? model?.contextTokens ?? null : Number(context),
    sizeMb: summary.size_mb,
    neededRamGb: model === undefined || summary.size_mb === null
      ? null
      : neededRamGb(model, variant === undefined ? {} : { variant }),
    fit: null,
    freeDiskMb: null,
    quality: qualityOf(summary.id, quality),
    latencyS: summary.latency_s.mean,
    ttftS: summary.ttft_s.mean,
    memoryMb: summary.memory_mb,
  };
}
