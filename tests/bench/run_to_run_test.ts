/** The spread between repeated runs: known figures. A gate that uses it: gate_rates_slow_test.ts. */
import assert from "node:assert/strict";
import { runToRunOf } from "../../lib/bench/run_to_run.ts";
import { UserError } from "../../lib/errors.ts";
import { comparableRun as run } from "./comparable_run.ts";

Deno.test("the spread is the standard deviation of the runs' mean logarithms over their common cases", () => {
  const e = Math.E;
  const repeats = [run("1", [1, e, 9]), run("2", [e, e ** 2]), run("3", [e ** 2, e ** 3])];
  const { candidates, repeats: names } = runToRunOf(run("base", [1, 1, 1]), repeats);
  const [found] = candidates;
  // Levels 0.5, 1.5 and 2.5: the third case, which one run has alone, does not count.
  assert.ok(Math.abs((found?.latency_s?.sd ?? NaN) - 1) < 1e-12);
  assert.deepEqual([found?.latency_s?.df, found?.latency_s?.cases, found?.output_chars_per_s], [2, 2, null]);
  assert.deepEqual(names, ["1", "2", "3"]);
});

Deno.test("a busy repeat is left out, too few are refused, and so is another machine", () => {
  const base = run("base", [1, 2]);
  assert.throws(
    () => runToRunOf(base, [run("1", [1, 2]), run("2", [1, 2], "firefox")]),
    (error) =>
      error instanceof UserError && error.exitCode === 1 &&
      /1 of 2 was quiet \(2: firefox\)/.test(error.message),
  );
  const far = run("far", [1, 2]);
  const elsewhere = { ...far, info: { ...far.info, machine: { ...far.info.machine, cpu: "Another" } } };
  assert.throws(() => runToRunOf(base, [elsewhere, run("2", [1, 2])]), /far and base differ in processor/);
});
