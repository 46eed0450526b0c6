// %% [markdown]
// # 04 · A test set of your own
//
// *About 20 minutes.* Is a model good enough for *your* work? No leaderboard knows. Twenty cases tell you more, if
// they are yours: you collect them, write down what you expect, let the models answer, read what went wrong, and find
// out what your checks don't see. At the end you have a job file of your own.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. A line marked `knob` is for you
// to change; then run its cell and those below it again. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { checkGuess, job, quality, show } from "podium";
import { passRate } from "podium/lib/quality/pass_rate.ts";

const tickets = await job("classify", { first: 20 }); // knob: how many of the forty tickets
tickets;

// %% [markdown]
// ## 1. Collect
//
// The example: support tickets, each of which goes to one of four teams. Take cases as they come, the ugly ones too: a
// set of the clear ones measures nothing. Twenty are a start; that they are *drawn*, and not picked, matters more.
//
// ## 2. Write what is expected
//
// **Question.** Hide the column "expected" with your hand and label the tickets yourself. On how many do you differ? Where
// two careful people differ, the case needs a rule, not a model.

// %%
tickets.list();

// %% [markdown]
// ## 3. Ask
//
// Every model gets every ticket once, at temperature 0. An answer is right if it names the expected team and no other.
//
// **Question.** Four teams: how many of twenty would a model get that always says the same one?

// %%
const guess = 10; // your prediction: how many tickets the better model gets right
const maxTokens = 16; // knob: where answers are cut; try 4 and 48
const run = await quality(null, { most: 2, job: tickets, maxTokens, seed: 4 });
run.task();

// %%
const passed = run.quality.candidates.map(({ pass_rate }) => pass_rate.passed);
checkGuess(guess, Math.max(...passed), "tickets");

// %% [markdown]
// The last row is that constant answer. A model that is not above it has learnt nothing about your tickets, however well
// it writes. Now the other side: what became of the answers that are not right?

// %%
run.scores();

// %% [markdown]
// ## 4. Read the errors
//
// This is the step that teams leave out, and the one that pays. Don't count yet: read.
//
// **Question.** Sort the answers into three groups: the *model* can't do it; the *prompt* asks badly (form, length, no
// example); your *expectation* is wrong. Which group is the largest?

// %%
run.errors(12);

// %% [markdown]
// Only the first group needs another model. The second needs another wording (lesson 07), the third another label.
//
// Where do the wrong labels go? A column that attracts everything is a habit of the model, not a matter of the tickets.

// %% figures=1
run.confusion();

// %% [markdown]
// ## 5. Find what the checks miss
//
// A check is a program: it finds what its author thought of. Try it with answers of your own, to the first ticket, which
// belongs to *billing*.
//
// **Question.** Which of these four should count as right, and which will?

// %%
await show(
  tickets.score("Billing."),
  tickets.score("This is clearly one for the billing team."),
  tickets.score("Billing, or maybe account."),
  tickets.score("Certainly not billing."),
);

// %% [markdown]
// The last one passes. Whether that matters depends on the answers that you get: read a few that
// passed, too. If none of them is like this, leave the check as it is; if some are, require a single word.
//
// ## 6. Your own
//
// Replace this job by yours: what goes into `text`, which `labels`, which prompt. Four cases are enough to see it run;
// go on in the file, or in a table that a spreadsheet keeps: `deno task quality new my_cases.csv` makes a job of it.

// %%
const mine = await job({
  task: "classify",
  labels: ["urgent", "later"],
  prompt: "Is this message urgent or can it wait until later? Answer urgent or later.\n\nMessage: {{text}}",
  expected: "{{label}}",
  cases: [
    { text: "The server room is flooding!", label: "urgent" },
    { text: "Shall we have lunch some day next month?", label: "later" },
    { text: "A customer can't pay, and the sale ends tonight.", label: "urgent" },
    { text: "I noticed a typo on page 40 of the manual.", label: "later" },
  ],
});
mine.list();

// %%
const own = await quality(null, { most: 2, job: mine, maxTokens: 16 });
own.task();

// %%
await mine.save(`${own.folder}/my_job.json`);

// %% [markdown]
// ## Exercises
//
// 1. Your job has twenty cases, and a model passes half of them. How many cases does it take until the 95 % interval is at
//    most 20 points wide?
// 2. Write an answer to ticket T02 that names its team and is of no use to anybody. What would you check besides?
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
const now = Math.round(100 * width(tickets.cases.length));
await show(`About ${needed} cases. With ${tickets.cases.length} the interval is ${now} points wide.`);

// %% jupyter={"source_hidden": true}
// Solution 2: it passes. Add a check of the length: {"kind": "words", "name": "one word", "max": 1, "required": true}
tickets.score("Bug bug bug bug bug bug, whatever, I don't read tickets.", "T02");

// %% [markdown]
// ## What could mislead you here
//
// - *Cases that you made up* are easier, and more alike, than those that come.
// - *A score without the constant answer beside it.* Thirty per cent of four labels can be nothing at all.
// - *Few cases.* None of four passed is compatible with a model that passes every third.
// - *Checks measure what their author thought of.* Read what failed, and some of what passed.
// - *A test set that you tune on* wears out: each change that you keep because these twenty liked it fits these twenty.
//   Keep some cases aside for the end.
//
// ## The figure to keep
//
// What these answers are worth, and how sure that is. The dashed line is a modest floor for a product: half of the cases.
// The figure is stored with the records.

// %% figures=1
await run.passed(0.5).save(`${run.folder}/passed.svg`);
