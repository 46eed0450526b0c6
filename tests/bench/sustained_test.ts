import assert from "node:assert/strict";
import { RunGatherer } from "../../lib/report/run_data.ts";
import { sustainedFigures, sustainedSentences } from "../../lib/report/sustained.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { fakeMachine, fakeRun, fakeSummary, summarized } from "./fakes.ts";

/** Half a second per answer, with noise; from `hotAtMs` on everything takes 1.3 times as long. */
const throttling = (hotAtMs: number) => {
  const random = seededRandom("noise");
  return {
    ttftMs: 50,
    itlMs: 50,
    tokens: 10,
    slowdown: (atMs: number) => (0.95 + 0.1 * random()) * (atMs > hotAtMs ? 1.3 : 1),
  };
};
const plan = { for_s: 120, rounds: 100_000 };

Deno.test("a run for a time ends with it, and the point at which the machine throttles is found", async () => {
  const gatherer = new RunGatherer();
  const warm = (atMs: number) => atMs > 70_000 ? 95 : 60;
  const run = fakeRun({ a: throttling(70_000) }, plan, (time) => ({
    readMachine: fakeMachine(time, undefined, warm),
  }));
  const { summary } = await summarized(run, (record) => gatherer.add(record));
  const sustained = summary.candidates[0]?.sustained;
  const change = sustained?.change;
  assert.ok(sustained && change, "found");
  assert.ok(sustained.seconds > 115 && sustained.seconds < 122, `${sustained.seconds} s`);
  assert.ok(Math.abs(change.at_s - 68) < 4, `at ${change.at_s} s; the first requests are warm-ups`);
  assert.ok(Math.abs(change.ratio - 1 / 1.3) < 0.02 && change.p < 0.001);
  assert.deepEqual(change.temperature_c?.map(Math.round), [60, 95]);
  const [sentence = ""] = sustainedSentences(summary);
  assert.match(sentence, /`a` decodes more slowly from 6\d\.\d s on: 0\.7\d\d times its speed before/);
  assert.match(sentence, /60 °C before, 95 °C after/);
  const figures = sustainedFigures(summary, gatherer.result("none"));
  assert.deepEqual(figures.map(({ title }) => title), ["Decode speed over time", "Temperature over time"]);
  assert.match(figures[0]?.svg ?? "", /change/);
});

Deno.test("a steady run shows no change, and a run of rounds looks for none", async () => {
  const steady = await fakeSummary({ a: throttling(Infinity) }, plan);
  assert.equal(steady.candidates[0]?.sustained?.change, null);
  assert.match(
    sustainedSentences(steady).join(),
    /kept its decode speed for 119 s|kept its decode speed for 120 s/,
  );
  const rounds = await fakeSummary({ a: throttling(Infinity) }, { rounds: 3 });
  assert.equal(rounds.candidates[0]?.sustained, null);
  assert.deepEqual(sustainedSentences(rounds), []);
});
