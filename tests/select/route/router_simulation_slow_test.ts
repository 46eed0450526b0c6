/** What the router loses in worlds whose truth is known, with fixed seeds: the figures' claim in docs/routing.md. */
import assert from "node:assert/strict";
import {
  learningAllowance,
  meanRegret,
  policies,
  type PolicyName,
  simulateRouting,
  WITHOUT_HINDSIGHT,
  worlds,
} from "../../../benchmarks/router_simulation.ts";
import { seededRandom } from "../../../lib/stats/random.ts";

const worldNames = [
  "specialists",
  "the best model degrades",
  "drift and failures",
  "one model is best for everything",
  "too few requests",
  "hardly a difference",
] as const satisfies readonly (keyof typeof worlds)[];
type WorldName = typeof worldNames[number];

const lost = (world: WorldName, policy: PolicyName, simulations = 20) =>
  meanRegret(worlds[world], policies[policy], simulations, (n) => seededRandom(`${world}/${policy}/${n}/1`))
    .at(-1) ?? NaN;

Deno.test("at most 1.3 times the regret of the best rule without hindsight, plus the allowance, in every world", () => {
  assert.deepEqual(Object.keys(worlds), [...worldNames]);
  for (const name of worldNames) {
    const best = Math.min(...WITHOUT_HINDSIGHT.map((policy) => lost(name, policy)));
    const allowed = 1.3 * best + learningAllowance(worlds[name]);
    for (const policy of ["by intent", "by intent, discounted"] as const) {
      const own = lost(name, policy);
      assert.ok(own <= allowed, `${name}, ${policy}: ${own} is more than ${allowed}`);
    }
  }
});

Deno.test("where models are good at different things, it loses less than every rule without hindsight, and than the best constant", () => {
  for (const name of ["specialists", "drift and failures"] as const) {
    const own = lost(name, "by intent, discounted");
    for (const rival of [...WITHOUT_HINDSIGHT, "best constant in hindsight"] as const) {
      assert.ok(own < lost(name, rival), `${name}: ${rival} loses less`);
    }
  }
});

Deno.test("honest cases: a constant wins where one model is best for everything, a greedy rule with few requests", () => {
  assert.ok(
    lost("one model is best for everything", "constant") <
      lost("one model is best for everything", "by intent"),
  );
  assert.ok(lost("hardly a difference", "constant") < lost("hardly a difference", "by intent"));
  assert.ok(lost("too few requests", "greedy", 100) < lost("too few requests", "by intent", 100));
});

Deno.test("a model that degrades is left sooner with a discount", () => {
  const own = lost("the best model degrades", "by intent, discounted");
  assert.ok(own < lost("the best model degrades", "by intent"));
  assert.ok(own < lost("the best model degrades", "constant") / 3);
});

Deno.test("the same seed gives the same curve; regret never falls; the oracle loses nothing", () => {
  const run = (policy: PolicyName) =>
    simulateRouting(worlds["drift and failures"], policies[policy], seededRandom(7));
  assert.deepEqual(run("by intent"), run("by intent"));
  const curve = run("by intent");
  assert.ok(curve.every((value, at) => at === 0 || value >= (curve[at - 1] ?? 0)));
  assert.equal(run("oracle").at(-1), 0);
});
