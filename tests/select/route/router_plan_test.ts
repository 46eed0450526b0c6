/** Plans from decisions and audits: whose word the priors are, and who is left out. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../../lib/errors.ts";
import { scoredCases } from "../../../lib/select/route/audit_data.ts";
import {
  type DecisionWord,
  planFromDecision,
  routingPlanSchema,
} from "../../../lib/select/route/router_plan.ts";
import { writeGeneratedRun } from "../../../benchmarks/generated_run.ts";

const decision: DecisionWord = {
  verdict: "winner",
  choice: "small:q4_1+threads=1",
  reason: "it is the best",
  scope: { claim: "cases like these", cases: 60, scored_cases: 40 },
  excluded: [{ id: "large", constraint: "license", reason: "not for sale", admit: "another licence" }],
  candidates: [
    { id: "small:q4_1+threads=1", quality: 0.6 },
    { id: "middle@foundry", quality: 0.7 },
    { id: "large", quality: 0.9 },
    { id: "unscored", quality: null },
  ],
};
const arms = ["small", "middle", "large", "unscored"];

Deno.test("a decision's choice is the constant, no prior claims more than its evidence, and what it excluded is left out", () => {
  const plan = routingPlanSchema.parse(planFromDecision(decision, arms));
  assert.deepEqual([plan.mode, plan.constant], ["constant", "small"]);
  assert.deepEqual(plan.excluded, [{ id: "large", reason: "not for sale" }]);
  const { small, middle, unscored } = plan.priors.any ?? {};
  assert.ok(Math.abs((small?.successes ?? 0) - 6) < 1e-9, "its own share, however it was chosen");
  assert.ok(Math.abs((middle?.successes ?? 0) - 7) < 1e-9 && Math.abs((middle?.failures ?? 0) - 3) < 1e-9);
  assert.deepEqual(unscored, { successes: 0, failures: 0 });
  const strong = planFromDecision(decision, arms, { mode: "by-intent", strength: 100, discount: 0.99 });
  assert.equal(strong.mode, "by-intent");
  assert.ok(Math.abs((strong.priors.any?.middle?.successes ?? 0) - 28) < 1e-9, "40 scored cases");
});

Deno.test("a decision for nobody, or for somebody who is not served, makes no constant, and says so", () => {
  const none = planFromDecision({ ...decision, verdict: "none", choice: null }, arms);
  assert.equal(none.mode, "adaptive");
  assert.match(none.why, /recommends nothing/);
  const away = planFromDecision(decision, ["middle", "unscored"]);
  assert.equal(away.constant, null);
  assert.match(away.why, /small:q4_1\+threads=1 is not served here/);
});

Deno.test("where a decision excluded everybody who is served, nobody is left out, and the plan says so", () => {
  const plan = planFromDecision({ ...decision, verdict: "none", choice: null }, ["large"]);
  assert.deepEqual(plan.excluded, []);
  assert.match(plan.why, /every model served was excluded there/);
});

/** A run of two models with ratings by these sources, in the order given. */
async function ratedRun(folder: string, sources: readonly ("person" | "judge")[]): Promise<void> {
  const ids = ["a:q4_1+threads=1", "b"];
  const candidates = ids.map((id) => ({ id, ttftMs: 5, itlMs: 1, tokens: 4 }));
  const { plan } = await writeGeneratedRun(folder, { candidates, rounds: 1 });
  const lines = sources.flatMap((source) =>
    ids.flatMap((candidate) =>
      plan.prompt_set.prompts.map(({ id }) => ({
        source,
        rater: source,
        rubric: "accuracy",
        answer: `timed/1/${id}/${candidate}`,
        candidate,
        prompt_id: id,
        scores: { accuracy: candidate === "b" ? 5 : source === "person" ? 2 : 4 },
        comment: null,
      }))
    )
  );
  await Deno.writeTextFile(
    join(folder, "ratings.jsonl"),
    lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
}

Deno.test("people's ratings count before a judge's, drawn to 0 to 1; threads don't make another model", async () => {
  const folder = await Deno.makeTempDir({ prefix: "podium-audit-" });
  try {
    await ratedRun(folder, ["judge", "person"]);
    const { source, arms, outcomes } = await scoredCases([folder, folder], []);
    assert.equal(source, "people");
    assert.deepEqual(arms, ["a:q4_1", "b"]);
    assert.deepEqual(outcomes[0]?.worth, { "a:q4_1": 0.25, b: 1 });
    assert.ok((outcomes[0]?.text ?? "").length > 0);
    await assert.rejects(
      scoredCases([folder], ["b"]),
      (error) => error instanceof UserError && error.exitCode === 1 && /a:q4_1 alone/.test(error.message),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("runs that were scored in different ways don't compare", async () => {
  const root = await Deno.makeTempDir({ prefix: "podium-audit-" });
  try {
    const [one, two] = [join(root, "one"), join(root, "two")];
    await Deno.mkdir(one);
    await Deno.mkdir(two);
    await ratedRun(one, ["person"]);
    await ratedRun(two, ["judge"]);
    await assert.rejects(
      scoredCases([one, two], []),
      (error) => error instanceof UserError && /scored by people and by judge/.test(error.message),
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
