/** The terms of plans whose result is a document: the tasks' defaults, and the most that a plan may take. */
import type { CapacityTerms } from "../bench/search_capacity.ts";
import { firstLook } from "../bench/load_level.ts";
import { FIDELITY_DEFAULTS } from "../quality/fidelity.ts";
import type { FleetPlan } from "./device.ts";

/** As many clients as a device allows at once. */
const MOST_USERS = 64;
/** Those of `deno task capacity`. */
export const CAPACITY = { within: 0.95, thinkS: 5, search: "both", requests: 800, warmup: 3 } as const;

/** Why no device can carry out a plan; null where one may. */
export function planProblem(
  { kind, models, slo }: Pick<FleetPlan, "kind" | "models" | "slo">,
): string | null {
  if (kind === "fidelity" && models.length !== 2) {
    return `fidelity compares two models, and it names ${models.length}`;
  }
  if (kind === "capacity" && (slo === undefined || slo.ttft_s === null && slo.e2e_s === null)) {
    return 'capacity needs limits of a request, such as "slo": { "ttft_s": 2, "e2e_s": 10 }';
  }
  return null;
}

/** Most users that a plan tries. */
export const usersAtOnce = ({ max_users = MOST_USERS }: FleetPlan): number => max_users;

/** What the search looks for, and the most requests per level. */
export function capacityTerms(plan: FleetPlan): CapacityTerms & { readonly perLevel: number } {
  const { slo, within = CAPACITY.within, think_s = CAPACITY.thinkS, search = CAPACITY.search } = plan;
  const { requests: mostRequests = CAPACITY.requests } = plan;
  const maxUsers = usersAtOnce(plan);
  const limits = { ttft_s: slo?.ttft_s ?? null, e2e_s: slo?.e2e_s ?? null, within, mostRequests };
  // The first request of each user doesn't count, and each may have one in flight at the end.
  const perLevel = Math.max(mostRequests, firstLook({ kind: "users", users: maxUsers }, within)) +
    2 * maxUsers;
  return { limits, thinkS: think_s, search, maxUsers, perLevel };
}

/** How a text is read; each block that a candidate reads is one request. */
export function readingTerms({ block, tokens }: FleetPlan) {
  const blockTokens = block ?? FIDELITY_DEFAULTS.blockTokens;
  const mostTokens = tokens ?? FIDELITY_DEFAULTS.mostTokens;
  return { blockTokens, mostTokens, requests: 2 * Math.ceil(mostTokens / blockTokens) };
}
