// %% [markdown]
// # 01 · The catalogue and this machine
//
// *About 10 minutes.* Which models could run here, which can run right now, and why the others can't. Nothing is
// downloaded in this notebook.
//
// How to use it: read the question, guess, then run the cell with Shift+Enter. Two things the kernel does not tell you:
//
// - **A cell with a syntax error shows nothing at all.** If a cell that you changed stays silent, look for a missing
//   bracket or quote. (`deno fmt` or `deno check` on the `.ts` twin of this notebook names the line.)
// - **Edited files in `lib/` are read again only after Kernel → Restart.**

// %%
import { say, show, stopSignal, table } from "./support.ts";
import { describeMachine, firstViable, fits, neededRamGb } from "../lib/catalog/machine.ts";
import { findModel, loadRegistry, tasksOf } from "../lib/catalog/registry.ts";
import { memoryPlot } from "../lib/plot/memory.ts";

stopSignal();
const registry = await loadRegistry("../models.json");
await say(
  `Ready: the registry holds **${registry.models.length} models** for ${tasksOf(registry).join(", ")}.`,
);

// %% [markdown]
// ## This machine
//
// **Question.** A machine is sold with so many GB of RAM. How much of that, do you think, is free at this moment?

// %%
const machine = await describeMachine();
await table([{
  processor: machine.cpu,
  cores: machine.cores,
  "RAM (GB)": machine.ram_gb,
  "free now (GB)": machine.freeRamGb,
  GPU: machine.gpu.join(", ") || "none found",
  system: `${machine.os}, ${machine.arch}`,
}], "One reading of this machine, now. Free memory changes by the minute; total memory does not.");

// %% [markdown]
// ## The catalogue
//
// Every entry of `models.json` says what a model is for, how big its file is, how much RAM its users ask for, and under
// which licence it comes. The workshop's course keeps the first four of these; the licence decides whether you may use
// it at work at all.

// %%
await table(
  registry.models.map((model) => ({
    model: model.alias,
    "made for": model.task.join(", "),
    "parameters (B)": model.parametersB,
    "asks for RAM (GB)": model.minRamGb,
    licence: model.license.open ? model.license.id : `${model.license.id}: terms to read`,
    "in Foundry Local as": model.foundryAlias,
  })),
  `The ${registry.models.length} models of models.json. A dash: not known, or not offered there.`,
);

// %% [markdown]
// ## What fits
//
// **Question.** The course compares one number, `min_ram_gb`, with the machine's *total* RAM. Can a model pass that test
// and still not run?
//
// The table below asks both: total RAM against `min_ram_gb`, and *free* RAM against what the model really takes:
// weights, the context's keys and values, and the engine itself.

// %%
const rows = registry.models.map((model) => ({ model, fit: fits(model, machine) }));
await table(
  rows.map(({ model, fit }) => ({
    model: model.alias,
    "needs (GB)": fit.neededGb === null ? null : Number(fit.neededGb.toFixed(1)),
    "can run now": fit.ok ? "yes" : "no",
    why: fit.ok ? "" : fit.reasons.join("; "),
  })),
  `${rows.filter(({ fit }) => fit.ok).length} of ${rows.length} models can run on this machine now.`,
);

// %% [markdown]
// ## The course's own rule
//
// "The first viable entry of a task wins." **Question.** For which task will a small laptop find nothing?

// %%
const pick = (task: string, ram_gb: number) =>
  firstViable(registry, task, { ...machine, ram_gb })?.alias ?? "nothing fits";
await table(
  tasksOf(registry).map((task) => ({
    task,
    [`here (${machine.ram_gb} GB)`]: pick(task, machine.ram_gb),
    "with 16 GB": pick(task, 16),
    "with 8 GB": pick(task, 8),
    "with 4 GB": pick(task, 4),
  })),
  "For each task the first entry whose min_ram_gb is met by the total RAM.",
);

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
const seven = findModel(registry, "qwen2.5-7b");
const need = (contextTokens: number) =>
  seven === undefined ? NaN : neededRamGb(seven, { contextTokens }) ?? NaN;
await say(
  `Exercise 1: ${need(512).toFixed(1)} GB with 512 tokens, ${need(32_768).toFixed(1)} GB with 32,768.`,
);

// %% jupyter={"source_hidden": true}
// Solution 2
const openOnes = rows.filter(({ model, fit }) => fit.ok && model.license.open).map(({ model }) =>
  model.alias
);
await say(`Exercise 2: ${openOnes.join(", ") || "none"}.`);

// %% [markdown]
// ## What could mislead you here
//
// - *Free memory is a moment's reading.* Close the browser and more fits; open a video call and less does.
// - *`min_ram_gb` is somebody's advice*, made for a comfortable machine. The figure below is reckoned from the file's
//   size and the model's shape; only a run measures it (notebook 03 does).
// - *A model that fits need not be quick.* On a CPU, tokens per second fall about as fast as parameters grow.
// - *"Open" is a word, a licence is a text.* Gemma's, Llama's and Qwen's research terms forbid things that MIT allows.
//
// ## The figure to keep

// %% figures=1
await show(memoryPlot(
  rows.map(({ model, fit }) => ({ label: model.alias, neededGb: fit.neededGb, fits: fit.ok })),
  { title: "What fits this machine", freeGb: machine.freeRamGb, totalGb: machine.ram_gb },
));
