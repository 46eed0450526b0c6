/** How often a gate errs, over many simulated runs: at most as often as it states. */
import assert from "node:assert/strict";
import type { ComparableRun } from "../../lib/bench/compare_runs.ts";
import { gateRuns } from "../../lib/bench/gate.ts";
import { runToRunOf } from "../../lib/bench/run_to_run.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { GATE_TERMS as terms, simulatedRun as run, verdictOn } from "./comparable_run.ts";

Deno.test("a slowdown of exactly the limit passes, and fails, in at most 5 %, from five cases on", () => {
  const random = seededRandom("limit");
  for (const cases of [5, 10]) {
    let [passed, failed] = [0, 0];
    for (let i = 0; i < 600; i++) {
      const few = (one: ComparableRun): ComparableRun => ({
        ...one,
        candidates: one.candidates.map((all) => ({ ...all, values: all.values.slice(0, cases) })),
      });
      const report = gateRuns(few(run("old", random)), few(run("new", random, { slower: 1.1 })), null, terms);
      if (verdictOn(report, "latency") === "pass") passed++;
      if (verdictOn(report, "latency") === "fail") failed++;
    }
    // 48 of 600 or more happen in 0.1 % where the rate is 5 %.
    assert.ok(passed < 48 && failed < 48, `${cases} cases: ${passed} passed, ${failed} failed`);
  }
});

Deno.test("a true +15 % hardly ever passes at 10 %, and the same thing hardly ever fails", () => {
  const random = seededRandom("rates");
  const rates = (slower: number) => {
    const count = { pass: 0, fail: 0, "can't tell": 0 };
    for (let i = 0; i < 200; i++) {
      const options = { ...terms, random: () => seededRandom(i) };
      const report = gateRuns(
        run("old", random, { noise: 0.2 }),
        run("new", random, { noise: 0.2, slower }),
        null,
        options,
      );
      count[report.verdict]++;
    }
    return count;
  };
  // P(Binomial(200, 0.05) > 21) < 0.001.
  assert.ok(rates(1.15).pass <= 21);
  assert.ok(rates(1).fail <= 21);
});

Deno.test("where runs differ by 5 %, a gate with five repeats keeps its 5 %, and one without does not", () => {
  const random = seededRandom("run to run");
  const gates = 400;
  const count = { without: 0, with: 0 };
  for (let at = 0; at < gates; at++) {
    const before = run("before", random, { cases: 40, runSd: 0.05 });
    const repeats = runToRunOf(
      before,
      Array.from({ length: 5 }, (_, k) => run(`${k}`, random, { cases: 40, runSd: 0.05 })),
    );
    // The truth lies on the limit: a pass is an error.
    const after = run("after", random, { cases: 40, runSd: 0.05, slower: 1.1 });
    const passes = (with_: typeof repeats | null) =>
      verdictOn(gateRuns(before, after, null, { ...terms, repeats: with_ }), "latency") === "pass";
    if (passes(null)) count.without++;
    if (passes(repeats)) count.with++;
  }
  // P(Binomial(400, 0.05) > 35) < 0.001.
  assert.ok(count.with <= 35, `with repeats ${count.with} of ${gates} passed`);
  assert.ok(count.without > 35, `without repeats ${count.without} of ${gates} passed`);
});
