/** Gates over a comparison, for scripts that must stop on a worse run. A gate that can't see must not pass. */
import { UserError } from "../errors.ts";
import type { RunsComparison } from "./compare.ts";

/**
 * The regressions that a gate on speed stops at; none lets it pass.
 *
 * @throws {UserError} where the runs can't be judged: other conditions, or nothing with an interval
 * @example
 * ```ts ignore
 * if (speedGate(compareAllRuns(runs, options)).length > 0) Deno.exit(1);
 * ```
 */
export function speedGate(comparison: RunsComparison): readonly string[] {
  for (const { run, differences, candidates } of comparison.runs) {
    const blocking = differences.filter((one) => one.blocking).map((one) => one.what);
    if (blocking.length > 0) {
      throw new UserError(
        `no gate on ${run}: it differs from the baseline in ${
          blocking.join(", ")
        }; measure both under the same ` +
          `conditions`,
      );
    }
    const measured = candidates.filter((one) => one.status === "measured");
    const blind = measured.filter((one) => one.metrics.every((metric) => metric.ci95 === null));
    const [first] = blind;
    if (first !== undefined) {
      throw new UserError(
        `no gate on ${run}: ${first.candidate} has no interval (${first.metrics[0]?.why ?? "no metric"})`,
      );
    }
    if (candidates.length === 0) {
      throw new UserError(`no gate on ${run}: it has no candidate of the baseline`);
    }
  }
  return comparison.regressions;
}

/**
 * How many answers changed, for a gate on deterministic runs; none lets it pass.
 *
 * @throws {UserError} where texts could not be compared
 * @example
 * ```ts ignore
 * if (answersGate(compareAllRuns(runs, options)) > 0) Deno.exit(1);
 * ```
 */
export function answersGate(comparison: RunsComparison): number {
  const compared = comparison.runs.flatMap((run) => run.candidates.map((one) => ({ run: run.run, ...one })));
  for (const { run, candidate, status, answers } of compared) {
    if (status !== "measured") continue;
    const why = answers.skipped ??
      (answers.compared === 0 ? "no answer of the same prompt and round in both" : null);
    if (why !== null) throw new UserError(`no gate on the answers of ${candidate} in ${run}: ${why}`);
  }
  return comparison.changed_answers;
}
