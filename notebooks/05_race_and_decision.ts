// %% [markdown]
// # 05 · The race and the decision
//
// *About 20 minutes.* Which model summarises our meeting notes on this machine, offline? You go the whole way:
// constraints, a quality floor, a race that stops when the evidence decides, and a decision that you can show to somebody
// else, even if it is "none of them".
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { candidates, checkGuess, decide, job, quality, race } from "podium";
import { peeking, raceCosts } from "podium/notebooks/simulations.ts";

const notes = await job("meeting_notes", { first: 12 });
const entered = await candidates(null, { most: 2, threads: [1, 2] });
entered;

// %% [markdown]
// ## Constraints
//
// What can't be used need not be measured: a model that takes too much memory, or a licence that forbids the use. Every
// exclusion says why, and what would admit the candidate.
//
// **Question.** Our product is sold. Which of the models may be in it?

// %%
const wanted = { licenses: ["commercial"], maxRamGb: 8 };
const allowed = await entered.constrain(wanted);
allowed;

// %% [markdown]
// Allowed are licences that permit commercial use, with conditions or without, and at most 8 GB of RAM.
//
// ## The quality floor
//
// The speed of a bad answer is worth nothing. So every candidate answers the notes once, and the checks that come with them
// score the answers. Candidates that differ in threads alone answer too: threads change some answers. The floor: half of
// the notes must pass.
//
// **Question.** Who will pass?

// %%
const answers = await quality(allowed, { job: notes, maxTokens: 128, seed: 5 });
answers.scores();

// %%
const floor = { ...wanted, minPassRate: 0.5 }; // knob: the share of notes that must pass; choose before you look
const gate = await decide({ quality: answers, constraints: floor });
gate.gate();

// %% [markdown]
// If nobody reached the floor, nobody can be recommended, and a product team would stop here and take a larger model. We
// go on with the best of the rest, *as a rehearsal*: its variants race, and all others stay out.
//
// ## Why not just look until it is clear?
//
// Take two models that are exactly alike, compare them after every block with an ordinary t test at 5 %, and stop as soon
// as it says "different". Below is how often that names a winner between two equals, in simulation.
//
// **Question.** The test promises 5 %. What is it after 50 looks?

// %% figures=1
peeking({ looks: 50 });

// %% [markdown]
// ## The race
//
// A block sends one note to every candidate still in, in random order. A candidate that loses blocks collects evidence
// against itself, as an *e-value*: a bet at fair odds that a rival is better. If the rival is not better, the bet seldom
// gains much, however often you look. At the threshold the candidate is eliminated. With δ = 0.05 a wrong winner has a
// probability of at most 5 %.
//
// The verdict is about *these notes*: they are drawn again and again. A verdict about *notes like these* may count each
// note once, and needs more of them.
//
// To see a recorded race again instead, start the notebooks with `PODIUM_REPLAY` set to its name below `reports/`.
//
// **Question.** Two threads or one: which wins, and after how many blocks will that be sure?

// %% figures=1
const guess = "tie"; // your prediction: "winner", "tie" or "undecided"
const result = await race(allowed, {
  job: notes,
  scope: "these cases",
  gate,
  maxTokens: 96,
  epsilon: 0.1, // knob: the relative difference that does not matter
  budget: 60, // knob: the most requests
  seed: 5,
});
result;

// %%
checkGuess(guess, result.verdict);

// %% [markdown]
// The verdict is derived from the records, so the records give it again.

// %%
await result.replay();

// %% [markdown]
// ## The decision
//
// **Question.** The race has an answer. Is it the answer to "what do we ship"?

// %%
const decision = await decide({ race: result, quality: answers, constraints: floor });
await decision.save();

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
// Solution 1: only the users would have noticed.
const withoutFloor = await decide({ race: result, quality: answers, constraints: wanted });
withoutFloor;

// %% jupyter={"source_hidden": true}
// Solution 2
raceCosts([0.05, 0.1, 0.5]);

// %% [markdown]
// ## What could mislead you here
//
// - *A winner is the best of those that raced*, not good. That is what the floor is for.
// - *A tie is a result*: closer than ε = 10 %, the lighter one will do. Undecided is not: the budget ran out.
// - *A busy machine* makes a race longer, and it races the models on a busy machine.
// - *A floor chosen after the scores* is no floor. Write it down first.
// - *Few notes.* The race's guarantee is about these notes in random order, not about notes of another kind.
//
// ## The figure to keep
//
// Quality against latency: the two that a decision must balance. The figure is stored with the records.

// %% figures=1
await withoutFloor.pareto().save(`${result.folder}/pareto.svg`);
