import assert from "node:assert/strict";
import { join } from "node:path";
import { compareAllRuns, type CompareOptions, type RunsComparison } from "../../lib/bench/compare.ts";
import { type ComparableRun, readComparableRun } from "../../lib/bench/compare_runs.ts";
import { UserError } from "../../lib/errors.ts";
import { comparisonText } from "../../lib/report/comparison_text.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import {
  defaultPrompts,
  type GeneratedCandidate,
  type GeneratedRun,
  writeGeneratedRun,
} from "../../benchmarks/generated_run.ts";

const options: CompareOptions = { random: () => seededRandom(1) };

const candidate = (id: string, factor = 1, more: Partial<GeneratedCandidate> = {}): GeneratedCandidate => ({
  id,
  ttftMs: 50 * factor,
  itlMs: 8 * factor,
  tokens: 60,
  ...more,
});

/** Reads made-up runs back as a comparison sees them; the seed differs from run to run. */
async function runsOf(...generated: GeneratedRun[]): Promise<ComparableRun[]> {
  const root = await Deno.makeTempDir({ prefix: "podium-compare-" });
  try {
    const runs: ComparableRun[] = [];
    for (const [i, one] of generated.entries()) {
      const folder = join(root, String(i));
      await writeGeneratedRun(folder, { seed: i + 1, ...one });
      runs.push(await readComparableRun(folder, `run ${i}`));
    }
    return runs;
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function change(comparison: RunsComparison, id: string, run = 0) {
  const found = comparison.runs[run]?.candidates.find((one) => one.candidate === id);
  assert.ok(found !== undefined, `${id} was compared`);
  return found;
}

function verdictOf(comparison: RunsComparison, id: string, metric = "latency_s", run = 0) {
  return change(comparison, id, run).metrics.find((one) => one.metric === metric)?.verdict;
}

Deno.test("what got slower, faster or stayed, each with an interval that holds the truth", async () => {
  const names = ["slower", "faster", "same"];
  const factors = [1.3, 0.7, 1];
  const [before, after] = await runsOf(
    { candidates: names.map((id) => candidate(id)) },
    { candidates: names.map((id, i) => candidate(id, factors[i])) },
  );
  assert.ok(before !== undefined && after !== undefined);
  const comparison = compareAllRuns([before, after], options);
  assert.equal(verdictOf(comparison, "slower"), "worse");
  assert.equal(verdictOf(comparison, "slower", "decode_tokens_per_s"), "worse");
  assert.equal(verdictOf(comparison, "faster"), "better");
  assert.equal(verdictOf(comparison, "faster", "output_chars_per_s"), "better");
  assert.equal(verdictOf(comparison, "same"), "similar");
  for (const [i, id] of names.entries()) {
    const [latency] = change(comparison, id).metrics;
    const [low = 0, high = 0] = latency?.ci95 ?? [];
    const truth = factors[i] ?? 0;
    assert.ok(low < truth * 1.01 && high > truth * 0.99, `${id}: ${low} to ${high} around ${truth}`);
    assert.equal(latency?.prompts, defaultPrompts.length);
    assert.equal(latency?.n, 2 * 4 * defaultPrompts.length);
  }
  assert.deepEqual(
    comparison.regressions.map((text) => text.split(":")[0]),
    Array(4).fill("slower in run 1"),
  );
});

Deno.test("below ε nothing is claimed, until a control takes out what the machine did", async () => {
  const machine = 1.15;
  const runs = await runsOf(
    { candidates: [candidate("changed"), candidate("control")] },
    { candidates: [candidate("changed", 1.06 * machine), candidate("control", machine)] },
  );
  const without = compareAllRuns(runs, options);
  assert.equal(verdictOf(without, "control"), "worse", "a slower machine looks like a slower model");
  const beside = compareAllRuns(runs, { ...options, control: "control" });
  assert.equal(verdictOf(beside, "control"), "control");
  assert.equal(verdictOf(beside, "changed"), "worse");
  const [latency] = change(beside, "changed").metrics;
  const [low = 0, high = 0] = latency?.ci95 ?? [];
  assert.ok(low > 1 && low < 1.06 && high > 1.06 * 0.99 && high < 1.1, `${low} to ${high} around 1.06`);
  assert.ok(beside.regressions.every((text) => text.startsWith("changed")));

  const small = await runsOf({ candidates: [candidate("x")] }, { candidates: [candidate("x", 1.07)] });
  assert.notEqual(verdictOf(compareAllRuns(small, options), "x"), "worse");
});

Deno.test("a control that a run lacks is refused by name", async () => {
  const runs = await runsOf({ candidates: [candidate("a")] }, { candidates: [candidate("a")] });
  assert.throws(
    () => compareAllRuns(runs, { ...options, control: "b" }),
    (error) => error instanceof UserError && /control b is not in run 0.*\(a\)/.test(error.message),
  );
});

Deno.test("any number of runs, each against the first", async () => {
  const runs = await runsOf(
    { candidates: [candidate("a")] },
    { candidates: [candidate("a", 1.5)] },
    { candidates: [candidate("a", 0.5)] },
  );
  const comparison = compareAllRuns(runs, options);
  assert.deepEqual(comparison.runs.map((run) => run.run), ["run 1", "run 2"]);
  assert.equal(verdictOf(comparison, "a", "latency_s", 0), "worse");
  assert.equal(verdictOf(comparison, "a", "latency_s", 1), "better");
  assert.throws(() => compareAllRuns(runs.slice(0, 1), options), /at least two runs, 1 given/);
});

Deno.test("other machine, max_tokens, prefix or temperature: shown loudly, and no verdict", async () => {
  const base: GeneratedRun = { candidates: [candidate("a")] };
  const others: [string, GeneratedRun][] = [
    ["processor", { candidates: [candidate("a", 2)], machine: { cpu: "Another" } }],
    ["max_tokens", { candidates: [candidate("a", 2)], plan: { max_tokens: 64 } }],
    ["prefix", { candidates: [candidate("a", 2)], plan: { prefix: "warm" } }],
    ["temperature", { candidates: [candidate("a", 2)], plan: { temperature: 0.7 } }],
  ];
  for (const [what, other] of others) {
    const comparison = compareAllRuns(await runsOf(base, other), options);
    const blocking = comparison.runs[0]?.differences.filter((one) => one.blocking).map((one) => one.what);
    assert.deepEqual(blocking, [what]);
    assert.equal(verdictOf(comparison, "a"), "not comparable");
    assert.deepEqual(comparison.regressions, []);
    assert.match(comparisonText(comparison, { columns: 80, color: false }), new RegExp(`✗ ${what}: .*→`));
  }
});

Deno.test("prompts are matched by their text: the common ones are compared, none in common is refused", async () => {
  const [first, ...rest] = defaultPrompts;
  const candidates = [candidate("a")];
  const partly = await runsOf({ candidates }, { candidates, prompts: rest });
  assert.equal(change(compareAllRuns(partly, options), "a").metrics[0]?.prompts, rest.length);
  const apart = await runsOf({ candidates, prompts: [first] }, { candidates, prompts: rest });
  assert.throws(() => compareAllRuns(apart, options), /no prompt in common/);
});

Deno.test("a candidate is matched by its id, then by an alias that is unique", async () => {
  const runs = await runsOf(
    { candidates: [candidate("m:q4@old"), candidate("gone"), candidate("n:a"), candidate("n:b")] },
    { candidates: [candidate("m:q4@new"), candidate("fresh"), candidate("n:c")] },
  );
  const [only] = compareAllRuns(runs, options).runs;
  assert.deepEqual(only?.candidates.map((one) => [one.before, one.candidate, one.matched_by]), [
    ["m:q4@old", "m:q4@new", "alias"],
  ]);
  assert.deepEqual(only?.only_before, ["gone", "n:a", "n:b"]);
  assert.deepEqual(only?.only_after, ["fresh", "n:c"]);
});

Deno.test("the only candidates of two runs are compared whatever their names: one is to replace the other", async () => {
  const runs = await runsOf({ candidates: [candidate("old")] }, { candidates: [candidate("new")] });
  const [only] = compareAllRuns(runs, options).runs;
  assert.deepEqual(only?.candidates.map((one) => [one.before, one.candidate, one.matched_by]), [
    ["old", "new", "alone"],
  ]);
});

Deno.test("a candidate that fails now is a regression, with its reason", async () => {
  const runs = await runsOf(
    { candidates: [candidate("a"), candidate("b", 1, { failing: 1 })] },
    { candidates: [candidate("a", 1, { failing: 1 }), candidate("b")] },
  );
  const comparison = compareAllRuns(runs, options);
  assert.equal(change(comparison, "a").status, "now fails");
  assert.equal(change(comparison, "b").status, "now answers");
  assert.deepEqual(comparison.regressions, ["a in run 1: fails now (HTTP 500: out of memory)"]);
});

Deno.test("answers at temperature 0 are compared as text, round by round", async () => {
  const run = (answer: string): GeneratedRun => ({
    candidates: [candidate("a", 1, { answer })],
    plan: { prefix: "warm" },
  });
  const comparison = compareAllRuns(await runsOf(run("Yes."), run("No.")), options);
  const { compared, changed } = change(comparison, "a").answers;
  assert.equal(compared, 4 * defaultPrompts.length);
  assert.equal(changed.length, compared);
  assert.equal(comparison.changed_answers, compared);
  assert.deepEqual([changed[0]?.before, changed[0]?.after], ["Yes.", "No."]);
  const same = compareAllRuns(await runsOf(run("Yes."), run("Yes.")), options);
  assert.equal(same.changed_answers, 0);
  assert.equal(change(same, "a").answers.compared, compared);
});

Deno.test("texts are not compared where the questions differ, and it says why", async () => {
  const why = async (left: GeneratedRun["plan"], right: GeneratedRun["plan"]) => {
    const candidates = [candidate("a")];
    const runs = await runsOf({ candidates, plan: { ...left } }, { candidates, plan: { ...right } });
    return change(compareAllRuns(runs, options), "a").answers.skipped;
  };
  const warm = { prefix: "warm" } as const;
  assert.equal(await why(warm, warm), null);
  assert.match(await why({}, {}) ?? "", /cold prefix/);
  assert.match(await why(warm, { ...warm, temperature: 0.5 }) ?? "", /temperature/);
  assert.match(await why(warm, { ...warm, max_tokens: 64 }) ?? "", /max_tokens/);
  assert.match(await why(warm, {}) ?? "", /prefix differs/);
});

Deno.test("too few prompts carry no interval, and the text says what it takes", async () => {
  const prompts = defaultPrompts.slice(0, 3);
  const runs = await runsOf(
    { candidates: [candidate("a")], prompts },
    { candidates: [candidate("a", 2)], prompts },
  );
  const comparison = compareAllRuns(runs, options);
  assert.equal(verdictOf(comparison, "a"), "can't tell");
  assert.match(comparisonText(comparison, { columns: 80, color: false }), /at least 5 prompts/);
});

Deno.test("disturbed blocks do not enter", async () => {
  const runs = await runsOf({ candidates: [candidate("a")] }, {
    candidates: [candidate("a")],
    disturbEvery: 4,
  });
  const [latency] = change(compareAllRuns(runs, options), "a").metrics;
  assert.equal(latency?.n, 24 + 18);
  assert.ok(Math.abs((latency?.ratio ?? 0) - 1) < 0.05);
});

Deno.test("several runs are put under one another, candidate by candidate", async () => {
  const candidates = [candidate("b"), candidate("a")];
  const runs = await runsOf({ candidates }, { candidates }, {
    candidates: [candidate("b", 2), candidate("a")],
  });
  const text = comparisonText(compareAllRuns(runs, options), { columns: 80, color: false });
  const lines = text.slice(text.indexOf("All runs against")).split("\n").slice(2, 6).map((line) =>
    line.trim()
  );
  assert.deepEqual(lines.map((line) => line.split(/ {2,}/).slice(0, 2)), [
    ["a", "run 1"],
    ["a", "run 2"],
    ["b", "run 1"],
    ["b", "run 2"],
  ]);
  assert.match(lines[3] ?? "", /slower$/);
});

Deno.test("the text fits 60 and 80 columns but for names and answers", async () => {
  const runs = await runsOf({ candidates: [candidate("a")] }, { candidates: [candidate("a", 1.4)] });
  const text = comparisonText(compareAllRuns(runs, options), { columns: 80, color: false });
  for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
  const narrow = comparisonText(compareAllRuns(runs, options), { columns: 60, color: false });
  for (const line of narrow.split("\n")) assert.ok(line.length <= 60, line);
  assert.match(text, /E2E latency +1\.4/);
  assert.match(text, /slower/);
  assert.match(text, /The machine may have changed between the runs/);
});
