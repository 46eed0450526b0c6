// %% [markdown]
// # 01 · The catalogue and this machine
//
// *About 12 minutes.* Which models could run here, which can run right now, and why the others can't. This notebook
// downloads nothing.
//
// How to use it: read the question, guess, then run the cell with Shift+Enter. A line marked `knob` is for you to
// change; then run its cell and those below it again. Two things the kernel does not tell you:
//
// - **A cell with a syntax error shows nothing at all.** If a cell that you changed stays silent, look for a missing
//   bracket or quote.
// - **The kernel reads changed files in `lib/` only after Kernel → Restart.**

// %%
import { checkGuess, fit, models, show } from "podium";

const catalogue = await models();
catalogue;

// %% [markdown]
// ## This machine
//
// **Question.** How much of the RAM that this machine was sold with do you think is free at this moment?

// %%
catalogue.hardware();

// %% [markdown]
// ## The catalogue
//
// Every model in `models.json` says what it is made for, how big its file is, how much RAM it asks for, and under which
// licence it comes. The workshop's course keeps the first four of these; the licence decides whether you may use the
// model at work at all.

// %%
catalogue.table();

// %% [markdown]
// ## What fits
//
// **Question.** The course compares one number, `min_ram_gb`, with the machine's *total* RAM. Can a model pass that test
// and still not run?
//
// The table below checks both: total RAM against `min_ram_gb`, and *free* RAM against what the model really takes:
// weights, the context's keys and values, and the engine itself.

// %%
const guess = 20; // your prediction: how many of the models can run here now
catalogue.fit();

// %%
checkGuess(guess, catalogue.models.filter(({ fit }) => fit.ok).length, "models");

// %% [markdown]
// ## Pretend that 4 GB are free
//
// **Question.** On a laptop with 4 GB free, which is the largest model that still fits, and would you want to wait for
// it? Guess tokens per second: people read about five words per second, and a word is about one and a half tokens.
//
// Nothing is downloaded for this: the sizes come from `models.json`, or from the file's own header where the file is
// here. The brackets hold 90 % of such predictions. While nothing was measured on this machine, they are very wide.

// %%
const freeGb = 4; // knob: the free memory in GB; try that of your phone, or of a server
const secondsToMeasure = 5; // knob: how long the models that are here are measured below
const laptop = await fit(null, { ramGb: freeGb });
laptop;

// %% [markdown]
// ## Predicted against measured
//
// **Question.** A model is present, and five seconds of measuring it tell how fast this machine reads weights. How far
// off will the prediction for *another* model be?
//
// The next cell measures the models that are here (none, if you haven't run notebook 02 yet), and shows each measured
// time beside what the *other* models alone predicted for it.

// %%
const probed = await fit(null, { probe: secondsToMeasure, ramGb: freeGb });
probed.measured();

// %% [markdown]
// With one model, there is nothing to predict it from. With two, compare the brackets of the table below with those
// above: what was measured made them narrower.

// %%
probed.table();

// %% [markdown]
// ## The course's own rule
//
// "The first viable entry of a task wins." **Question.** For which task will a small laptop find nothing?

// %%
catalogue.firstViable([16, 8, 4]);

// %% [markdown]
// ## Exercises
//
// 1. The context costs memory as well. How much more does `qwen2.5-7b` take with 32,768 tokens of context than with 512?
// 2. Which models under an open licence can run here now? (`model.license.open`)
//
// Try them in the empty cell. The folded cells after it hold a solution each: click the blue bar or the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1
const need = (contextTokens: number) => catalogue.neededGb("qwen2.5-7b", { contextTokens }).toFixed(1);
await show(`${need(512)} GB with 512 tokens, ${need(32_768)} GB with 32,768.`);

// %% jupyter={"source_hidden": true}
// Solution 2
const open = catalogue.models.filter(({ model, fit }) => fit.ok && model.license.open);
await show(open.map(({ model }) => model.alias).join(", ") || "none");

// %% [markdown]
// ## What could mislead you here
//
// - *Free memory is a moment's reading.* Close the browser and more fits; open a video call and less does.
// - *`min_ram_gb` is advice*, made for a comfortable machine. The figure below is computed from the file's size and the
//   model's shape; only a run measures it (notebook 03 does).
// - *A model that fits need not be fast.* On a CPU, tokens per second fall about as fast as parameters grow.
// - *A prediction holds for a quiet machine.* Another program on the same cores makes any model several times slower.
// - *"Open" is a word, a licence is a text.* Gemma's, Llama's and Qwen's research terms forbid things that MIT allows.
//
// ## The figure to keep

// %% figures=1
catalogue.memory();
