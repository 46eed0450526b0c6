import assert from "node:assert/strict";
import { type CapacityLevel, curveOf, searchRate, searchUsers } from "../../lib/bench/search_capacity.ts";
import type { Load, LoadLevel } from "../../lib/bench/load_level.ts";
import { levelIn, type QueueWorld } from "./queue_world.ts";

const even: QueueWorld = { serviceS: () => 1, slots: 1 };
const uneven: QueueWorld = { serviceS: (random) => 0.5 + random(), slots: 1 };
const limits = { ttft_s: null, e2e_s: 4.5, within: 0.95, mostRequests: 1000 };
const users = (count: number): Load => ({ kind: "users", users: count });

Deno.test("users who don't think wait for each other: the capacity is exactly known", async () => {
  // With one slot and a second per answer, n users wait n seconds each.
  const best = await searchUsers(
    async (count) => (await levelIn(even, users(count), limits, { aloneS: 1 })).level,
    64,
  );
  assert.equal(best, 4);
  const { level } = await levelIn(even, users(4), limits, { aloneS: 1 });
  assert.equal(level.n, 96, "the first look, where all meet");
  assert.ok(Math.abs((level.latency_s.mean ?? 0) - 4) < 0.01);
  assert.ok(Math.abs(level.completed_per_s - 1) < 0.02 && level.saturated, "one of four due per second");
  const over = await levelIn(even, users(6), limits, { aloneS: 1 });
  assert.equal(over.level.verdict, "misses");
  assert.equal(over.level.n, 20, "a level that clearly misses is left early");
});

Deno.test("capacity names the same number of users, give or take one, as a sweep by hand at every level", async () => {
  for (
    const [name, world, thinkS] of [
      ["even service", even, 3],
      ["uneven service", uneven, 6],
      ["two slots", { ...uneven, slots: 2 }, 4],
    ] as const
  ) {
    const pairs: [number, number][] = [];
    for (let seed = 0; seed < 6; seed++) {
      const known = new Map<number, LoadLevel>();
      const measure = async (count: number) => {
        const level = known.get(count) ??
          (await levelIn(world, users(count), limits, { thinkS, seed, aloneS: 1 })).level;
        known.set(count, level);
        return level;
      };
      const found = await searchUsers(measure, 64);
      let swept = 0;
      while ((await measure(swept + 1)).verdict === "meets") swept++;
      pairs.push([found, swept]);
    }
    assert.ok(pairs.every(([found, swept]) => Math.abs(found - swept) <= 1), `${name}: ${pairs.join(" ")}`);
  }
});

Deno.test("a level that does not meet is called so, or not shown, in 95 of 100 worlds", async () => {
  // Bursts of waiting, as exponential service times make them: about 92 and 94 % of the answers are in time.
  const bursty = (slots: number): QueueWorld => ({ serviceS: (random) => -Math.log(1 - random()), slots });
  for (const [world, count, thinkS] of [[bursty(1), 5, 6], [bursty(2), 10, 4]] as const) {
    let [wrong, met, n] = [0, 0, 0];
    for (let seed = 0; seed < 100; seed++) {
      const { level } = await levelIn(world, users(count), limits, { thinkS, seed, aloneS: 1 });
      if (level.verdict === "meets") wrong++;
      met += level.met;
      n += level.n;
    }
    assert.ok(met / n < 0.95, "the world is one that does not meet");
    assert.ok(wrong <= 10, `${wrong} of 100, where 5 are promised`);
  }
});

Deno.test("a rate beyond what completes is saturated and never meets, however loose the limits", async () => {
  const loose = { ...limits, e2e_s: 1000 };
  const rate = (perS: number): Load => ({ kind: "rate", perS });
  const over = (await levelIn(even, rate(2), loose, { aloneS: 1 })).level;
  assert.ok(over.saturated && over.verdict === "misses" && over.share === 1);
  assert.ok(over.completed_per_s < 0.7 * over.due_per_s);
  const under = (await levelIn(even, rate(0.5), loose, { aloneS: 1 })).level;
  assert.ok(!under.saturated && under.verdict === "meets");
  const best = await searchRate(
    async (perS) => (await levelIn(even, rate(perS), limits, { aloneS: 1 })).level,
    1,
  );
  // M/D/1: at 0.6 of the capacity 95 % of the answers take less than 4.5 service times, at 0.85 they don't.
  assert.ok(best !== null && best > 0.45 && best < 0.9, `${best}`);
});

Deno.test("failures meet no limit", async () => {
  const { level } = await levelIn({ ...even, fails: (nth) => nth % 4 === 0 }, users(1), limits);
  assert.equal(level.verdict, "misses");
  assert.ok(level.failed > 0 && level.met < level.n && level.goodput_per_s < 0.9);
});

Deno.test("a curve ends its claim below the first level that does not meet, and marks the knee", () => {
  const level = (load: number, verdict: LoadLevel["verdict"], completed: number, latency: number) => ({
    load,
    verdict,
    completed_per_s: completed,
    latency_s: { mean: latency, p95: null },
  } as CapacityLevel);
  const levels = [
    level(1, "meets", 1, 1),
    level(2, "meets", 1.9, 1.1),
    level(4, "not shown", 2.5, 2),
    level(8, "meets", 2.6, 4),
  ];
  const curve = curveOf(new Map(levels.map((one) => [one.load, one])));
  assert.deepEqual([curve.best, curve.next, curve.knee], [2, 4, 2]);
});
