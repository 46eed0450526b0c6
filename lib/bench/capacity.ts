/** How much load each candidate can serve within limits: from names to capacity.json. */
import { join } from "node:path";
import type { MachineDescription } from "../catalog/machine.ts";
import { UserError } from "../errors.ts";

import { type CandidateRequest, findCandidates, type SessionResources } from "./find_candidates.ts";
import { newRunId, replaceFile } from "./folder.ts";
import type { PlanInfo } from "./records.ts";
import { machineInfoOf, planInfo, type SessionPlan } from "./run_info.ts";
import {
  type CandidateCapacity,
  type CapacityTerms,
  type FollowLevels,
  searchCapacity,
} from "./search_capacity.ts";

/** The document in capacity.json. */
export interface CapacityReport {
  /** The version of this document. */
  readonly schema_version: 1;
  /** The name of its folder. */
  readonly capacity_id: string;
  /** When the search began (ISO 8601, UTC). */
  readonly created_at: string;
  /** `interrupted`: it ended early, and the levels that were finished count. */
  readonly status: "completed" | "interrupted";
  /** The machine that measured, without what names it. */
  readonly machine: MachineDescription;
  /** Limits of one request in seconds; null where that time has no limit. */
  readonly slo: { readonly ttft_s: number | null; readonly e2e_s: number | null };
  /** Share of the requests that must meet the limits. */
  readonly within: number;
  /** The confidence of each verdict on a load. */
  readonly confidence: 0.95;
  /** Mean time that a user thinks between an answer and the next request, in seconds. */
  readonly think_s: number;
  /** The job. */
  readonly prompt_set: { readonly name: string; readonly sha256: string };
  /** Longest answer in tokens. */
  readonly max_tokens: number;
  /** What the server has seen of each prompt before: see `RunOptions.prefix`. */
  readonly prefix: PlanInfo["prefix"];
  /** Seed of the order of cases and of the arrivals. */
  readonly seed: number;
  /** What was found for each candidate. */
  readonly candidates: readonly CandidateCapacity[];
}

/** A finished search and its folder. */
export interface FinishedCapacity {
  readonly report: CapacityReport;
  /** Holds samples.jsonl, every request, and capacity.json, derived from them. */
  readonly folder: string;
}

/**
 * From names to a capacity report, in a folder of its own below `out`.
 *
 * @throws {UserError} as `findCandidates`, and for limits that limit nothing
 *
 * ```ts ignore
 * const { report } = await measureCapacity(
 *   { names: ["smollm2-135m"], plan: { prompts: singlePrompt("Say hello.") } },
 *   { limits: { ttft_s: 2, e2e_s: null, within: 0.95, mostRequests: 800 }, thinkS: 5, search: "users", maxUsers: 64 },
 *   resources,
 *   { out: "reports", now: new Date(), random: Math.random, onLevel: () => {} },
 * );
 * console.log(report.candidates[0]?.users?.best);
 * ```
 */
export async function measureCapacity(
  request: CandidateRequest & { readonly plan: SessionPlan },
  terms: CapacityTerms,
  resources: SessionResources,
  { out, now, random, onLevel }: {
    readonly out: string;
    readonly now: Date;
    readonly random: () => number;
    readonly onLevel: FollowLevels;
  },
): Promise<FinishedCapacity> {
  if (terms.limits.ttft_s === null && terms.limits.e2e_s === null) {
    throw new UserError(
      "without limits every load is within them: give --slo ttft=2s,e2e=10s (either or both)",
    );
  }
  const id = `capacity-${newRunId(now, random)}`;
  const folder = join(out, id);
  const found = await findCandidates(request, resources);
  try {
    const plan = planInfo(request.plan, found.order);
    await Deno.mkdir(folder, { recursive: true });
    const options = { resources, onLevel: keptIn(folder, onLevel) };
    const candidates: CandidateCapacity[] = [];
    for (const candidate of found.candidates) {
      if (resources.signal.aborted) break;
      candidates.push(await searchCapacity(candidate, plan, terms, options));
    }
    const report: CapacityReport = {
      schema_version: 1,
      capacity_id: id,
      created_at: now.toISOString(),
      status: resources.signal.aborted ? "interrupted" : "completed",
      machine: machineInfoOf(found.machine),
      ...requestConditions(plan, terms),
      candidates,
    };
    await replaceFile(join(folder, "capacity.json"), `${JSON.stringify(report, null, 2)}\n`);
    return { report, folder };
  } finally {
    found.close();
  }
}

/** Keeps the records of each level before the level is passed on. */
function keptIn(folder: string, onLevel: FollowLevels): FollowLevels {
  return async (candidate, load, level, records) => {
    const lines = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    await Deno.writeTextFile(join(folder, "samples.jsonl"), lines, { append: true });
    await onLevel(candidate, load, level, records);
  };
}

/** What each request was and had to meet. */
const requestConditions = (
  { prompt_set: { name, sha256 }, max_tokens, prefix, seed }: PlanInfo,
  { limits: { ttft_s, e2e_s, within }, thinkS }: CapacityTerms,
) => ({
  slo: { ttft_s, e2e_s },
  within,
  confidence: 0.95 as const,
  think_s: thinkS,
  prompt_set: { name, sha256 },
  max_tokens,
  prefix,
  seed,
});
