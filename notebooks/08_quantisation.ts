// %% [markdown]
// # 08 · What quantisation changes
//
// *About 15 minutes.* What does quantisation take away, besides memory? A model's weights can be stored in 16, 8 or 4
// bits, and so can its KV cache, the notes that it keeps about what it has read. Here you see how far a model's
// predictions move on a text of your own, where they move most, and whether its answers suffer.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { checkGuess, fidelity, job } from "podium";

// Your own text: { text: "letters.txt", tokens: 3072 }. It takes 800 words at least; without one, Podium's own is read.
const reading = { tokens: 3072 }; // knob: how much is read
const cases = await job("four_kinds", { first: 24 }); // knob: the cases that are answered below
cases;

// %% [markdown]
// ## A KV cache of 8 bits
//
// The same model reads the text twice: with its KV cache in 16 bits, and in 8. At every token both give a probability to
// each of the 49,152 tokens that could come next, and the two lists are compared. The *KL divergence* says how far apart they
// are: 0 for identical ones. The *perplexity ratio* says whether the second predicts the text itself less well.
//
// **Question.** At how many of a hundred tokens will both find the same token the likeliest?

// %%
const guess = 99; // your prediction: of a hundred tokens, how many have the same likeliest token
const eight = await fidelity("smollm2-135m", "smollm2-135m:kv=q8_0", reading);
eight;

// %%
checkGuess(guess, 100 * (eight.report.text.same_top.value ?? 0), "%");

// %% [markdown]
// The interval is about texts like this one: its unit is a block of 512 tokens, since neighbouring tokens are easy or hard
// together. Look at the one of the perplexity ratio: does it contain 1?
//
// ## A KV cache of 4 bits
//
// **Question.** Half the bits again. Twice the divergence, or more?

// %%
const four = await fidelity("smollm2-135m", "smollm2-135m:kv=q4_0", reading);
four;

// %% [markdown]
// These are the tokens at which the two are furthest apart. Read them as a person: are the new guesses worse, or only
// different?

// %%
four.furthest();

// %% [markdown]
// ## A difference without quantisation
//
// Flash attention computes the same sums in another order. Nothing is quantised.
//
// **Question.** Will the divergence be 0?

// %%
await fidelity("smollm2-135m", "smollm2-135m:flash=off", reading);

// %% [markdown]
// Numbers in a computer are rounded, and another order rounds differently. Keep this figure in mind and compare it with
// the one of the 8-bit cache: a divergence of that size is what rounding alone does.
//
// ## Does it matter for the job?
//
// A small divergence does not promise equal answers: one token that changes early changes everything after it. So both
// answer a job with checks, and two one-sided tests ask whether the second is *as good as* the first, within 0.1 points
// of the score.
//
// **Question.** The job has 24 short cases. Is that enough to say "as good as"?

// %%
const answered = await fidelity("smollm2-135m", "smollm2-135m:kv=q4_0", { tokens: 1024, job: cases });
answered.verdict();

// %% [markdown]
// "No difference was found" is not "there is none". With few cases the only honest answer is often *can't tell*, and the
// interval says how large a loss could still be hidden.
//
// ## Exercises
//
// 1. Read a text of another kind: one in another language, or code. Does the 4-bit cache cost more there?
// 2. Do more threads change the predictions, or reading the weights instead of mapping them?
// 3. Two files of one model are compared in the same way, the one with the most bits first:
//    `await fidelity("model-Q8_0.gguf", "model-Q4_K_M.gguf", reading)`. Which parts of *your* text suffer?
//
// The folded cells hold a solution each: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1: the text can be given as it is; short blocks make do with a short text.
const german = "Die Fähre legte um sechs ab, bevor jemand den Kai gefegt hatte. Ines stand an der Reling. "
  .repeat(12);
await fidelity("smollm2-135m", "smollm2-135m:kv=q4_0", { text: german, block: 64 });

// %% jupyter={"source_hidden": true}
// Solution 2
await fidelity("smollm2-135m:threads=1", "smollm2-135m:threads=2+mmap=off", { tokens: 1024 });

// %% [markdown]
// ## What could mislead you here
//
// - *Perplexity is not quality.* It says how well a text is predicted, not how well a question is answered.
// - *The text decides.* What is lost in your letters may differ from what is lost in code; a repeated text is predicted
//   from its first half, whatever the cache.
// - *A file that was quantised twice* (from Q4 to Q8) says nothing about Q8: what is gone stays gone.
// - *As good as* is about this job, these settings, and an epsilon that you chose before you looked.
//
// **To take away.** A quantisation is not good or bad. It moves the predictions by so much on this text, and changes the
// score by at most so much on this job. [Fidelity](../docs/fidelity.md) has the definitions, and how they agree with
// llama.cpp's own tool.
