/** The spread between repeated runs: known figures, and a gate that keeps its rate where runs differ. */
import assert from "node:assert/strict";
import type { ComparableRun } from "../../lib/bench/compare_runs.ts";
import { gateRuns } from "../../lib/bench/gate.ts";
import { runToRunOf } from "../../lib/bench/run_to_run.ts";
import { UserError } from "../../lib/errors.ts";
import { type Random, seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { fakeCandidate, runInfoOf, VirtualTime } from "./fakes.ts";

const time = new VirtualTime();

/** A run of one candidate over `latencies`, one case each. */
function run(name: string, latencies: readonly number[], busy: string | null = null): ComparableRun {
  const live = fakeCandidate("a", time);
  const values = latencies.map((seconds, at) => ({
    prompt: `case-${at}`,
    block: at,
    metrics: {
      latency_s: seconds,
      ttft_s: seconds / 4,
      decode_tokens_per_s: 20 / seconds,
      output_chars_per_s: null,
    },
    outputTokens: 20,
  }));
  const outcomes = values.map(({ prompt }) => ({ prompt, failed: false }));
  const candidate = {
    info: live.info,
    ok: values.length,
    failed: 0,
    outcomes,
    reason: null,
    estimated: false,
    values,
    answers: [],
  };
  return { name, info: { ...runInfoOf([live]), run_id: name }, candidates: [candidate], busy };
}

/** 40 cases of different length, 10 % noise per request, and a level that moves by `runSd` from run to run. */
function noisyRun(name: string, random: Random, { runSd = 0, slower = 1 } = {}): ComparableRun {
  const level = slower * Math.exp(runSd * standardNormal(random));
  return run(
    name,
    Array.from({ length: 40 }, (_, at) => level * (1 + at % 7) * Math.exp(0.1 * standardNormal(random))),
  );
}

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

Deno.test("where runs differ by 5 %, a gate with five repeats keeps its 5 %, and one without does not", () => {
  const random = seededRandom("run to run");
  const gates = 400;
  const count = { without: 0, with: 0 };
  for (let at = 0; at < gates; at++) {
    const before = noisyRun("before", random, { runSd: 0.05 });
    const repeats = runToRunOf(
      before,
      Array.from({ length: 5 }, (_, k) => noisyRun(`${k}`, random, { runSd: 0.05 })),
    );
    // The truth lies on the limit: a pass is an error.
    const after = noisyRun("after", random, { runSd: 0.05, slower: 1.1 });
    const terms = { maxSlowdown: 0.1, maxDrop: 0.1, maxFailures: 0.05, random: () => seededRandom(1) };
    const passes = (with_: typeof repeats | null) =>
      gateRuns(before, after, null, { ...terms, repeats: with_ }).parts
        .find(({ part }) => part === "latency")?.verdict === "pass";
    if (passes(null)) count.without++;
    if (passes(repeats)) count.with++;
  }
  // P(Binomial(400, 0.05) > 35) < 0.001.
  assert.ok(count.with <= 35, `with repeats ${count.with} of ${gates} passed`);
  assert.ok(count.without > 35, `without repeats ${count.without} of ${gates} passed`);
});
