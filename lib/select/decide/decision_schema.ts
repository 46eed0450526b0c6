/** decision.json: which model to use on a machine, how sure that is, and what would change it. */
import { z } from "zod";
import { exclusion, machineInfo } from "../../bench/records.ts";
import { parseDocument } from "../../text_file.ts";

const interval = z.tuple([z.number(), z.number()]).nullable();
const share = z.number().min(0).max(1);

const decidedCandidate = z.object({
  id: z.string(),
  run: z.string(),
  /** Rank among those that were not excluded, from 1; null for the others. */
  rank: z.number().int().nullable(),
  /** Weights times figures; only differences have a meaning. */
  worth: z.number().nullable(),
  /** Share of the resamples in which it was the best. */
  probability_best: share.nullable(),
  /** No candidate beats it in quality, latency or memory without losing in another of them. */
  on_front: z.boolean(),
  quality: z.number().nullable(),
  quality_ci95: interval,
  checks: z.array(z.object({ name: z.string(), passed: z.number(), cases: z.number().int() })),
  /**
   * The candidate whose scores it shares, and how many recorded answers to the same text were compared; where
   * some differ, it has no scores. Null where its own answers were scored, or none.
   */
  quality_shared: z.object({
    from: z.string(),
    compared: z.number().int(),
    different: z.number().int(),
  }).nullable().default(null),
  /** Whether its quality allows a choice; null for those that were excluded, and where nothing was scored. */
  may_be_chosen: z.boolean().nullable(),
  why_or_why_not: z.string().nullable(),
  latency_s: z.number().nullable(),
  latency_p95_s: z.number().nullable(),
  ttft_s: z.number().nullable(),
  output_tokens_per_s: z.number().nullable(),
  memory_mb: z.number().nullable(),
  size_mb: z.number().nullable(),
  /** SHA-256 of the model's file; null where it is not known. */
  sha256: z.string().nullable().default(null),
  license: z.string().nullable(),
  /** What the licence permits, in a line; null where it is not known. */
  license_terms: z.string().nullable(),
  requests: z.object({ ok: z.number().int(), failed: z.number().int() }),
  energy: z.object({
    source: z.enum(["measured", "estimate"]),
    joules_per_request: z.number(),
    watts: z.number().nullable(),
    watt_hours_per_1000: z.number(),
    cost_per_1000: z.number().nullable(),
    price_per_kwh: z.number().nullable(),
    basis: z.string(),
  }).nullable(),
});
export type DecidedCandidate = z.infer<typeof decidedCandidate>;

const decisionShape = z.object({
  schema_version: z.literal(2),
  policy: z.enum(["evidence", "course"]),
  machine: machineInfo,
  runs: z.array(z.string()),
  versions: z.record(z.string(), z.string()),
  prompt_set: z.object({ name: z.string(), sha256: z.string() }).nullable(),
  /** The command that makes it again; null without one. */
  command: z.string().nullable(),
  /** The cases that it is about: how many were timed, and how many have scored answers of all candidates. */
  scope: z.object({
    claim: z.enum(["cases like these", "these cases"]),
    cases: z.number().int(),
    scored_cases: z.number().int(),
  }),
  /** The largest loss of quality against the best that a choice may have; not used with a quality floor. */
  max_drop: z.number(),
  /** The baseline that a choice without a floor must beat; null where nothing was scored. */
  baseline: z.string().nullable(),
  /** The baseline's mean score, 0 to 1; null where nothing was scored, and in decisions that did not record it. */
  baseline_score: z.number().nullable().default(null),
  /** The requested limits. */
  limits: z.record(z.string(), z.union([z.number(), z.array(z.string())])),
  quality_run: z.string().nullable(),
  quality_source: z.enum(["checks", "people", "votes", "judge"]).nullable(),
  /** The prompt set of the answers that were scored; `prompt_set` is that of the times. */
  quality_prompt_set: z.object({ name: z.string(), sha256: z.string() }).nullable().default(null),
  verdict: z.enum(["winner", "tie", "undecided", "left", "fastest", "only", "none"]),
  winner: z.string().nullable(),
  choice: z.string().nullable(),
  /** Where nothing is chosen, the candidate that is faster than all others beyond chance. */
  fastest: z.string().nullable(),
  /** The next candidate after the choice, or after the first in the ranking. */
  runner_up: z.string().nullable(),
  /** The first in the ranking, whatever the verdict. */
  leader: z.string().nullable(),
  /** Where no candidate passed: the best of those that were measured. */
  best_of_the_rest: z.string().nullable(),
  reason: z.string(),
  requests: z.number().int(),
  blocks: z.number().int(),
  disturbed_blocks: z.number().int(),
  delta: z.number(),
  epsilon: z.number(),
  eliminated: z.array(z.object({
    id: z.string(),
    by: z.string(),
    wins: z.number(),
    untied: z.number(),
    block: z.number(),
    evidence: z.number(),
    threshold: z.number(),
  })),
  /** Candidates that failed out of the race. */
  left: z.array(z.object({ id: z.string(), block: z.number(), reason: z.string() })),
  excluded: z.array(exclusion),
  weights: z.record(z.string(), z.number()),
  /** 95 % interval of the first's utility minus the second's, over cases. */
  lead_ci95: interval,
  sensitivity: z.array(z.object({
    part: z.string(),
    weight: z.number(),
    from: z.number(),
    to: z.number().nullable(),
    below: z.string().nullable(),
    above: z.string().nullable(),
  })),
  candidates: z.array(decidedCandidate),
  what_would_change_it: z.array(z.string()),
  /** What the course's rule would take: the registry's first model of the task whose RAM the machine has. */
  course: z.object({ task: z.string(), choice: z.string().nullable(), note: z.string() }).nullable(),
  warnings: z.array(z.string()),
});
/** The document in decision.json; the schema in lib/select/decide/decision_schema.ts describes each field. */
export type Decision = z.infer<typeof decisionShape>;

/** Reads version 1 too: fields that it lacks are empty, and its choices stay. */
export const decisionSchema = z.preprocess((json) => {
  const old = z.looseObject({ schema_version: z.literal(1), candidates: z.array(z.looseObject({})) })
    .safeParse(json);
  if (!old.success) return json;
  const unknown = {
    quality_ci95: null,
    checks: [],
    may_be_chosen: null,
    why_or_why_not: null,
    latency_p95_s: null,
  };
  return {
    versions: {},
    prompt_set: null,
    command: null,
    scope: { claim: "cases like these", cases: 0, scored_cases: 0 },
    max_drop: 0,
    baseline: null,
    limits: {},
    fastest: null,
    disturbed_blocks: 0,
    left: [],
    ...old.data,
    schema_version: 2,
    candidates: old.data.candidates.map((one) => ({ ...unknown, ...one })),
  };
}, decisionShape);

/**
 * The decision in a text, of any version up to this one's.
 *
 * @param name the file's name in messages
 * @throws {UserError} where the text is not a decision, or a newer version of Podium wrote it
 *
 * ```ts ignore
 * const { choice } = parseDecision(await Deno.readTextFile("decision.json"), "decision.json");
 * ```
 */
export function parseDecision(text: string, name: string): Decision {
  return parseDocument(text, {
    schema: decisionSchema,
    newest: 2,
    name,
    remedy: "make one with deno task select",
  });
}
