// %% [markdown]
// One fault a cell, to prove that the notebooks' test sees each of them. Its cells are run by
// `deno task test:notebooks` before the real ones.

// %%
import { FigureView, show, TextView } from "podium";

const say = (text: string) => show(new TextView(text));
await say("In good order.");

// %% figures=1
await say("A figure was promised.");

// %%
const nothing = undefined;

// %%
setTimeout(() => say("Too late for a browser"), 60);
await say("In time.");

// %%
await show(new FigureView({ title: "Not promised", svg: "<svg></svg>", caption: `n = ${nothing ?? 0}` }));

// %%
JSON.parse("on purpose");

// %%
await say("Never reached.");
