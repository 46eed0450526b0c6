/** Gates over runs whose truth is known: three answers, and each at the rate it states. */
import assert from "node:assert/strict";
import type { ComparableRun, RunCandidate } from "../../lib/bench/compare_runs.ts";
import { type GateReport, gateRuns, type RunScores } from "../../lib/bench/gate.ts";
import { gateJUnit, gateMarkdown, gateText } from "../../lib/report/gate_text.ts";
import { lossP, scoreDifference, tangoInterval } from "../../lib/stats/paired_difference.ts";
import { type Random, seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { fakeCandidate, runInfoOf, VirtualTime } from "./fakes.ts";

const CASES = 60;
const time = new VirtualTime();

/** A run of one candidate; `slower` and `failing` say what became of it. */
function run(
  name: string,
  random: Random,
  { slower = 1, failing = 0, noise = 0.1, busy = null as string | null } = {},
): ComparableRun {
  const live = fakeCandidate("a", time);
  const outcomes = Array.from({ length: CASES }, (_, at) => ({
    prompt: `case-${at}`,
    failed: at < failing * CASES,
  }));
  const values = outcomes.filter(({ failed }) => !failed).map(({ prompt }, at) => {
    const seconds = slower * (1 + at % 7) * Math.exp(noise * standardNormal(random));
    return {
      prompt,
      block: at,
      metrics: {
        latency_s: seconds,
        ttft_s: seconds / 4,
        decode_tokens_per_s: 20 / seconds,
        output_chars_per_s: null,
      },
      outputTokens: 20,
    };
  });
  const candidate: RunCandidate = {
    info: live.info,
    ok: values.length,
    failed: CASES - values.length,
    outcomes,
    reason: failing > 0 ? "HTTP 500" : null,
    estimated: false,
    values,
    answers: [],
  };
  return { name, info: runInfoOf([live]), candidates: [candidate], busy };
}

const terms = { maxSlowdown: 0.1, maxDrop: 0.1, maxFailures: 0.05, random: () => seededRandom(1) };
const scores = (right: number): RunScores =>
  new Map([["a", new Map(Array.from({ length: 30 }, (_, at) => [`case-${at}`, at < right ? 1 : 0]))]]);
const verdictOn = (report: GateReport, part: string) =>
  report.parts.find((one) => one.part === part)?.verdict;

Deno.test("the same again passes in every part, and half as slow again fails", () => {
  const random = seededRandom("gate");
  const same = gateRuns(run("old", random), run("new", random), null, terms);
  assert.equal(same.verdict, "pass", gateText(same));
  const slow = gateRuns(run("old", random), run("new", random, { slower: 1.5 }), null, terms);
  assert.deepEqual([slow.verdict, verdictOn(slow, "latency"), verdictOn(slow, "failures")], [
    "fail",
    "fail",
    "pass",
  ]);
});

Deno.test("on a busy machine times neither pass nor fail", () => {
  const random = seededRandom("busy");
  const report = gateRuns(
    run("old", random),
    run("new", random, { slower: 2, busy: "firefox" }),
    null,
    terms,
  );
  assert.deepEqual([report.verdict, verdictOn(report, "latency"), verdictOn(report, "failures")], [
    "can't tell",
    "can't tell",
    "pass",
  ]);
  assert.match(gateText(report), /the machine was busy during new \(firefox\)/);
});

Deno.test("a rare collapse that was not seen is not ruled out: the t interval alone would pass it in 8 %", () => {
  // Three repeats of 30 cases; 7 % of the cases fail always in the new run, 2 % of all requests by chance.
  const random = seededRandom("rare");
  const share = (chance: number) => [0, 0, 0].filter(() => random() < chance).length / 3;
  let [passed, byT] = [0, 0];
  for (let i = 0; i < 1000; i++) {
    const pairs = Array.from({ length: 30 }, () => [random() < 0.07 ? 1 : share(0.02), share(0.02)] as const);
    const found = scoreDifference(pairs, 0.9);
    if ((found?.cautious[1] ?? 1) <= 0.05) passed++;
    if ((found?.interval[1] ?? 1) <= 0.05) byT++;
  }
  assert.ok(passed <= 50 && byT > 60, `${passed} ${byT}`);
});

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

Deno.test("failures fail, whatever the speed of what is left; quality that falls from 8 of 30 to 0 does not pass", () => {
  const random = seededRandom("gate");
  const half = gateRuns(run("old", random), run("new", random, { failing: 0.5, slower: 0.8 }), null, terms);
  assert.deepEqual([half.verdict, verdictOn(half, "failures"), verdictOn(half, "latency")], [
    "fail",
    "fail",
    "pass",
  ]);
  const fallen = gateRuns(run("old", random), run("new", random, { slower: 0.5 }), {
    before: scores(8),
    after: scores(0),
  }, terms);
  assert.notEqual(fallen.verdict, "pass", gateText(fallen));
  assert.equal(verdictOn(fallen, "latency"), "pass");
  const dead = gateRuns(run("old", random), run("new", random, { failing: 1 }), null, terms);
  assert.equal(dead.verdict, "fail");
});

Deno.test("nothing to compare, or what can't be seen, is can't tell", () => {
  const random = seededRandom("gate");
  const old = run("old", random);
  const nobody = { ...run("new", random), candidates: [] };
  assert.equal(gateRuns(old, nobody, null, terms).verdict, "can't tell");
  assert.equal(gateRuns(nobody, nobody, null, terms).verdict, "can't tell");
  const unscored = gateRuns(old, run("new", random), { before: scores(8), after: new Map() }, terms);
  assert.equal(unscored.verdict, "can't tell");
  assert.match(gateText(unscored), /the new run was not scored/);
  const other = run("new", random);
  const longer = { ...other, info: { ...other.info, plan: { ...other.info.plan, max_tokens: 9 } } };
  assert.match(gateText(gateRuns(old, longer, null, terms)), /the runs differ in/);
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

Deno.test("reports name the verdict in text, Markdown and JUnit", () => {
  const random = seededRandom("gate");
  const report = gateRuns(run("old", random), run("new", random, { slower: 1.5 }), null, terms);
  assert.match(
    gateText(report),
    /^Fail: new against old \(1 of 4 parts pass, 3 fail\)\n {2}fail {7}a: latency 1\.\d\d × /,
  );
  assert.match(gateMarkdown(report), /\| fail \| a \| latency \| /);
  const xml = gateJUnit(report);
  assert.match(xml, /tests="4" failures="3" errors="0"/);
  assert.equal([...xml.matchAll(/<failure /g)].length, 3);
  assert.match(gateJUnit({ ...report, run: `<"&>` }), /&lt;&quot;&amp;&gt;/);
});

// Golden: the constrained maximum likelihood found numerically, T = ± 1.959964 by bisection (Python, 200 steps).
Deno.test("Tango's interval is that of an independent maximisation", () => {
  const golden: [number, number, number, number, number][] = [
    [1, 7, 44, -0.2766600754, -0.0131219175],
    [16, 0, 50, 0.2075821619, 0.4581029742],
    [9, 2, 14, 0.037543844, 0.7757937424],
    [9, 2, 44, 0.0131766741, 0.3116067112],
    [0, 0, 50, -0.0713476, 0.0713476],
  ];
  for (const [gained, lost, n, low, high] of golden) {
    const found = tangoInterval(gained, lost, n);
    assert.ok(Math.abs(found[0] - low) < 1e-6 && Math.abs(found[1] - high) < 1e-6, `${gained} ${lost} ${n}`);
  }
});

Deno.test("the exact test keeps its level at the border, and equal scores show little", () => {
  const random = seededRandom("exact");
  let passed = 0;
  for (let i = 0; i < 2000; i++) {
    let [gained, lost] = [0, 0];
    for (let k = 0; k < 20; k++) {
      const u = random();
      if (u < 0.15) lost++;
      else if (u < 0.2) gained++;
    }
    if (lossP(gained, lost, 20, 0.1, "loss") <= 0.05) passed++;
  }
  // P(Binomial(2000, 0.05) > 131) < 0.001.
  assert.ok(passed <= 131, `${passed} of 2000`);
  const same = scoreDifference(Array.from({ length: 12 }, () => [0.5, 0.5] as const));
  assert.ok(same !== null && same.interval[0] < -0.2 && same.interval[1] > 0.2);
});
