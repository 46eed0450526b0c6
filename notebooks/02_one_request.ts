// %% [markdown]
// # 02 · One request under the microscope
//
// *About 15 minutes.* You send one prompt to a model and watch the tokens arrive. Four times matter: until the first
// token (TTFT), from token to token (ITL, and its mean TPOT), and until the last one (E2E latency). Then you make the
// prompt cache visible, which quietly decides most quick benchmarks.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. **A cell with a syntax error shows
// nothing at all**: then look for a bracket or a quote.

// %%
import OpenAI from "openai";
import { checkGuess, serve, show } from "podium";

const model = await serve();
model;

// %% [markdown]
// ## One answer
//
// The model speaks the OpenAI protocol, so any client can talk to it. The first request wakes everything up, and nobody
// times it.

// %%
const client = new OpenAI({ baseURL: model.baseUrl, apiKey: model.apiKey });
const hello = await client.chat.completions.create({
  model: model.modelId,
  messages: [{ role: "user", content: "Say hello." }],
  max_tokens: 8,
});
hello.choices[0]?.message.content;

// %% [markdown]
// **Question.** An answer of 40 tokens: which takes longer, the wait for the first of them, or all the others?

// %%
const answerTokens = 40; // knob: where the answer is cut
const first = await model.ask("Why is the sky blue?", { maxTokens: answerTokens });
first;

// %%
first.times();

// %% [markdown]
// The same request as a picture. Every tick is a chunk of text that arrived.

// %% figures=1
first.timeline("Tokens of one answer");

// %% [markdown]
// ## A longer prompt
//
// Before it writes, a model reads. **Question.** Of TTFT and TPOT, which one grows when the prompt is ten times as long?

// %%
const sentence =
  "The team met on Tuesday and agreed to move the release by a week because two tests still fail. ";
const prompt = (sentences: number) => `${sentence.repeat(sentences)}What was agreed?`;
const byLength = await model.askEach({
  "1 sentence": prompt(1),
  "5 sentences": prompt(5),
  "20 sentences": prompt(20),
}, { maxTokens: 24 });
byLength.table();

// %% [markdown]
// Every prompt opened with a number that no earlier one had, so the engine had to read it anew. (The few tokens from the
// cache are the chat template's own beginning.)
//
// ## How a long prompt makes a slow model look fast
//
// The workshop's sample divides *all* tokens of a request, the prompt's too, by its time. **Question.** What does that do
// to the last row of the table above?

// %%
byLength.rates();

// %% [markdown]
// ## The prompt cache
//
// An engine keeps what it has read. If you send the same prompt again, the engine need not read it again. **Question.** By
// what factor does TTFT fall the second time?
//
// Three requests with one and the same prompt, then three that each open with a new number, so that the engine has read
// nothing of them before.

// %%
const guess = 5; // your prediction: how many times sooner the first token comes the second time
const long = prompt(12); // knob: sentences in the prompt; try 1, then 30
const same = await model.askEach(
  { "same, time 1": long, "same, time 2": long, "same, time 3": long },
  { maxTokens: 16, prefix: "as is" },
);
const fresh = await model.askEach({ "new, time 1": long, "new, time 2": long, "new, time 3": long }, {
  maxTokens: 16,
});
const requests = same.and(fresh);
requests.table();

// %%
const [once = NaN, again = NaN] = same.requests.map(({ record }) => record.chunk_ms[0] ?? NaN);
checkGuess(guess, once / again, "times");

// %% [markdown]
// A benchmark that repeats one prompt measures the first row once and the second row ever after. Both are real: the first
// is a new question, the second a chat that goes on. Their average is not.
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
const story = await model.ask("Tell a long story about a lighthouse.", { maxTokens: 60 });
const tokens = story.first.output_tokens;
const [predicted, measured] = [first.predictLatencyS(tokens), story.latencyS];
`Exercise 1: predicted ${predicted?.toFixed(2)} s for ${tokens} tokens, measured ${
  measured?.toFixed(2)
} s. ` +
  "One request each: a busy machine alone can double either.";

// %% jupyter={"source_hidden": true}
// Solution 2
await show(
  `${story.first.chunk_ms.length} chunks, ${tokens} output tokens (counted by: ${story.first.token_source}). ` +
    "Some services send several tokens per chunk, or parts of one; so tokens/s never counts chunks where a better " +
    "count exists.",
);

// %% [markdown]
// ## What could mislead you here
//
// - *One request is an anecdote.* Everything on this page was measured once. Notebook 03 measures often enough.
// - *A token is not a word,* and not the same for two models: compare characters per second as well.
// - *The clock runs on this machine.* With a remote service the network is part of TTFT.
// - *Reasoning models* write before they answer: TTFT counts the first thought, TTFO the first visible word.
//
// ## The figure to keep
//
// The cache made visible: the line before the first tick is the time in which the engine reads.

// %% figures=1
requests.timeline("The same prompt again, and a new one each time");

// %%
await model.close();
