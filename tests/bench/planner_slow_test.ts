/** `bench --plan` as people run it: from a committed run, and refusals. */
import assert from "node:assert/strict";
import { bench } from "./command.ts";

Deno.test("bench --plan RUN says what it takes to show a difference, and measures nothing", async () => {
  const { code, stdout, stderr } = await bench(["--plan", "2026-11-21T07-30-18-gzss", "--json"]);
  assert.equal(code, 0, stderr);
  const { candidates, metrics } = JSON.parse(stdout);
  assert.equal(candidates, 2);
  const [latency, tpot] = metrics;
  assert.deepEqual([latency.metric, tpot.metric], ["latency_s", "tpot_s"]);
  const cases = (plan: typeof latency) => Number(/±10 % takes about (\d+) cases/.exec(plan.advice)?.[1]);
  assert.ok(
    cases(latency) > 500 && cases(tpot) < 20,
    "answers of different length hide a difference in speed",
  );
  assert.match(latency.advice, /more rounds would not help/);
});

Deno.test("bench --plan refuses a run that is not there, and load", async () => {
  const missing = await bench(["--plan", "yesterday"]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /--plan yesterday: there is no such run/);
  const loaded = await bench(["--plan", "--concurrency", "4"]);
  assert.equal(loaded.code, 2);
  assert.match(loaded.stderr, /leave out --concurrency and --rate/);
});
