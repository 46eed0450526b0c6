// %% [markdown]
// # 05 · The race and the decision
//
// *About 20 minutes.* Which model summarises our meeting notes on this machine, offline? You will go the whole way:
// constraints, a quality floor, a race that stops when the evidence decides, and a decision that can be shown to somebody
// else, even if it is "none of them".
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { isShort, say, show, stopSignal, table } from "./support.ts";
import { candidatesFor, candidatesWithVariants, measured, raced } from "./models.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { svgFile } from "../lib/plot/figure.ts";
import { repeatedTestingPlot } from "../lib/plot/repeated_testing.ts";
import { paretoPlot } from "../lib/plot/pareto.ts";
import { loadPromptSet } from "../lib/prompts/prompts.ts";
import { writeQuality } from "../lib/quality/quality.ts";
import { NO_CONSTRAINTS } from "../lib/select/decide/constraints.ts";
import { decisionMarkdown } from "../lib/select/decide/decision_markdown.ts";
import { answersKey } from "../lib/select/decide/facts.ts";
import { INTERVALS, missesOverTime, NULL_DIFFERENCES } from "../benchmarks/null_races.ts";
import { raceReport, verdictText } from "../lib/select/race/race_report.ts";
import { DEFAULT_TERMS, replayRecorded } from "../lib/select/race/recorded_race.ts";
import { decideOn, excludedFrom, paretoPoints } from "../lib/select/decide/session.ts";
import { simulateRace } from "../lib/select/race/simulation.ts";
import { seededRandom } from "../lib/stats/random.ts";

stopSignal();
const registry = await loadRegistry("../models.json");
const whole = await loadPromptSet("../prompts/meeting_notes.json");
const notes = { ...whole, prompts: whole.prompts.slice(0, isShort() ? 3 : 12) };
const plan = {
  prompts: notes,
  rounds: 1,
  warmup: 1,
  maxTokens: isShort() ? 8 : 96,
  temperature: 0,
  prefix: "cold",
  seed: 5,
  timeoutS: 300,
} as const;
const found = await candidatesWithVariants(plan);
await say(`Entered: **${found.candidates.map(({ info }) => info.id).join("**, **")}**.`);

// %% [markdown]
// ## Constraints
//
// What can't be used need not be measured: too much memory, a licence that forbids the use. Every exclusion says why, and
// what would admit the candidate.
//
// **Question.** Our product is sold. Which of the models may be in it?

// %%
const wanted = { ...NO_CONSTRAINTS, licenses: ["commercial"], maxRamGb: 8 };
const before = await excludedFrom(found, wanted, { registry, quality: null });
await table(
  found.candidates.map(({ info: { id, license, size_mb } }) => {
    const out = before.find((one) => one.id === id);
    return {
      candidate: id,
      license,
      "file (MB)": size_mb === null ? null : Math.round(size_mb),
      verdict: out === undefined ? "may race" : `excluded: ${out.reason}`,
      "to admit it": out?.admit ?? null,
    };
  }),
  "Allowed: licences that permit commercial use, with conditions or without; at most 8 GB of RAM.",
);

// %% [markdown]
// ## The quality floor
//
// Speed of a bad answer is worth nothing. So every set of weights answers the notes once, and the checks of notebook 04
// score the answers. More threads don't change an answer, so a variant in threads is not asked again. The floor: half of
// the notes must pass.
//
// **Question.** Who will pass?

// %%
const allowed = found.candidates.map(({ info }) => info)
  .filter(({ id }) => !before.some((one) => one.id === id));
const weights = [...new Map(allowed.map((info) => [answersKey(info.id), info] as const).reverse()).values()]
  .reverse();
const gatePlan = { ...plan, prefix: "as is", warmup: 0, maxTokens: isShort() ? 48 : 128 } as const;
const asked = await candidatesFor(
  weights.map(({ model_id, endpoint }) => `${model_id}@${endpoint}`),
  gatePlan,
);
const answers = await measured(asked, gatePlan);
asked.close();

// %%
const quality = await writeQuality(answers.folder, whole);
const floor = { ...wanted, minPassRate: 0.5 };
const gate = await decideOn({ race: null, answers: answers.folder }, {
  constraints: floor,
  registry,
  random: seededRandom("gate"),
});
await table(
  quality.candidates.map(({ id, score, pass_rate }) => {
    const out = gate.excluded.find((one) => one.id === id);
    return {
      candidate: id,
      "mean score": score.mean?.toFixed(2) ?? null,
      passed: `${pass_rate.passed} of ${pass_rate.n}`,
      verdict: out === undefined ? "reaches the floor" : `excluded: ${out.reason}`,
      "to admit it": out?.admit ?? null,
    };
  }),
  `The floor: half of the notes. Where nobody reaches it, the honest verdict is none; best of the rest: ${
    gate.best_of_the_rest ?? "not needed"
  }.`,
);

// %% [markdown]
// If nobody reached the floor, nobody can be recommended, and a product team would stop here and take a larger model. We
// go on with the best of the rest, *as a rehearsal*: its variants race, everybody else stays out.
//
// ## Why not just look until it is clear?
//
// Take two models that are exactly alike, compare them after every block with an ordinary t test at 5 %, and stop as soon as
// it says "different". Below is how often that crowns one of two equals, in simulation.
//
// **Question.** The test promises 5 %. What is it after 50 looks?

// %% figures=1
const draw = NULL_DIFFERENCES["normal"] ?? (() => 0);
const draws = { draw, sequences: 2000, looks: 50 };
await show(repeatedTestingPlot([
  { name: "t test at every look", shares: missesOverTime(INTERVALS.naive, draws, seededRandom("looks")) },
  {
    name: "interval that holds at any time",
    shares: missesOverTime(INTERVALS.anytime, draws, seededRandom("looks")),
  },
], {
  title: "Two equal models, called different",
  promised: 0.05,
  caption:
    "Line: share of simulated comparisons of two equal models that were called different at this look or before. " +
    "n = 2,000 comparisons.",
}));

// %% [markdown]
// ## The race
//
// A block asks one note of every candidate still in, in random order. Who loses blocks collects evidence against itself, as
// an *e-value*: a bet at fair odds that a rival is better. If it is not, the bet seldom gains much, however often you look.
// At the threshold the candidate goes. With δ = 0.05 a wrong winner has a probability of at most 5 %.
//
// To see a recorded race again instead, start the notebooks with `PODIUM_REPLAY` set to its name below `reports/`.
//
// **Question.** Two threads or one: which wins, and after how many blocks will that be sure?

// %% figures=1
const passed = gate.candidates.filter(({ id }) => !gate.excluded.some((one) => one.id === id));
const goOn = (passed.length > 0 ? passed.map(({ id }) => id) : [gate.best_of_the_rest ?? ""]).map(answersKey);
const excluded = [
  ...before,
  ...found.candidates.flatMap(({ info: { id } }) =>
    goOn.includes(answersKey(id)) ? [] : gate.excluded
      .filter((one) => answersKey(one.id) === answersKey(id)).map((one) => ({ ...one, id }))
  ),
];
const race = await raced(found, plan, {
  ...DEFAULT_TERMS,
  excluded,
  budget: isShort() ? 16 : 120,
  quality_run: quality.run_id,
});
found.close();

// %%
await say(verdictText(raceReport(race)));

// %% [markdown]
// The verdict is derived from the records, so the records give it again.

// %%
const again = raceReport(await replayRecorded(race.folder));
await say(`Replayed from ${again.run_id}: ${verdictText(again)}`);

// %% [markdown]
// ## The decision
//
// **Question.** The race has an answer. Is it the answer to "what do we ship"?

// %%
const decision = await decideOn({ race, answers: answers.folder }, {
  constraints: floor,
  registry,
  random: seededRandom("decision"),
});
await Deno.writeTextFile(`${race.folder}/decision.json`, `${JSON.stringify(decision, null, 2)}\n`);
await Deno.writeTextFile(`${race.folder}/decision.md`, decisionMarkdown(decision));
await table([
  { question: "verdict", answer: decision.verdict },
  { question: "choice", answer: decision.choice ?? "nothing is recommended" },
  { question: "because", answer: decision.reason },
  { question: "best of the rest", answer: decision.best_of_the_rest },
  ...decision.what_would_change_it.map((answer) => ({ question: "what would change it", answer })),
], "With the floor. The same is in decision.md and decision.json beside the race's records.");

// %% [markdown]
// ## Exercises
//
// 1. What would the decision be without a floor? Who would have noticed?
// 2. Two models differ by 5 %, with 10 % of noise. How many requests does a race take? And at 50 %?
//
// The folded cells hold a solution each: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1
const withoutFloor = await decideOn({ race, answers: answers.folder }, {
  constraints: wanted,
  registry,
  random: seededRandom("decision"),
});
await say(
  `Exercise 1: ${withoutFloor.verdict}, ${
    withoutFloor.choice ?? "no choice"
  }: ${withoutFloor.reason}. Only the users ` +
    "would have noticed.",
);

// %% jupyter={"source_hidden": true}
// Solution 2
const rules = { delta: 0.05, epsilon: 0.01, better: "lower", effect: "ratio", budget: 2000 } as const;
await table(
  [0.05, 0.1, 0.5].map((gap) => {
    const { verdict, requests } = simulateRace({ gaps: [0, gap], noise: 0.1 }, rules, seededRandom("gap"));
    return { gap: `${100 * gap} %`, verdict: verdict?.verdict ?? null, requests };
  }),
  "Exercise 2: one simulated race each. Small differences cost requests; large ones hardly any.",
);

// %% [markdown]
// ## What could mislead you here
//
// - *A winner is the best of those that raced*, not good. That is what the floor is for.
// - *A tie is a result*: closer than ε = 10 %, the lighter one will do. Undecided is not: the budget ran out.
// - *A busy machine* makes a race longer, and races the models on a busy machine.
// - *A floor chosen after the scores* is no floor. Write it down first.
// - *Few notes.* The race's guarantee is about these notes in random order, not about notes of another kind.
//
// ## The figure to keep
//
// Quality against latency: what a decision has to weigh. It is written beside the records.

// %% figures=1
const points = paretoPoints(withoutFloor);
const kept = paretoPlot(points, {
  title: "Quality, latency and memory",
  caption:
    `Mark: mean check score over n = ${notes.prompts.length} notes, and mean latency; area: resident memory; full: nobody ` +
    `is better in one of them without losing in another. Latency: n = ${
      withoutFloor.candidates.filter(({ id }) => points.some((point) => point.id === id))
        .map(({ id, requests }) => `${requests.ok} (${id})`).join(", ")
    } requests.`,
});
await Deno.writeTextFile(`${race.folder}/pareto.svg`, svgFile(kept));
await show(kept);
