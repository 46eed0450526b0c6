// %% [markdown]
// # 03 · A fair benchmark
//
// *About 20 minutes.* How to compare two models fairly: one of them takes part twice. You see whole distributions, find
// out why three rounds are not enough, and learn how small a difference this very machine can show.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %% [markdown]
// ## Measure
//
// A *block* sends one prompt to every model, in random order, so that a machine that gets warm or busy does so for all of
// them. Every request opens with a number that no earlier one had, so that no model answers from its prompt cache. Each
// model gets a warm-up request that is not counted.
//
// **Question.** The first two rows are the same file on the same machine. Which of them will be faster, and by how much?

// %%
import { bench, checkGuess } from "podium";

const guess = 0; // your prediction: by how many per cent the means of the twins differ
const run = await bench(null, {
  job: "ten",
  most: 2,
  control: true,
  rounds: 3, // knob: passes over the ten prompts
  warmup: 1,
  maxTokens: 48, // knob: where answers are cut
  seed: 3, // knob: the order of prompts and models
});
run.table();

// %%
const mean = (id = "") => run.values(id).reduce((sum, one, _, { length }) => sum + one / length, 0);
const [model, twin] = run.candidates;
checkGuess(guess, 100 * Math.abs(mean(twin) / mean(model) - 1), "%");

// %% [markdown]
// ## What three rounds would have told you
//
// The workshop's sample reports the mean of three rounds. Let us make two reports of that kind out of the requests you
// just measured: one from the first three, one from the last three.
//
// **Question.** Will both name the same winner between the twins?

// %%
run.firstAndLast(3);

// %% [markdown]
// ## The whole distribution
//
// A mean hides what a user feels. Below, each line climbs from 0 to 100 %: at 50 % it passes the median, and the further
// it leans to the right, the less steady the model is. Steps in it are prompts with longer and shorter answers.
//
// **Question.** Which lines should lie on top of each other?

// %% figures=1
run.ecdf("latency");

// %% [markdown]
// **Question.** Does one prompt take longer than another because the model is slower at it, or because its answer is
// longer? Compare the boxes of one prompt with each other, not across prompts.

// %% figures=1
run.box("latency");

// %% [markdown]
// ## Why three rounds mislead
//
// Take the latencies of one model, draw three of them at random, note their mean, put them back, and do it 2,000 times.
// That is what 2,000 teams with three rounds each would report, if what you measured were the whole truth. The twins are
// one model, so both draw from all of its requests.
//
// **Question.** How far apart do the luckiest and the unluckiest of these teams end up?

// %% figures=1
const teams = run.imagine([3, 10, 20]);
teams.box();

// %% [markdown]
// Who wins? Between twins the honest answer is "nobody": a team that names one has tossed a coin. **Question.** And with
// two different models, how many teams still name the wrong one?

// %%
teams.winners();

// %% [markdown]
// ## Outliers
//
// A request far from the rest (more than 3.5 robust standard deviations from its prompt's median) is marked, never
// dropped: your users will meet it too. **Question.** Were the far ones bad luck, or was the machine busy?

// %%
run.outliers();

// %% [markdown]
// ## The noise of this machine
//
// While a block ran, Podium watched the machine: what other programs used, and what a hypervisor took. A block in which
// they took more than a tenth of a core is *disturbed*: it is left out of the headline for all models together, and
// repeated where there is time.

// %%
run.noise();

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
run.imagine([1, 2, 3, 5, 10, 20, 50]).enough();

// %% jupyter={"source_hidden": true}
// Solution 2
teams.p95(3);

// %% [markdown]
// ## What could mislead you here
//
// - *Answers of different length.* A model that stops early looks fast. Look at "answer (tokens)" in the first table, and
//   at tokens per second, before you call anything faster.
// - *The mean over prompts.* Add one prompt with a long answer and every mean moves. Compare on the same prompts only.
// - *Temperature 0 is not repeatable to the millisecond.* The text is; the time is not.
// - *Cold prompts only.* A chat that goes on finds its beginning in the cache and answers sooner (notebook 02).
// - *Speed alone recommends nothing.* One of these models answers badly, and does so fast (notebook 04).
//
// ## The figure to keep
//
// What this machine can tell apart today. The first line is a model against itself: a difference between two models that
// is not clearly wider than that one is no difference. The figure and the whole report are stored with the records.

// %% figures=1
await run.report();
await run.ratios().save(`${run.folder}/compared.svg`);
