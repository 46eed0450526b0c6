import assert from "node:assert/strict";
import { seededRandom } from "../../lib/stats/random.ts";
import { casesForDifference, smallestDifference } from "../../lib/stats/share_planning.ts";

/** Two-sided sign test of the cases that only one model answered rightly, by the normal approximation. */
function mcnemar(onlyA: number, onlyB: number): boolean {
  return onlyA + onlyB > 0 && Math.abs(onlyA - onlyB) / Math.sqrt(onlyA + onlyB) > 1.959964;
}

Deno.test("the planned cases show the difference in about 80 % of simulated runs, whatever the disagreement", () => {
  const random = seededRandom("shares");
  for (const [difference, disagreeing] of [[0.1, 0.3], [0.05, 0.2], [0.2, 0.4], [0.3, 0.3]] as const) {
    const cases = casesForDifference(difference, disagreeing);
    const onlyA = (disagreeing + difference) / 2;
    let shown = 0;
    for (let run = 0; run < 2000; run++) {
      let [a, b] = [0, 0];
      for (let at = 0; at < cases; at++) {
        const drawn = random();
        if (drawn < onlyA) a++;
        else if (drawn < disagreeing) b++;
      }
      if (mcnemar(a, b)) shown++;
    }
    assert.ok(shown / 2000 > 0.76, `${difference} of ${disagreeing}: ${shown / 2000} in ${cases} cases`);
    assert.ok(difference === 0.3 || shown / 2000 < 0.84, `${difference}: ${shown / 2000} in ${cases} cases`);
  }
});

Deno.test("more cases show smaller differences, and too few show none", () => {
  const shown = [30, 50, 200, 1000].map((cases) => smallestDifference(cases, 0.3));
  assert.deepEqual(shown.map((one) => one?.toFixed(2)), ["0.27", "0.21", "0.11", "0.05"]);
  assert.equal(smallestDifference(20, 0.3), null);
  assert.throws(() => casesForDifference(0, 0.3), RangeError);
});
