// %% [markdown]
// # 02 · One request under the microscope
//
// *About 15 minutes.* A model is asked once, and you watch the tokens arrive. Four times matter: until the first token
// (TTFT), from token to token (ITL, and its mean TPOT), and until the last one (E2E latency). Then you will make the
// prompt cache visible, which quietly decides most quick benchmarks.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. **A cell with a syntax error shows
// nothing at all**: then look for a bracket or a quote.

// %%
import { say, show, stopSignal, table } from "./support.ts";
import { openOne } from "./models.ts";
import { gapsMs, latencyS, outputTokensPerS, promptTokensPerS, tpotS, ttftS } from "../lib/bench/metrics.ts";
import { withColdPrefix } from "../lib/bench/plan.ts";
import type { RequestRecord } from "../lib/bench/records.ts";
import { timelinePlot } from "../lib/plot/timeline.ts";
import { quantile } from "../lib/stats/quantile.ts";

stopSignal();
const model = await openOne();
const load = model.loadS === null ? "is held by a service" : `was loaded in ${model.loadS.toFixed(2)} s`;
await say(
  `**${model.name}** ${load}, and runs on ${model.device ?? "a device that the service does not name"}.`,
);

// %% [markdown]
// ## One answer
//
// **Question.** An answer of 40 tokens: which takes longer, the wait for the first of them, or all the others?

// %%
const user = (content: string) => [{ role: "user" as const, content }];
await model.ask(user("Say hello."), 4); // Wakes everything up; not looked at.
const first = await model.ask(withColdPrefix(user("Why is the sky blue?"), "first"), 40);
await say(first.content);

// %%
const ms = (seconds: number | null) => seconds === null ? null : (1000 * seconds).toFixed(1);
const gaps = gapsMs(first.record);
await table(
  [
    { time: "TTFT", "value (ms)": ms(ttftS(first.record)), "how it is read": "first token − sent" },
    {
      time: "ITL, median",
      "value (ms)": gaps.length === 0 ? null : quantile(gaps, 0.5).toFixed(1),
      "how it is read": `the middle one of ${gaps.length} gaps between chunks`,
    },
    {
      time: "ITL, longest",
      "value (ms)": gaps.length === 0 ? null : Math.max(...gaps).toFixed(1),
      "how it is read": "a stall would show here, and in no mean",
    },
    {
      time: "TPOT",
      "value (ms)": ms(tpotS(first.record)),
      "how it is read": "(last − first) / (tokens − 1)",
    },
    { time: "E2E latency", "value (ms)": ms(latencyS(first.record)), "how it is read": "last token − sent" },
  ],
  `One request: ${
    first.record.prompt_tokens ?? "?"
  } prompt tokens, ${first.record.output_tokens} output tokens.`,
);

// %% [markdown]
// The same request as a picture. Every tick is a chunk of text that arrived.

// %% figures=1
const seconds = (record: RequestRecord) => record.chunk_ms.map((at) => at / 1000);
await show(timelinePlot([{ label: "sky", chunks: seconds(first.record) }], {
  title: "Tokens of one answer",
  selection: `1 request, ${first.record.chunk_ms.length} chunks`,
}));

// %% [markdown]
// ## A longer prompt
//
// Before it writes, a model reads. **Question.** Of TTFT and TPOT, which one grows when the prompt is ten times as long?

// %%
const sentence =
  "The team met on Tuesday and agreed to move the release by a week because two tests still fail. ";
const byLength: { sentences: number; record: RequestRecord }[] = [];
for (const sentences of [1, 5, 20]) {
  const prompt = withColdPrefix(user(`${sentence.repeat(sentences)}What was agreed?`), `length ${sentences}`);
  byLength.push({ sentences, record: (await model.ask(prompt, 24)).record });
}
await table(
  byLength.map(({ sentences, record }) => ({
    sentences,
    "prompt tokens": record.prompt_tokens,
    "TTFT (ms)": ms(ttftS(record)),
    "prompt tokens/s": promptTokensPerS(record)?.toFixed(0) ?? null,
    "TPOT (ms)": ms(tpotS(record)),
  })),
  "One request a row, each with a beginning that no earlier one had.",
);

// %% [markdown]
// ## How a long prompt makes a slow model look fast
//
// The workshop's sample divides *all* tokens of a request, the prompt's too, by its time. **Question.** What does that do to
// the last row of the table above?

// %%
await table(
  byLength.map(({ sentences, record }) => ({
    sentences,
    "tokens/s as the sample counts":
      (((record.prompt_tokens ?? 0) + record.output_tokens) / (latencyS(record) ?? NaN))
        .toFixed(0),
    "output tokens/s": outputTokensPerS(record)?.toFixed(0) ?? null,
  })),
  `The same requests, counted twice. Output tokens come from: ${first.record.token_source}.`,
);

// %% [markdown]
// ## The prompt cache
//
// An engine keeps what it has read. Ask the same again, and it need not read again. **Question.** By what factor does TTFT
// fall on the second time?
//
// Three requests with one and the same prompt, then three that each open with a new number, so that nothing of them has
// been read before.

// %%
const long = `${sentence.repeat(12)}What was agreed?`;
const same = withColdPrefix(user(long), "the same each time");
const requests: { label: string; record: RequestRecord }[] = [];
for (const time of [1, 2, 3]) {
  requests.push({ label: `same, time ${time}`, record: (await model.ask(same, 16)).record });
}
for (const time of [1, 2, 3]) {
  const fresh = withColdPrefix(user(long), `fresh ${time}`);
  requests.push({ label: `new, time ${time}`, record: (await model.ask(fresh, 16)).record });
}
await table(
  requests.map(({ label, record }) => ({
    prompt: label,
    "TTFT (ms)": ms(ttftS(record)),
    "of its tokens from the cache": record.cached_tokens ?? record.server?.cached_tokens ?? null,
    "prompt tokens": record.prompt_tokens,
  })),
  "One request a row. A dash: the service does not tell what it took from its cache.",
);

// %% [markdown]
// A benchmark that repeats one prompt measures the first row once and the second row ever after. Both are real: the first is
// a new question, the second a chat that goes on. What is not real is their average.
//
// ## Exercises
//
// 1. Predict how long an answer of 60 tokens takes, from TTFT and TPOT of a first request. Then measure it.
// 2. Is a chunk a token? Compare the number of chunks with the number of output tokens.
//
// The folded cells hold a solution each: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1
const story = await model.ask(withColdPrefix(user("Tell a long story about a lighthouse."), "story"), 60);
const tokens = story.record.output_tokens;
const predicted = (ttftS(first.record) ?? NaN) + (tokens - 1) * (tpotS(first.record) ?? NaN);
await say(
  `Exercise 1: predicted ${predicted.toFixed(2)} s for ${tokens} tokens, measured ` +
    `${
      latencyS(story.record)?.toFixed(2) ?? "nothing"
    } s. One request each: a busy machine alone can double either.`,
);

// %% jupyter={"source_hidden": true}
// Solution 2
await say(
  `Exercise 2: ${story.record.chunk_ms.length} chunks, ${tokens} output tokens (counted by: ${story.record.token_source}). ` +
    "Services that send several tokens a chunk, or pieces of one, make the two differ; so tokens/s never counts chunks " +
    "where a better count is to be had.",
);

// %% [markdown]
// ## What could mislead you here
//
// - *One request is an anecdote.* Everything on this page was measured once. Notebook 03 measures often enough.
// - *A token is not a word,* and not the same for two models: compare characters a second as well.
// - *The clock stands at our side.* On a remote service the network is part of TTFT.
// - *Reasoning models* write before they answer: TTFT counts the first thought, TTFO the first visible word.
//
// ## The figure to keep
//
// The cache made visible: the lead before the first tick is the time that the engine reads.

// %% figures=1
await show(timelinePlot(requests.map(({ label, record }) => ({ label, chunks: seconds(record) })), {
  title: "The same prompt again, and a new one each time",
  selection: `6 requests to ${model.name}, 16 tokens at most`,
}));

// %%
await model.close();
await say("The model is closed and its memory free again.");
