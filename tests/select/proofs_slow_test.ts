/** The promises of docs/statistics.md, smaller: every verdict errs at no more than its stated rate, on the code that ships. */
import assert from "node:assert/strict";
import { isBroken, proofRows } from "../../benchmarks/proof_rows.ts";
import { rateInterval } from "../../lib/stats/beta.ts";

/** The error that all rows share: one false alarm in a thousand runs of this test, were its seed not fixed. */
const FAMILY_ERROR = 0.001;

Deno.test("no null world errs above its stated rate: races, runs, decisions, gates and the audit", async () => {
  const rows = [];
  for await (const row of proofRows({ runs: 300, candidates: [2] }, "ci")) rows.push(row);
  const broken = rows.filter((row) => isBroken(row, FAMILY_ERROR / rows.length));
  assert.deepEqual(broken, []);
  assert.ok(rows.length >= 30, "a row is missing");
  // A race that never decided would keep every promise: the exact rate of the plain world is near 3 %.
  const plain = rows.find(({ claim, world }) =>
    claim.startsWith("race: a winner") && world.startsWith("plain")
  );
  assert.ok(plain !== undefined && plain.wrong > 0);
});

Deno.test("a rate that is broken is found, and one that may be chance is not", () => {
  const row = { claim: "", world: "", stated: 0.05, runs: 400 };
  assert.ok(isBroken({ ...row, wrong: 47 }, 0.001) && !isBroken({ ...row, wrong: 34 }, 0.001));
  const [low, high] = rateInterval(20, 400);
  // By bisection over sums of binomial probabilities (Python).
  assert.ok(Math.abs(low - 0.03080) < 1e-4 && Math.abs(high - 0.07620) < 1e-4, `${low} ${high}`);
});
