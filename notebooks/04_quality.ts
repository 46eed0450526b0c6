// %% [markdown]
// # 04 · Quality
//
// *About 20 minutes.* Two models summarise meeting notes. You score their answers in three ways: by checks that a program
// can verify, blind by yourself, and by a model as a judge, which has to prove first that it can.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { job, quality, show } from "podium";
import { passRate } from "podium/lib/quality/pass_rate.ts";

const notes = await job("meeting_notes", { first: 12 });
notes;

// %% [markdown]
// ## What is a good summary?
//
// Say it before you look at an answer; afterwards every answer looks like what you wanted. Each note comes with *checks*:
// what must be covered, how long the answer may be, which language it is in, and that it adds nothing that was not in the
// note. Each check has a weight.
//
// **Question.** Which of these checks would you give the most weight? Which could an answer pass that is of no use?

// %%
notes.checks();

// %%
notes.example();

// %% [markdown]
// ## Ask
//
// Every model answers every note once, at temperature 0: the most likely answer, the same again when you ask again. The
// notes are sent as they are, with nothing in front of them.
//
// **Question.** The first model was taught to answer; the second only to go on with a text. What will the second one write?

// %%
const run = await quality(null, { most: 2, job: notes, maxTokens: 128, seed: 4 });
run.answers();

// %% [markdown]
// ## Checked
//
// **Question.** Which check does each of these two answers fail, and would you have seen it?

// %%
run.verdicts();

// %% [markdown]
// Now all of them. **Question.** If a model passes none of so few notes: is its true pass rate 0 %?

// %%
run.scores();

// %%
run.checks();

// %% [markdown]
// ## Judged blind, by you
//
// Below are a few of these answers, shuffled, without the names of their models. Rate each for *correctness*: is
// everything it says true, by the note? 1 is mostly wrong or invented, 5 is nothing wrong. Don't scroll on before you have.

// %%
const sheet = run.blindSheet(4);
sheet;

// %% [markdown]
// Put your scores into the next cell, in the order of the table. Those of the colleague are made up; better, let somebody
// else fill them in without looking at yours. (The numbers in the cell are placeholders too.)

// %% quiet=true
const you = [2, 1, 3, 1];
const colleague = [2, 2, 4, 1];

// %%
const ratings = sheet.rate({ you, colleague });
ratings.agreement();

// %% [markdown]
// **Question.** Now the names: did you rate one model higher? And do your scores and the checks agree?

// %%
ratings.reveal();

// %% [markdown]
// ## Judged by a model
//
// A model can rate a thousand answers while you sleep. Whether its scores mean anything is another question, and it has
// an answer: the job holds answers that are *known* to be good and known to be bad. A judge is tried on those pairs, and
// must tell 80 % of them apart, more than a coin could; it also says which of two is better, in both orders, to see
// whether it merely likes the first.
//
// Like you, it rates *correctness* alone.
//
// **Question.** Your judge is the first of the models above. How many pairs out of ten will it get right?

// %%
await run.tryJudge(12);

// %% [markdown]
// A judge that is refused rates nothing: a figure that means nothing is worse than none.
//
// ## Exercises
//
// 1. A model passes half of its cases. How many cases does it take until the 95 % interval is at most 20 points wide?
// 2. Write an answer to the first note that passes its checks and is of no use. Which check is missing?
//
// The folded cells hold a solution each: click the dots to open.

// %% quiet=true
// Your turn.

// %% jupyter={"source_hidden": true}
// Solution 1
const width = (n: number) => {
  const [low, high] = passRate(Array.from({ length: n }, (_, at) => at % 2)).ci95 ?? [0, 1];
  return high - low;
};
const needed = [10, 20, 40, 60, 80, 100, 200].find((n) => width(n) <= 0.2);
const now = Math.round(100 * width(notes.cases.length));
await show(`About ${needed} cases. With ${notes.cases.length} the interval is ${now} points wide.`);

// %% jupyter={"source_hidden": true}
// Solution 2: the aspects themselves, strung together. No check asks whether it reads like a text: that takes people.
notes.score(`${notes.case().aspects.join(". ")}.`);

// %% [markdown]
// ## What could mislead you here
//
// - *A mean score without its interval.* An answer earns credit for its language and length alone: read the pass rate.
// - *Few cases.* None of four passed is compatible with a model that passes every third.
// - *Checks measure what their author thought of.* Read answers, too.
// - *Scores given with the names in sight.* Knowing which model wrote an answer is enough to like it more.
// - *A judge that was never tried.* It always gives figures, and they always look like evidence.
// - *A judge that is a candidate* tends to like itself.
//
// ## The figure to keep
//
// What these answers are worth, and how sure that is. The dashed line is a modest floor for a product: half of the cases.
// The figure is stored with the records.

// %% figures=1
await run.passed(0.5).save(`${run.folder}/passed.svg`);
