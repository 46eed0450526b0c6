// %% [markdown]
// # 06 · Adaptive selection while serving
//
// *About 20 minutes.* A choice made on Monday may be wrong on Friday. Here a router chooses a model for each request and
// learns from what comes of it. You will see what it believes, how it leaves a model that degrades, what learning costs,
// and when it is better not to learn at all.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { isShort, say, show, stopSignal, table } from "./support.ts";
import { candidatesFor, measured } from "./models.ts";
import { svgFile } from "../lib/plot/figure.ts";
import { beliefPlot, regretPlot } from "../lib/plot/regret.ts";
import { loadPromptSet } from "../lib/prompts/prompts.ts";
import { defaultPassMark } from "../lib/quality/check.ts";
import { writeQuality } from "../lib/quality/quality.ts";
import { audit } from "../lib/select/route/audit.ts";
import { scoredCases } from "../lib/select/route/audit_data.ts";
import { makeBreaker } from "../lib/select/route/breaker.ts";
import { DEFAULT_INTENTS, intentFinder } from "../lib/select/route/intent.ts";
import { makeRouter, planFromDecision } from "../lib/select/route/router.ts";
import { replayRouting, worldFrom } from "../benchmarks/router_replay.ts";
import {
  meanRegret,
  policies,
  type PolicyName,
  routerPolicy,
  worlds,
} from "../benchmarks/router_simulation.ts";
import { seededRandom } from "../lib/stats/random.ts";

stopSignal();
const whole = await loadPromptSet("../prompts/four_kinds.json");
const prompts = { ...whole, prompts: whole.prompts.slice(0, isShort() ? 12 : 24) };
await say(
  `**${prompts.prompts.length}** short prompts of four kinds: questions, classification, summaries, code. Each has a ` +
    "check that a program can verify.",
);

// %% [markdown]
// ## What the models really answer
//
// Every model answers every prompt once. An answer that passes its checks is a *success*: one bit is all that a server
// can see at once and cheaply, beside "it answered" and "in time".
//
// **Question.** Which model is better at which kind? Is one of them better at everything?

// %%
const plan = {
  prompts,
  rounds: 1,
  warmup: 0,
  maxTokens: isShort() ? 24 : 48,
  temperature: 0,
  prefix: "as is",
  seed: 6,
  timeoutS: 300,
} as const;
const found = await candidatesFor(null, plan);
const answers = await measured(found, plan);
found.close();

// %%
await writeQuality(answers.folder, whole);
const { outcomes, arms: names } = await scoredCases([answers.folder], []);
const find = intentFinder(DEFAULT_INTENTS);
const passed = (arm: string, intent: string) => {
  const same = outcomes.filter(({ text }) => find(text, null).name === intent);
  return `${same.filter(({ worth }) => (worth[arm] ?? 0) >= defaultPassMark).length} of ${same.length}`;
};
const kinds = [...new Set(outcomes.map(({ text }) => find(text, null).name))];
await table(
  names.map((arm) => ({ model: arm, ...Object.fromEntries(kinds.map((kind) => [kind, passed(arm, kind)])) })),
  `Prompts passed by intent, as the patterns find it. Recorded answers, n = ${outcomes.length} prompts a model.`,
);

// %% [markdown]
// ## Does a rule per request help at all?
//
// The audit learns a rule on some of the prompts and tries it on others: a map by intent, and the recorded prompts that
// are most alike. It is switched on only where it beats the best single model by more than chance. The *oracle* knows
// every answer beforehand; nobody can be it.
//
// **Question.** Will the audit switch a rule on? How many prompts would you want before you believe it?

// %%
const audited = audit(outcomes, names, { intents: DEFAULT_INTENTS, random: seededRandom("audit") });
const three = (value: number) => value.toFixed(3);
const ends = (interval: readonly [number, number] | null) => interval?.map(three).join(" to ") ?? null;
await table([
  {
    rule: `best single model (${audited.best_single.arm})`,
    worth: three(audited.best_single.mean),
    gain: null,
    "gain, interval": null,
    verdict: audited.chosen === null ? "this is auto" : null,
  },
  ...audited.rules.map(({ rule, mean, gain, gain_ci, on }) => ({
    rule: rule === "intent" ? "map by intent" : "nearest neighbours",
    worth: three(mean),
    gain: three(gain),
    "gain, interval": ends(gain_ci),
    verdict: on ? "on" : "off",
  })),
  { rule: "oracle", worth: three(audited.oracle.mean), gain: null, "gain, interval": null, verdict: null },
], `Mean worth of the answers on held-out prompts, n = ${audited.prompts}. auto: ${audited.why}.`);

// %% [markdown]
// ## Posteriors moving
//
// Without an audit that helps, and without a decision, a router can still learn while it serves. It believes something of
// each model's success rate: a Beta distribution. For each request it *draws* one rate from each and takes the model with
// the highest: doubt is tried out, certainty is used (Thompson sampling).
//
// Below, the recorded answers are served again: prompts come at random, the router chooses, the recorded answer says
// whether it was a success. No model is asked again.
//
// **Question.** Which of the two bands will be narrower in the end, and why?

// %% figures=1
const arms = names.map((id) => ({ id, capabilities: [] }));
const adaptive = planFromDecision(null, names, { mode: "adaptive" });
const requests = 300;
const calm = replayRouting(makeRouter(adaptive, arms, null, seededRandom("router")), outcomes, {
  requests,
  passMark: defaultPassMark,
  random: seededRandom("requests"),
});
await show(beliefPlot(calm.beliefs, {
  title: "What the router believes of each model",
  changes: [],
  caption:
    `Line: mean of the posterior of the success rate; band: its 95 % interval. n = ${requests} requests, drawn from ` +
    `${outcomes.length} recorded prompts. Taken: ${
      names.map((arm) => `${arm} ${calm.taken.filter((one) => one === arm).length}`).join(", ")
    }.`,
}));

// %% [markdown]
// A model that is taken seldom keeps a wide band: nobody needs to know precisely how bad it is.
//
// ## A model that degrades (simulated)
//
// Now something breaks, *made up here*: from request 600 on, nine in ten of the favourite's successes turn into failures,
// as if it were swapped out of memory. The router does not know. One router remembers everything; the other
// *discounts*: each new observation makes the older ones count 2 % less.
//
// **Question.** After how many requests will each of them have left the sick model?

// %% figures=2
const favourite =
  names.toSorted((a, b) =>
    calm.taken.filter((one) => one === b).length - calm.taken.filter((one) => one === a).length
  )[0] ?? "";
const healthy = 2 * requests;
const fault = { arm: favourite, from: healthy, share: 0.9 };
const sick = (discount: number | null) =>
  replayRouting(makeRouter({ ...adaptive, discount }, arms, null, seededRandom("sick")), outcomes, {
    requests: 2 * healthy,
    passMark: defaultPassMark,
    random: seededRandom("requests"),
    fault,
  });
const stays = (taken: readonly string[]) => taken.slice(healthy).filter((arm) => arm === favourite).length;
for (
  const [title, discount] of [["Nothing is forgotten", null], ["Old evidence is discounted", 0.98]] as const
) {
  const replay = sick(discount);
  await show(beliefPlot(replay.beliefs, {
    title,
    changes: [healthy],
    caption:
      `Line: mean of the posterior; band: its 95 % interval. Dashed upright: from here ${favourite} fails in nine of ` +
      `ten of its successes (simulated). Of the ${healthy} requests after it, ${
        stays(replay.taken)
      } still went to it. ` +
      `n = ${2 * healthy} requests.`,
  }));
}

// %% [markdown]
// How far ahead the favourite was decides. Models that are close are exchanged quickly, even by a router that forgets
// nothing; one that was far ahead for long is left late. And who forgets never stops trying: look at the width of the
// bands, and at how restless they are.
//
// ## What learning costs
//
// *Regret* is what was lost against an oracle that always takes the best model of the moment. A rule that learns has a
// curve that flattens; a rule that doesn't goes on losing. The worlds below are simulated, since regret needs the truth.
//
// **Question.** Three models, each the best at something. Which rule loses least, and which loses most?

// %% figures=1
const simulations = isShort() ? 10 : 30;
const drawn = ["uniform", "epsilon-greedy", "best constant in hindsight", "by intent"] as const;
const curve = (world: typeof worlds[keyof typeof worlds], policy: PolicyName) =>
  meanRegret(world, policies[policy], simulations, (n) => seededRandom(`${policy}/${n}`));
await show(regretPlot(drawn.map((name) => ({ name, values: curve(worlds.specialists, name) })), {
  title: "Regret among specialists",
  changes: [],
  caption:
    `Line: mean cumulative regret, n = ${simulations} simulations of ${worlds.specialists.requests} requests.`,
}));

// %% [markdown]
// ## When a constant wins
//
// **Question.** Name a situation in which the router that learns loses to "always the same model".

// %%
const simple = ["one model is best for everything", "hardly a difference", "too few requests"] as const;
await table(
  simple.map((name) => ({
    world: name,
    requests: worlds[name].requests,
    ...Object.fromEntries(
      (["constant", "greedy", "by intent", "uniform"] as const).map((policy) => [
        policy,
        (curve(worlds[name], policy).at(-1) ?? 0).toFixed(1),
      ]),
    ),
  })),
  `Successes lost to the oracle, mean of n = ${simulations} simulations. "constant" is the decision's choice from the start.`,
);

// %% [markdown]
// One model best for everything: learning can only lose. Hardly a difference: there is nothing to win. Few requests: the
// tuition is paid, and the lesson never used. That is why `auto` stays with one model until an audit has shown a gain.
//
// ## Exercises
//
// 1. How much should be forgotten? Try discounts of 0.9, 0.98, 0.998 on the sick model, and on the healthy one.
// 2. A model that is *down* needs no statistics. How many requests reach it before a breaker opens, and how does it come
//    back?
//
// The folded cells hold a solution each: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1
await table(
  [0.9, 0.98, 0.998, null].map((discount) => {
    const replay = sick(discount);
    const before = replay.taken.slice(0, healthy).filter((arm) => arm === favourite).length;
    return {
      discount: discount ?? "none",
      "evidence is worth at most": discount === null
        ? "all requests"
        : `${Math.round(1 / (1 - discount))} requests`,
      "to the favourite while healthy": `${before} of ${healthy}`,
      "to it while sick": `${stays(replay.taken)} of ${healthy}`,
    };
  }),
  "Exercise 1, your models: who forgets much never stops trying, be the favourite healthy or sick. One replay each.",
);
await table(
  [0.9, 0.98, 0.99, null].map((discount) => ({
    discount: discount ?? "none",
    "successes lost": (meanRegret(
      worlds["the best model degrades"],
      routerPolicy("by-intent", discount),
      simulations,
      (n) => seededRandom(`discount/${n}`),
    ).at(-1) ?? 0).toFixed(1),
  })),
  `Exercise 1, simulated: a favourite far ahead (0.85 against 0.65) falls to 0.3 half-way. Forgetting a little pays, ` +
    `forgetting much does not. Mean regret, n = ${simulations} simulations of 2,000 requests.`,
);

// %% jupyter={"source_hidden": true}
// Solution 2
let seconds = 0;
const breaker = makeBreaker({ failuresToOpen: 3, openMs: 30_000 }, () => 1000 * seconds);
const events = [];
for (; seconds <= 70; seconds++) {
  if (!breaker.allows()) continue;
  const before = breaker.state();
  breaker.started();
  const up = seconds >= 60; // made up: the model is down for its first minute
  if (up) breaker.succeeded();
  else breaker.failed();
  if (seconds <= 3 || before !== "closed") {
    events.push({
      second: seconds,
      state: before,
      answer: up ? "success" : "failure",
      then: breaker.state(),
    });
  }
}
await table(
  events,
  "Exercise 2: three requests open the breaker; every 30 s one is let through, until one succeeds (simulated).",
);

// %% [markdown]
// ## What could mislead you here
//
// - *The success bit is not quality.* A router that is paid for short or fast answers learns to give short and fast ones.
// - *Replayed answers are old answers.* The prompts repeat, so the router meets the same luck again and again.
// - *The audit's oracle profits from luck*: part of its lead is noise, which no rule can win.
// - *Intents by pattern are guesses.* A rule can be no better than the words that it looks for.
// - *A discount that is right for one fault* is wrong for another. It is a guess at how often the world changes.
// - *Simulated worlds prove what holds in them.* Yours is another one: run the audit on your own prompts.
//
// ## The figure to keep
//
// Your own models: their success rates by intent as measured above, and a favourite that degrades half-way (simulated).

// %% figures=1
const half = 1000;
const own = worldFrom(outcomes, DEFAULT_INTENTS, {
  passMark: defaultPassMark,
  requests: 2 * half,
  changes: [{ from: half, rates: { [favourite]: 0.1 } }],
});
const kept = regretPlot(
  ([
    "uniform",
    "greedy",
    "best constant in hindsight",
    "adaptive",
    "by intent",
    "by intent, discounted",
  ] as const)
    .map((name) => ({
      name,
      values: meanRegret(own, policies[name], simulations, (n) => seededRandom(`own/${name}/${n}`)),
    })),
  {
    title: "Regret with the models of this machine",
    changes: [half],
    caption:
      `Line: mean cumulative regret, n = ${simulations} simulations; rates by intent from n = ${outcomes.length} recorded ` +
      `prompts a model; dashed upright: ${favourite} falls to a success rate of 0.1 (simulated).`,
  },
);
await Deno.writeTextFile(`${answers.folder}/regret.svg`, svgFile(kept));
await show(kept);
