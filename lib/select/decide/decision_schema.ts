/** decision.json: which model to use on a machine, how sure that is, and what would change it. */
import { z } from "zod";
import { exclusion, machineInfo } from "../../bench/records.ts";

const interval = z.tuple([z.number(), z.number()]).nullable();
const share = z.number().min(0).max(1);

export const decidedCandidate = z.object({
  id: z.string(),
  run: z.string(),
  /** Rank among those that were not excluded, from 1; null for the others. */
  rank: z.number().int().nullable(),
  /** Weights times figures; only differences mean something. */
  worth: z.number().nullable(),
  /** Share of the resamples in which it was the best. */
  probability_best: share.nullable(),
  /** Nobody beats it in one of quality, latency and memory without losing in another. */
  on_front: z.boolean(),
  quality: z.number().nullable(),
  latency_s: z.number().nullable(),
  ttft_s: z.number().nullable(),
  output_tokens_per_s: z.number().nullable(),
  memory_mb: z.number().nullable(),
  size_mb: z.number().nullable(),
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

export const decisionSchema = z.object({
  schema_version: z.literal(1),
  policy: z.enum(["evidence", "course"]),
  machine: machineInfo,
  runs: z.array(z.string()),
  quality_run: z.string().nullable(),
  quality_source: z.enum(["checks", "people", "judge"]).nullable(),
  verdict: z.enum(["winner", "tie", "undecided", "left", "fastest", "only", "none"]),
  winner: z.string().nullable(),
  choice: z.string().nullable(),
  /** Who comes next after the choice, or after the first in the ranking. */
  runner_up: z.string().nullable(),
  /** Who leads the ranking, whatever the verdict. */
  leader: z.string().nullable(),
  /** Where nobody passed: the best of those that were measured. */
  best_of_the_rest: z.string().nullable(),
  reason: z.string(),
  requests: z.number().int(),
  blocks: z.number().int(),
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
  excluded: z.array(exclusion),
  weights: z.record(z.string(), z.number()),
  /** 95 % of the resamples put the leader's worth minus the runner-up's between these. */
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
/** The document in decision.json. */
export type Decision = z.infer<typeof decisionSchema>;
