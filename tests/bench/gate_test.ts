/** Gates over runs whose truth is known: three answers. Their rates: gate_rates_slow_test.ts. */
import assert from "node:assert/strict";
import { gateRuns, type RunScores } from "../../lib/bench/gate.ts";
import { gateJUnit, gateMarkdown, gateText } from "../../lib/report/gate_text.ts";
import { lossP, scoreDifference, tangoInterval } from "../../lib/stats/paired_difference.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { GATE_TERMS as terms, simulatedRun as run, verdictOn } from "./comparable_run.ts";

/** Of 30 cases the first are right, the last were cut. */
const scores = (right: number, cut = 0): RunScores =>
  new Map([[
    "a",
    new Map(Array.from({ length: 30 }, (_, at) => {
      const score = at < right ? 1 : 0;
      const bounds = at < 30 - cut ? { least: score, most: score } : { least: 0, most: 1 };
      return [`case-${at}`, { score, ...bounds }] as const;
    })),
  ]]);

Deno.test("answers that were cut are not known: quality can't tell, neither pass nor fail", () => {
  const random = seededRandom("cut");
  const [old, now] = [run("old", random), run("new", random)];
  const quality = (before: RunScores, after: RunScores) => {
    const report = gateRuns(old, now, { before, after }, { ...terms, maxDrop: 0.3 });
    return [verdictOn(report, "quality"), report.parts.find(({ part }) => part === "quality")?.why];
  };
  assert.deepEqual(quality(scores(20), scores(20)), ["pass", "0 cases fell, 0 rose"]);
  const [open, why] = quality(scores(20), scores(10, 20));
  assert.equal(open, "can't tell");
  assert.match(why ?? "", /of 20 cases answers were cut or could not be judged/);
  assert.equal(quality(scores(30), scores(0))[0], "fail");
  assert.equal(quality(scores(30), scores(0, 30))[0], "can't tell");
  assert.equal(quality(scores(30), scores(0, 2))[0], "fail", "whatever the two are");
});

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
