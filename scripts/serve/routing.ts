/** How `auto` chooses: the plan, what was learned before, and the file that keeps it. */
import { dirname, join } from "node:path";
import { defaultStore } from "../../lib/catalog/store.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { readTextFile } from "../../lib/text_file.ts";
import { parseDecision } from "../../lib/select/decide/decision_schema.ts";
import { makeRouter } from "../../lib/select/route/router.ts";
import {
  parseRouterState,
  parseRoutingPlan,
  planFromDecision,
  type RouterState,
  type RoutingPlan,
} from "../../lib/select/route/router_plan.ts";
import { Routing } from "../../lib/serve/routing.ts";
import { stateFile } from "../../lib/serve/state_file.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { type Slo } from "../options.ts";
import type { ServeSettings } from "./settings.ts";

const WRITE_EVERY_MS = 1000;

export interface OpenRouting {
  readonly routing: Routing;
  /** The candidate that --decision chose; null without a decision, or where it made no choice. */
  readonly choice: string | null;
  readonly slo: Slo;
  close(): Promise<void>;
}

/** @throws {UserError} where a file that was named can't be used */
export async function openRouting(
  settings: ServeSettings,
  note: (text: string) => void,
): Promise<OpenRouting> {
  const { planOf, choice } = await readPlan(settings);
  const path = settings.state ?? join(dirname(defaultStore(Deno.env, Deno.build.os)), "router.json");
  const random = seededRandom(crypto.randomUUID());
  const file = stateFile({
    path,
    everyMs: WRITE_EVERY_MS,
    text: () => {
      const state = routing.state();
      return state === null ? null : JSON.stringify(state);
    },
    onTrouble: (reason) =>
      note(
        reason === null
          ? "what auto learns is saved again"
          : `what auto learns can't be saved (${reason}): free disk space, or give another file with --state; serving continues`,
      ),
  });
  const routing = new Routing({
    make: (served, state) => makeRouter(planOf(served.map(({ id }) => id)), served, state, random),
    state: await readState(path, settings.state !== undefined, note),
    now: () => Math.floor(Date.now() / 1000),
    onLearned: file.changed,
  });
  return { routing, choice, slo: settings.slo ?? { ttft_s: null, e2e_s: null }, close: file.flush };
}

async function readPlan(
  { routing, decision }: ServeSettings,
): Promise<Pick<OpenRouting, "choice"> & { readonly planOf: (served: readonly string[]) => RoutingPlan }> {
  if (routing !== undefined && decision !== undefined) {
    throw new UserError(
      "--routing and --decision exclude each other: the plan was made from a decision already",
    );
  }
  if (routing !== undefined) {
    const plan = parseRoutingPlan(await readTextFile(routing, "--routing"), routing);
    return { planOf: () => plan, choice: null };
  }
  if (decision === undefined) return { planOf: byDefault, choice: null };
  const decided = parseDecision(await readTextFile(decision, "--decision"), `--decision ${decision}`);
  return { planOf: (served) => planFromDecision(decided, served), choice: decided.choice };
}

/** No audit has shown that anything beats one model: `auto` is the first that is served. */
function byDefault(served: readonly string[]): RoutingPlan {
  const [first = null] = served;
  return {
    ...planFromDecision(null, served, { mode: "constant" }),
    constant: first,
    why:
      "no audit and no decision was given (--routing, --decision): auto means the first model, and others stand in " +
      "when it fails",
  };
}

/** A damaged file at the default place is ignored; with --state it is an error. */
async function readState(
  path: string,
  named: boolean,
  note: (text: string) => void,
): Promise<RouterState | null> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    if (named) throw new UserError(`--state ${path} can't be read: ${reasonOf(error)}`);
    note(`what auto had learned can't be read: ${reasonOf(error)}`);
    return null;
  }
  try {
    return parseRouterState(text, path);
  } catch (error) {
    if (named || !(error instanceof UserError)) throw error;
    note(`what auto had learned is ignored: ${error.message}`);
    return null;
  }
}
