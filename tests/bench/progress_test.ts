/** How far a run is: each candidate by its own pace, loading apart, a growing total explained. */
import assert from "node:assert/strict";
import { RunProgress } from "../../lib/bench/progress.ts";
import { runBench } from "../../lib/bench/run.ts";
import { type FakeBehaviour, fakeCandidate, fakeRun, plan, runInfoOf, VirtualTime } from "./fakes.ts";

/** Runs candidates with known timings; each look at the progress, with the time that was really left. */
async function follow(
  behaviours: Record<string, FakeBehaviour>,
  changes: Partial<ReturnType<typeof plan>> = {},
) {
  const { time, options } = fakeRun(behaviours, { warmup: 1, ...changes });
  const progress = new RunProgress({ kind: "begin", info: options.info, done: new Set() }, time.clock);
  const seen: (RunProgress["howFar"] & { atMs: number; said: number | null })[] = [];
  await runBench({
    ...options,
    onEvent: (event) => {
      progress.add(event);
      const { left } = progress.howFar;
      const said = left === null ? null : Number(left.match(/(\d+) s/)?.[1]);
      seen.push({ ...progress.howFar, atMs: time.clock(), said });
    },
  });
  return { seen, endMs: time.clock() };
}

Deno.test("one slow candidate of eight: the time left is right from the first block on, and counts no loading", async () => {
  const fast = { ttftMs: 100, itlMs: 50, tokens: 10, loadMs: 60_000 };
  const all = Object.fromEntries(Array.from("abcdefgh", (id) => [id, fast]));
  const { seen, endMs } = await follow({ ...all, e: { ...fast, ttftMs: 1000, itlMs: 500 } }, { rounds: 4 });
  const told = seen.filter(({ left }) => left?.startsWith("about"));
  assert.ok(told.length > 50);
  for (const { said, atMs, done } of told) {
    const trueS = (endMs - atMs) / 1000;
    assert.ok(
      Math.abs((said ?? NaN) - trueS) <= 2 + 0.05 * trueS,
      `after ${done}: said ${said} s, took ${trueS} s`,
    );
  }
  const loading = seen.filter(({ now }) => now.startsWith("loading"));
  assert.equal(loading.length, 8);
  assert.ok(loading.every(({ left, done }) => left === null && done === 0));
});

Deno.test("by model, those that have not answered yet are no part of the time: it says `more than`", async () => {
  const { seen } = await follow({ a: {}, b: { ttftMs: 5000 } }, { order: "by model" });
  const first = seen.find(({ done }) => done === 3);
  assert.match(first?.left ?? "", /^more than \d+ s left$/);
  assert.match(seen.at(-1)?.left ?? "", /^about 0 s left$/);
});

Deno.test("a candidate that leaves takes its requests with it", async () => {
  const { seen } = await follow({ a: {}, b: { fails: () => "no" } }, { rounds: 10 });
  const [first, last] = [seen[0], seen.at(-1)];
  assert.equal(first?.total, 60);
  assert.ok((last?.total ?? 60) < 40 && last?.done === last?.total, `${last?.done} of ${last?.total}`);
  assert.ok(seen.some(({ now }) => now.startsWith("b is out: ")));
});

Deno.test("a total that grows says why, and what a resumed run has done counts", () => {
  const time = new VirtualTime();
  const candidates = [fakeCandidate("x/a:q4", time), fakeCandidate("a:q4", time)];
  const info = runInfoOf(candidates);
  const done = new Set(["timed/1/p1/x/a:q4", "timed/1/p1/a:q4", "timed/1/p2/a:q4/2", "warmup/1/p1/a:q4"]);
  const progress = new RunProgress({ kind: "begin", info, done }, time.clock);
  assert.equal(progress.howFar.total, 12);
  assert.equal(progress.howFar.more, null);
  progress.add({ kind: "disturbed", reason: "chrome and other programs used 0.50 cores", repeated: 2 });
  progress.add({ kind: "disturbed", reason: "chrome and other programs used 0.60 cores", repeated: 2 });
  const { total, more } = progress.howFar;
  assert.equal(total, 16);
  assert.equal(more, "+4 requests repeat disturbed blocks: chrome and other programs used 0.60 cores");
});
