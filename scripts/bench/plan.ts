/** `bench --plan`: what a run could show, from a pilot or an earlier run, and what it would take. */
import { requireRun } from "../../lib/bench/find_run.ts";
import { roundsUnderLoad } from "../../lib/bench/plan.ts";
import { PILOT_ROUNDS, pilotSet, planRun, type RunPlan } from "../../lib/bench/planner.ts";
import { summarizeRun } from "../../lib/bench/summary.ts";
import { UserError } from "../../lib/errors.ts";
import { execute, promptsOf } from "./execute.ts";
import type { BenchSettings } from "./options.ts";

/** @throws {UserError} where there is no such run, or it allows no plan */
export async function plan(settings: BenchSettings): Promise<RunPlan> {
  const { plan: from, out, seed } = settings;
  const prompts = await promptsOf(settings);
  const load = { prompts: prompts.prompts.length, concurrency: 1, rate: null };
  const size = { cases: load.prompts, rounds: settings.rounds ?? roundsUnderLoad(load) };
  if (typeof from === "string") {
    return planRun(await summarizeRun(await requireRun(from, out, "--plan")), size);
  }
  if (settings.concurrency > 1 || settings.rate !== undefined) {
    throw new UserError("--plan plans runs of one client: leave out --concurrency and --rate");
  }
  console.error("A pilot first: a few cases, twice.");
  const pilot = { ...settings, rounds: PILOT_ROUNDS, plan: undefined, resume: undefined };
  const { summary } = await execute(pilot, pilotSet(prompts, seed));
  return planRun(summary, size);
}

const NAMES = { latency_s: "E2E latency", tpot_s: "time per token" } as const;

/** The plan as text. */
export function planText({ run_id, candidates, seconds_per_request, metrics }: RunPlan): string {
  const percent = (ratio: number) => `${Math.round(100 * (ratio - 1))} %`;
  const row = (...cells: readonly string[]) => cells.map((cell) => cell.padStart(12)).join("");
  return [
    `What a run can show here, from ${run_id}: ${candidates} candidates, ${
      seconds_per_request.toFixed(2)
    } s per request.`,
    ...metrics.flatMap(({ metric, a, b, sizes, advice }) => [
      "",
      `${NAMES[metric]} (${a} against ${b}, which varies most):`,
      row("cases", "rounds", "difference", "requests", "minutes"),
      ...sizes.map(({ cases, rounds, smallest_ratio, requests, minutes }) =>
        row(
          String(cases),
          String(rounds),
          `±${percent(smallest_ratio)}`,
          String(requests),
          minutes.toFixed(1),
        )
      ),
      `${advice}.`,
    ]),
  ].join("\n");
}
