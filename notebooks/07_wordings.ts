// %% [markdown]
// # 07 · Same model, other wording
//
// *About 20 minutes.* Two models, three wordings of one question, with and without a grammar that holds the answer to its
// form. Which of these decides more: the model, or how you ask it?
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { checkGuess, job, quality, show } from "podium";
import { scoreDifference } from "podium/lib/stats/paired_difference.ts";

const tickets = await job("classify", { first: 20 });
tickets.example();

// %% [markdown]
// ## Three wordings
//
// The job of lesson 04: which team does a ticket belong to? Its file names two other wordings: `system` puts the
// instruction into a system message, `examples` shows four tickets with their teams instead of explaining. A wording is
// part of a candidate's name, like a setting, so one run sends every wording to every model, in turns.
//
// **Question.** The first model was taught to follow instructions, the second only to continue a text. Which wording
// suits which?

// %%
const models = ["smollm2-135m-instruct", "gemma-3-270m"]; // knob: the models
const wordings = ["", ":wording=system", ":wording=examples"]; // knob: the wordings
const maxTokens = 16; // knob: where answers are cut
const run = await quality(
  models.flatMap((model) => wordings.map((wording) => model + wording)),
  { job: tickets, maxTokens, seed: 4 },
);
run.task();

// %% [markdown]
// **Question.** Take the best row of each wording: does the same model win each time? And is any of them above the constant
// answer in the last row?
//
// Look at the two columns on the right before you call a model stupid: an answer that names no team is *off format*, one
// that had not come to the point after 16 tokens is *no answer*. Both may be due to the question, not to the model.

// %% figures=1
run.passed();

// %% [markdown]
// The intervals overlap. That the rows stand in this order on *these* tickets is a fact; that they would on yours is not
// shown. Both wordings of a model answered the same tickets, so compare them ticket by ticket: that is sharper.

// %%
const scores = (id: string) => run.quality.answers.filter(({ candidate }) => candidate === id);
const [plain = "", , examples = ""] = run.candidates;
const pairs = scores(examples).map(({ prompt_id, score }) =>
  [score, scores(plain).find((one) => one.prompt_id === prompt_id)?.score ?? 0] as const
);
const [low = 0, high = 0] = scoreDifference(pairs)?.interval ?? [];
await show(
  `${examples} against ${plain}: ${Math.round(100 * low)} to ${Math.round(100 * high)} points (95 %).`,
);

// %% [markdown]
// ## Free and constrained
//
// The same tickets in the first wording, and now the answer is held to its form. `format=free` is what you had. With
// `format=schema` the engine gets a schema made from the labels, and allows only the tokens that can still lead to one
// of them.
//
// **Question.** What will `format=schema` change: how many answers can be *read*, how many are *right*, or both?

// %%
const guess = 6; // your prediction: tickets that the best constrained row gets right
const formats = await quality(
  models.flatMap((model) => [`${model}:format=free`, `${model}:format=schema`]),
  { job: tickets, maxTokens, seed: 4 },
);
formats.task();

// %%
const constrained = formats.quality.candidates.filter(({ id }) => id.endsWith("format=schema"));
checkGuess(guess, Math.max(...constrained.map(({ pass_rate }) => pass_rate.passed)), "tickets");

// %% [markdown]
// A grammar makes every answer readable; it knows nothing of what is right. It picks, among the answers that are allowed,
// the one that the model finds likeliest, and so shows what the model knew all along. Compare each constrained row with
// the constant answer below: one model may have known something, the other nothing.
//
// **Question.** Without the grammar you would have written off both models. Of which would that have been a mistake?

// %%
formats.errors(8);

// %% [markdown]
// ## Exercises
//
// 1. Try a wording of your own: change `prompt` in the cell below, and ask the first model.
// 2. If you try twenty wordings on these twenty tickets and keep the best, what will it score on the next twenty?
//
// The folded cell holds a solution to the first: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1: half the words, and the answer begun. Save it when you like it: await short.save("my_job.json")
const short = await job({
  task: "classify",
  labels: [...tickets.whole.labels],
  prompt: "{{text}}\n\nbilling, bug, account or feature? One word:",
  expected: "{{team}}",
  cases: tickets.cases.map(({ messages, label }) => ({
    text: messages[0]?.content.split("Ticket: ").at(-1),
    team: label,
  })),
});
(await quality(models.slice(0, 1), { job: short, maxTokens: 16 })).task();

// %% [markdown]
// ## What could mislead you here
//
// - *"The model can't do it"* after one wording. Most first failures are about form.
// - *"Constrained decoding made it better"*, measured by whether the answer can be parsed.
// - *The best of many wordings* is partly luck: it was chosen on the cases that now praise it. Keep some aside.
// - *A wording that suits one model* decides for that model. Give each its best one, or say that you didn't.
//
// ## The figure to keep
//
// Answers that are right, free and constrained. The figure is stored with the records.

// %% figures=1
await formats.passed(0.5).save(`${formats.folder}/formats.svg`);
