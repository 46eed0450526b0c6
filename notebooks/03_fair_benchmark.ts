// %% [markdown]
// # 03 · A fair benchmark
//
// *About 20 minutes.* Two models, and one of them entered twice. You will see whole distributions instead of averages,
// find out why three rounds are not enough, and learn how small a difference this very machine can show.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { isShort, say, show, stopSignal, table } from "./support.ts";
import { candidatesWithControl, measured } from "./models.ts";
import { valuesOf } from "../lib/bench/session.ts";
import { boxPlot } from "../lib/plot/box.ts";
import { ecdfPlot } from "../lib/plot/ecdf.ts";
import { svgFile } from "../lib/plot/figure.ts";
import { ratioPlot } from "../lib/plot/ratio.ts";
import { loadPromptSet } from "../lib/prompts/prompts.ts";
import { writeReports } from "../lib/report/write.ts";
import { lowestShares, p95Of, shortBenchmarks } from "../lib/stats/few_rounds.ts";
import { flagOutliers } from "../lib/stats/outliers.ts";
import { seededRandom } from "../lib/stats/random.ts";

stopSignal();
const found = await candidatesWithControl();
const [one = "", twin = "", other = ""] = found.candidates.map(({ info }) => info.id);
await say(
  `Measured here: **${one}**, the same model again as **${twin}**, and **${other || "nothing else"}**.`,
);

// %% [markdown]
// ## Measure
//
// A *block* asks one prompt of every model, in random order, so that a machine that gets warm or busy does so for all of
// them. Every request opens with a number that no earlier one had, so that no model answers from its prompt cache. One
// or two requests warm each model up and are not counted.
//
// **Question.** The first two entries are the same file on the same machine. Which of them will be faster, and by how much?

// %%
const prompts = await loadPromptSet("../prompts/ten.json");
const result = await measured(found, {
  prompts: isShort() ? { ...prompts, prompts: prompts.prompts.slice(0, 5) } : prompts,
  rounds: isShort() ? 2 : 3,
  warmup: 1,
  maxTokens: isShort() ? 16 : 48,
  temperature: 0,
  prefix: "cold",
  seed: 3,
  timeoutS: 120,
});
found.close();

// %%
const name = (id: string) =>
  id === twin ? "the same again" : result.summary.candidates.find((row) => row.id === id)?.alias ?? id;
const latencies = (id: string) => valuesOf(result, id, "latency_s").map(({ value }) => value);
const rows = result.summary.candidates;
const digits = (value: number | null, places = 3) =>
  value === null || Number.isNaN(value) ? null : value.toFixed(places);
await table(
  rows.map((row) => ({
    model: row.id,
    status: row.reason ?? row.status,
    n: row.latency_s.n,
    "mean (s)": digits(row.latency_s.mean),
    "95 % interval of the mean": row.latency_s.mean_ci95?.map((end) => end.toFixed(3)).join(" to ") ?? null,
    "median (s)": digits(row.latency_s.p50),
    "p95 (s)": digits(row.latency_s.p95),
    "output tokens/s": digits(row.output_tokens_per_s.mean, 1),
    "answer (tokens)": digits(row.tokens.output_mean, 1),
  })),
  "Latency: from sending a request to its last token; n: timed requests of quiet blocks. A dash: n carries no such figure.",
);

// %% [markdown]
// ## What three rounds would have told you
//
// The workshop's sample reports the mean of three rounds. Let us make two reports of that kind out of the requests you
// just measured: one from the first three, one from the last three.
//
// **Question.** Will both name the same winner between the twins?

// %%
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
await table(
  [one, twin].map((id) => ({
    model: id,
    "first three: mean (s)": digits(mean(latencies(id).slice(0, 3))),
    "last three: mean (s)": digits(mean(latencies(id).slice(-3))),
    "all: mean (s)": digits(mean(latencies(id))),
  })),
  "The same model twice. Whatever differs between these rows is noise, or the prompts that happened to come.",
);

// %% [markdown]
// ## The whole distribution
//
// A mean hides what a user feels. Below, each line climbs from 0 to 100 %: at 50 % it passes the median, and how far it
// leans to the right is how unsteady the model is. Steps in it are prompts with longer and shorter answers.
//
// **Question.** Which lines should lie on top of each other?

// %% figures=1
await show(ecdfPlot(
  rows.map(({ id }) => ({ name: id, values: latencies(id) })),
  { title: "Latency of every request", metric: "latency" },
));

// %% [markdown]
// **Question.** Does one prompt take longer than another because the model is slower at it, or because its answer is
// longer? Compare the boxes of one prompt with each other, not across prompts.

// %% figures=1
await show(boxPlot(
  result.summary.plan.prompt_set.prompts.flatMap(({ id: prompt }) =>
    rows.map(({ id }) => ({
      series: id,
      group: prompt,
      values: valuesOf(result, id, "latency_s").filter((request) => request.prompt === prompt).map((
        { value },
      ) => value),
    }))
  ),
  { title: "Latency by prompt", metric: "latency" },
));

// %% [markdown]
// ## Why three rounds mislead
//
// Take the latencies of one model, draw three of them at random, note their mean, put them back, and do it 2,000 times.
// That is what 2,000 teams with three rounds each would report, if what you measured were the whole truth. The twins are
// one model, so both draw from all of its requests.
//
// **Question.** How far apart do the luckiest and the unluckiest of these teams end up?

// %% figures=1
const random = seededRandom(20);
const both = [...latencies(one), ...latencies(twin)];
const teams = (id: string, rounds: number) =>
  shortBenchmarks(id === other ? latencies(other) : both, { rounds, draws: 2000, random });
const rivals = other === "" ? [twin] : [twin, other];
await show(boxPlot(
  [3, 10, 20].flatMap((rounds) =>
    [one, ...rivals].map((id) => ({ series: name(id), group: `${rounds} rounds`, values: teams(id, rounds) }))
  ),
  { title: "Means that 2,000 teams would report", metric: "reported mean latency" },
));

// %% [markdown]
// Who wins? Between twins the honest answer is "nobody": a team that names one has tossed a coin. **Question.** And with
// two different models, how many teams still name the wrong one?

// %%
const winners = (rival: string, rounds: number) =>
  lowestShares([teams(one, rounds), teams(rival, rounds)]).map((share) => `${(100 * share).toFixed(0)} %`)
    .join(" : ");
await table(
  [3, 10, 20].map((rounds) => ({
    rounds,
    ...Object.fromEntries(rivals.map((rival) => [`${name(one)} : ${name(rival)}`, winners(rival, rounds)])),
  })),
  "Share of 2,000 imagined benchmarks in which each of the two has the lower mean.",
);

// %% [markdown]
// ## Outliers
//
// A request far from the rest (more than 3.5 robust standard deviations from its prompt's median) is marked, never
// dropped: your users will meet it too. **Question.** Were the far ones bad luck, or was the machine busy?

// %%
const byPrompt = (id: string) =>
  result.summary.plan.prompt_set.prompts.map(({ id: prompt }) =>
    valuesOf(result, id, "latency_s").filter((request) => request.prompt === prompt)
  );
await table(
  rows.map(({ id }) => {
    const all = byPrompt(id);
    const far = all.flatMap((requests) => {
      const flags = flagOutliers(requests.map(({ value }) => value));
      return requests.filter((_, at) => flags[at]);
    });
    return {
      model: id,
      requests: all.flat().length,
      "far from their prompt's rest": far.length,
      "of them in disturbed blocks": far.filter(({ disturbed }) => disturbed !== null).length,
    };
  }),
  "Fewer than five requests of a prompt have no bulk to be far from: then nothing is marked.",
);

// %% [markdown]
// ## The noise of this machine
//
// While a block ran, the machine was watched: what other programs used, and what a hypervisor took. A block with more
// than a tenth of a core of that is *disturbed*: it is left out of the headline for all models together, and repeated
// where there is time.

// %%
const { timed, disturbed } = result.summary.blocks;
const reasons = [...new Set(result.run.disturbed.values())].slice(0, 4);
await table(
  [{ "blocks timed": timed, disturbed, "for example": reasons.join("; ") || "nothing happened" }],
  disturbed * 2 > timed
    ? "Most blocks were disturbed: leaving them out would be a chance selection, so all of them stand, and no verdict is given."
    : "The headline rests on the quiet blocks; the full set is in summary.json beside it.",
);

// %% [markdown]
// ## Exercises
//
// 1. How many rounds does it take until at least 19 of 20 teams name the same one of the two *different* models?
// 2. The sample's p95 of three rounds: where does it lie, typically, compared with the p95 of all requests?
//
// The folded cells hold a solution each: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1
const enough = [1, 2, 3, 5, 10, 20, 50].find((rounds) =>
  Math.max(...lowestShares([teams(one, rounds), teams(other || twin, rounds)])) >= 0.95
);
await say(
  enough === undefined
    ? "Exercise 1: not even 50 rounds are enough here. The two are too close, or the machine too noisy, to tell."
    : `Exercise 1: ${enough} round${
      enough === 1 ? " is" : "s are"
    } enough for this pair. Twins never get there.`,
);

// %% jupyter={"source_hidden": true}
// Solution 2
const ofThree = shortBenchmarks(latencies(one), { rounds: 3, draws: 2000, random, digest: p95Of }).sort();
const ofAll = p95Of(Float64Array.from(latencies(one)));
await say(
  `Exercise 2: p95 of all ${latencies(one).length} requests: ${
    ofAll.toFixed(3)
  } s. Of three: half of the teams report ` +
    `${ofThree[1000]?.toFixed(3)} s or less, and ` +
    `${
      (100 * ofThree.filter((value) => value < ofAll).length / 2000).toFixed(0)
    } % of them report too little.`,
);

// %% [markdown]
// ## What could mislead you here
//
// - *Answers of different length.* A model that stops early looks quick. Look at "answer (tokens)" in the first table, and
//   at tokens per second, before you call anything faster.
// - *The mean over prompts.* Add one prompt with a long answer and every mean moves. Compare on the same prompts only.
// - *Temperature 0 is not repeatable to the millisecond.* The text is; the time is not.
// - *Cold prompts only.* A chat that goes on finds its beginning in the cache and answers sooner (notebook 02).
// - *Speed alone recommends nothing.* One of these models answers badly, and is quick at it (notebook 04).
//
// ## The figure to keep
//
// What this machine can tell apart today. The first line is a model against itself: a difference between two models that
// is not clearly wider than that one is no difference. The figure and the whole report are written beside the records.

// %% figures=1
const ratios = result.summary.comparisons.filter(({ a, metric, ratio }) =>
  a === one && metric === "latency_s" && ratio !== null
);
const kept = ratioPlot(
  ratios.map(({ a, b, ratio, ci95 }) => ({
    label: `${name(a)} / ${name(b)}`,
    ratio: ratio ?? 1,
    interval: ci95,
  })),
  {
    title: "Latency compared, with a control",
    over: "first one slower",
    under: "first one faster",
    epsilon: 0.1,
    caption:
      "Dot: geometric mean of the ratios, pair by pair; bar: its 95 % interval, which allows for repeated prompts; band: " +
      `±10 %, in which a difference does not matter. n = ${
        ratios.map(({ n }) => n).join(", ")
      } common blocks.`,
  },
);
await Deno.writeTextFile(`${result.folder}/compared.svg`, svgFile(kept));
await writeReports(result.folder);
await show(kept);
