import assert from "node:assert/strict";
import fc from "fast-check";
import { UserError } from "../../../lib/errors.ts";
import { parseWeights, utilityOf, utilityParts } from "../../../lib/select/race/criterion.ts";
import { paretoFront } from "../../../lib/select/decide/decided_candidate.ts";
import { isAhead } from "../../../lib/select/decide/lead.ts";
import { decisionParts, type Features, utilityFrom } from "../../../lib/select/decide/ranking.ts";
import { sensitivity } from "../../../lib/select/decide/what_would_change.ts";

// Hundredths: differences of 1e-14 cross at weights that no double tells apart.
const hundredths = (min: number, max: number) => fc.integer({ min, max }).map((n) => n / 100);
const figure = hundredths(-500, 500);
const features = fc.record({ quality: figure, latency: figure, memory: figure });
const weight = hundredths(1, 200);
const weights = fc.record({ quality: weight, latency: weight, memory: weight });

const best = (all: ReadonlyMap<string, Features>, by: Parameters<typeof utilityFrom>[1]) =>
  [...all].reduce((top, one) => utilityFrom(one[1], by) > utilityFrom(top[1], by) ? one : top)[0];

Deno.test("the choice holds inside the stated range of a weight, and not beyond", () => {
  fc.assert(fc.property(fc.array(features, { minLength: 2, maxLength: 5 }), weights, (list, by) => {
    const all = new Map(list.map((one, i) => [`c${i}`, one]));
    const choice = best(all, by);
    for (
      const { part, weight, from, to, below, above } of sensitivity(choice, {
        features: all,
        basis: { weights: by },
      })
    ) {
      assert.ok(from <= weight + 1e-6 && (to === null || weight <= to + 1e-6));
      const at = (value: number) => {
        const moved = { ...by, [part]: value };
        return utilityFrom(all.get(choice) ?? {}, moved) -
          utilityFrom(all.get(best(all, moved)) ?? {}, moved);
      };
      const inside = to === null ? weight + 1 : (weight + to) / 2;
      assert.ok(at(inside) >= -1e-6, "inside the range it stays the best");
      if (above !== null && to !== null && to < 1e6) assert.ok(at(to * 1.01 + 0.01) <= 1e-6);
      if (below !== null && from > 0.01) assert.ok(at(from * 0.99 - 0.0001) <= 1e-6);
    }
  }));
});

Deno.test("nobody on the front is beaten, and everybody off it is", () => {
  const value = fc.option(fc.integer({ min: 1, max: 4 }), { nil: null });
  const point = fc.record({ quality: fc.integer({ min: 1, max: 4 }), latencyS: value, memoryMb: value });
  fc.assert(fc.property(fc.array(point, { minLength: 1, maxLength: 6 }), (list) => {
    const full = list.filter((one) => one.latencyS !== null && one.memoryMb !== null)
      .map((one, i) => ({ ...one, id: `c${i}` }));
    const front = paretoFront(full);
    assert.ok(full.length === 0 || front.length > 0);
    for (const one of full) {
      const beaten = full.some((other) =>
        other.quality >= one.quality && (other.latencyS ?? 0) <= (one.latencyS ?? 0) &&
        (other.memoryMb ?? 0) <= (one.memoryMb ?? 0) &&
        (other.quality > one.quality || (other.latencyS ?? 0) < (one.latencyS ?? 0) ||
          (other.memoryMb ?? 0) < (one.memoryMb ?? 0))
      );
      assert.equal(front.includes(one.id), !beaten);
    }
  }));
});

Deno.test("a weight means what it says: so much for half the time, whatever the unit", () => {
  const at = (latency: number) =>
    utilityOf({ checks: 0.5, latency, ttft: null, throughput: null }, { checks: 1, latency: 0.3 }) ?? NaN;
  assert.ok(Math.abs(at(1) - at(2) - 0.3) < 1e-12 && Math.abs(at(1000) - at(2000) - 0.3) < 1e-12);
  const unknown = { checks: null, latency: 1, ttft: null, throughput: null };
  assert.equal(utilityOf(unknown, { checks: 1 }), null);
});

Deno.test("weights that say nothing are refused in one message that says what they take", () => {
  for (
    const text of ["", "latency=0", "latency", "latency=-1", "latency=x", "speed=1", "latency=1,latency=2"]
  ) {
    assert.throws(() => parseWeights(text, utilityParts), UserError, text);
  }
  assert.deepEqual(parseWeights("checks=1,memory=.1", decisionParts), { quality: 1, memory: 0.1 });
  assert.deepEqual(parseWeights("quality=2", utilityParts), { checks: 2 });
  assert.deepEqual(parseWeights(" checks = 1 , latency=.5", utilityParts), { checks: 1, latency: 0.5 });
  assert.throws(() => parseWeights("latency=0", utilityParts), /sum to 0.*checks, latency/);
});

Deno.test("identical candidates lead on right and wrong answers as rarely as stated, exactly, from five cases on", () => {
  const choose = (n: number, k: number): number => k === 0 ? 1 : choose(n - 1, k - 1) * n / k;
  for (const n of [5, 6, 7, 8, 10, 12]) {
    for (const error of [0.05, 0.025, 0.0125]) {
      for (const changing of [0.1, 0.3, 0.5, 0.7, 0.9, 1]) {
        let wrong = 0;
        for (let won = 0; won <= n; won++) {
          for (let lost = 0; won + lost <= n; lost++) {
            const byCase = Array.from({ length: n }, (_, at) => at < won ? 1 : at < won + lost ? -1 : 0);
            const mean = (won - lost) / n;
            const squares = won + lost - n * mean * mean;
            const lead = { mean, error: Math.sqrt(squares / (n - 1) / n), df: n - 1, byCase };
            if (!isAhead(lead, error)) continue;
            wrong += choose(n, won) * choose(n - won, lost) * (changing / 2) ** (won + lost) *
              (1 - changing) ** (n - won - lost);
          }
        }
        assert.ok(wrong <= error + 1e-12, `${n} cases, ${changing} of them differ: ${wrong} at ${error}`);
      }
    }
  }
});
