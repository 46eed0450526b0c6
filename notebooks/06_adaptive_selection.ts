// %% [markdown]
// # 06 · Adaptive selection while serving
//
// *About 20 minutes.* When does it pay to choose the model anew for each request? A choice made on Monday may be wrong on
// Friday. Here a router chooses a model for each request and learns from the results. You see what it believes, how it
// leaves a model that degrades, what learning costs, and when it is better not to learn at all.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { checkGuess, job, quality, show } from "podium";
import * as simulations from "podium/notebooks/simulations.ts";

const prompts = await job("four_kinds", { first: 24 });
prompts;

// %% [markdown]
// The cases are short prompts of four kinds: questions, classification, summaries, code. Each has a check that a program
// can verify.
//
// ## What the models really answer
//
// Every model answers every prompt once. An answer that passes its checks is a *success*: one bit is all that a server
// can see at once and cheaply, besides "it answered" and "in time".
//
// **Question.** Which model is better at which kind? Is one of them better at everything?

// %%
const answers = await quality(null, { most: 2, job: prompts, maxTokens: 48, seed: 6 });
const evidence = await answers.routing();
evidence.byIntent();

// %% [markdown]
// ## Does a rule per request help at all?
//
// The audit learns a rule on some of the prompts and tries it on others: a map by intent, and the recorded prompts that
// are most alike. It is switched on only where it beats the best single model by more than chance. The *oracle* knows
// every answer beforehand; no rule can reach it.
//
// **Question.** Will the audit switch a rule on? How many prompts would you want before you believe it?

// %%
evidence.audit();

// %% [markdown]
// ## Posteriors moving
//
// Without an audit that helps, and without a decision, a router can still learn while it serves. It has a belief about
// each model's success rate: a Beta distribution. For each request it *draws* one rate from each and takes the model with
// the highest: so it tries out what it doubts and uses what it is certain of (Thompson sampling).
//
// Below, the recorded answers are served again: prompts come at random, the router chooses, the recorded answer says
// whether it was a success. No model answers again.
//
// **Question.** Which of the two bands will be narrower in the end, and why?

// %% figures=1
const requests = 300; // knob: how long the router learns
const calm = simulations.replay(evidence, { requests, title: "What the router believes of each model" });
calm;

// %% [markdown]
// A model that is seldom chosen keeps a wide band: nobody needs to know precisely how bad it is.
//
// ## A model that degrades (simulated)
//
// Now something breaks, *made up here*: from request 600 on, nine in ten of the favourite's successes turn into failures,
// as if it were swapped out of memory. The router does not know. One router remembers everything; the other
// *discounts*: each new observation makes the older ones count 2 % less.
//
// **Question.** After how many requests will each of them have left the sick model?

// %% figures=2
const guess = 100; // your prediction: how many of the last 600 requests the forgetful router sends to the sick model
const discount = 0.98; // knob: what an observation keeps of its weight at each new one; 1 forgets nothing
const fault = { model: calm.favourite, from: 600 }; // knob: the request from which the model is sick
const sick = (title: string, discount: number | null) =>
  simulations.replay(evidence, { requests: 1200, discount, fault, title });
const forgetful = sick("Old evidence is discounted", discount);
await show(sick("Nothing is forgotten", null), forgetful);

// %%
const sent = forgetful.replayed.taken.slice(fault.from).filter((one) => one === fault.model).length;
checkGuess(guess, sent, "requests");

// %% [markdown]
// It depends on how far ahead the favourite was. The router soon changes between models that are close, even when it forgets
// nothing; it is late to leave one that was far ahead for long. And a router that forgets never stops trying: look at the
// width of the bands, and at how restless they are.
//
// ## What learning costs
//
// *Regret* is what was lost against an oracle that always takes the best model of the moment. A rule that learns has a
// curve that flattens; a rule that doesn't goes on losing. The worlds below are simulated, since regret needs the truth.
//
// **Question.** Three models, each the best at something. Which rule loses least, and which loses most?

// %% figures=1
simulations.regretAmongSpecialists();

// %% [markdown]
// ## When a constant wins
//
// **Question.** Name a situation in which the router that learns loses to "always the same model".

// %%
simulations.whereConstantWins();

// %% [markdown]
// One model is best for everything: learning can only lose. Hardly a difference: there is nothing to win. Too few
// requests: the router pays for learning and has too few left to profit from it. That is why `auto` stays with one
// model until an audit has shown a gain.
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
await show(
  simulations.byDiscount(evidence, fault, [0.9, 0.98, 0.998, null]),
  simulations.costOfDiscount([0.9, 0.98, 0.99, null]),
);

// %% jupyter={"source_hidden": true}
// Solution 2
simulations.breakerEvents();

// %% [markdown]
// ## What could mislead you here
//
// - *The success bit is not quality.* A router that is rewarded for short or fast answers learns to give short and fast
//   ones.
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
await simulations.regretWithYourModels(evidence, calm.favourite).save(`${answers.folder}/regret.svg`);
