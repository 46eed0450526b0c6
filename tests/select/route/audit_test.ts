/** The audit: finds a rule that helps, seldom one that does not, and never on a handful of prompts. */
import assert from "node:assert/strict";
import { audit, LEAST_PROMPTS, type ScoredCase } from "../../../lib/select/route/audit.ts";
import { planFromAudit } from "../../../lib/select/route/audit_plan.ts";
import { DEFAULT_INTENTS } from "../../../lib/select/route/intent.ts";
import { routingPlanSchema } from "../../../lib/select/route/router_plan.ts";
import { type Random, seededRandom } from "../../../lib/stats/random.ts";

const arms = ["coder", "writer"];
const tasks = [
  { text: (n: number) => `Refactor function number ${n}`, best: "coder" },
  { text: (n: number) => `Summarize the minutes of meeting ${n}`, best: "writer" },
  { text: (n: number) => `What is the capital of country ${n}?`, best: "writer" },
];

/** Prompts of three kinds; the model that is made for a kind is better there by `gap`. */
function outcomes(prompts: number, gap: number, random: Random): ScoredCase[] {
  return Array.from({ length: prompts }, (_, n) => {
    const task = tasks[n % tasks.length];
    const worth = (arm: string) =>
      Math.min(1, Math.max(0, 0.5 + (task?.best === arm ? gap : 0) + 0.3 * (random() - 0.5)));
    return {
      id: `p${n}`,
      text: task?.text(n) ?? "",
      worth: { coder: worth("coder"), writer: worth("writer") },
    };
  });
}

const options = (seed: number) => ({
  intents: DEFAULT_INTENTS,
  repeats: 2,
  folds: 5,
  random: seededRandom(seed),
});

Deno.test("models that are good at different things: a rule per request is switched on, and the plan holds it", () => {
  const recorded = outcomes(60, 0.3, seededRandom(1));
  const found = audit(recorded, arms, options(1));
  assert.ok(found.chosen !== null, found.why);
  const intent = found.rules.find(({ rule }) => rule === "intent");
  assert.ok(intent?.on && intent.gain > 0.05 && (intent.gain_ci?.[0] ?? 0) > 0);
  assert.equal(found.best_single.arm, "writer");
  assert.equal(found.intents.find((one) => one.intent === "code")?.arm, "coder");
  assert.ok(found.oracle.mean >= intent.mean);
  const plan = routingPlanSchema.parse(planFromAudit({ ...found, chosen: "intent" }, recorded, {
    intents: DEFAULT_INTENTS,
    decision: null,
    strength: 10,
    discount: null,
    k: 5,
  }));
  assert.equal(plan.mode, "by-intent");
  const code = plan.priors.code;
  assert.ok((code?.coder?.successes ?? 0) > (code?.writer?.successes ?? 0));
  assert.ok(Math.abs((code?.coder?.successes ?? 0) + (code?.coder?.failures ?? 0) - 10) < 1e-9);
});

Deno.test("models that are alike, scores of 0 and 1: a rule is switched on in at most alpha of the audits", () => {
  let on = 0;
  const audits = 200;
  for (let seed = 0; seed < audits; seed++) {
    const random = seededRandom(`alike/${seed}`);
    const recorded = outcomes(30, 0, random).map((one) => ({
      ...one,
      worth: { coder: random() < 0.5 ? 1 : 0, writer: random() < 0.5 ? 1 : 0 },
    }));
    const found = audit(recorded, arms, { ...options(seed), repeats: 1, permutations: 99 });
    if (found.chosen !== null) on++;
  }
  // P(Binomial(200, 0.05) > 21) < 0.001.
  assert.ok(on <= 21, `${on} of ${audits}`);
});

Deno.test("wordings of one prompt stay in one part: copies of a lucky answer teach nothing", () => {
  const random = seededRandom("copies");
  const recorded = Array.from({ length: 40 }, (_, n) => {
    // Ten prompts in four wordings; by chance one model is right on all wordings of a prompt, and the other on none.
    const topic =
      ["rivers", "engines", "bread", "chess", "tax", "clouds", "paint", "trains", "music", "soil"][n % 10] ??
        "";
    const coder = (n % 10) % 2;
    return {
      id: `p${n}`,
      text: `Please tell me something interesting about ${topic} and its long history, number ${
        Math.floor(n / 10)
      }`,
      worth: { coder, writer: 1 - coder },
    };
  });
  const found = audit(recorded, arms, { ...options(1), random });
  const neighbours = found.rules.find(({ rule }) => rule === "neighbours");
  assert.ok(neighbours !== undefined && !neighbours.on && neighbours.gain < 0.3, found.why);
});

Deno.test("one model best for everything: constant, and says so", () => {
  const recorded = outcomes(60, 0, seededRandom(3)).map((one) => ({
    ...one,
    worth: { coder: 0.3, writer: 0.8 },
  }));
  const found = audit(recorded, arms, options(3));
  assert.equal(found.chosen, null);
  const told = { intents: DEFAULT_INTENTS, decision: null, strength: 10, discount: null, k: 5 };
  const plan = planFromAudit(found, recorded, told);
  assert.deepEqual([plan.mode, plan.constant], ["constant", "writer"]);
  assert.match(plan.why, /no rule per request beats the best single model/);
});

Deno.test("few prompts switch nothing on, however clear they look", () => {
  const found = audit(outcomes(LEAST_PROMPTS - 1, 0.45, seededRandom(4)), arms, options(4));
  assert.equal(found.chosen, null);
  assert.match(found.why, /19 prompts are too few \(it takes 20\)/);
});

Deno.test("the same seed gives the same audit; too little to audit is refused", () => {
  const recorded = outcomes(24, 0.2, seededRandom(5));
  assert.deepEqual(audit(recorded, arms, options(5)), audit(recorded, arms, options(5)));
  assert.throws(() => audit(recorded, ["coder"], options(1)), RangeError);
  assert.throws(() => audit(recorded.slice(0, 1), arms, options(1)), RangeError);
  assert.throws(() => audit(recorded, ["coder", "nobody"], options(1)), RangeError);
});
