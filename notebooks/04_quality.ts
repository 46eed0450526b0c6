// %% [markdown]
// # 04 · Quality
//
// *About 20 minutes.* Two models summarise meeting notes. You will score their answers in three ways: by checks that a
// program can verify, blind by yourself, and by a model as a judge, which has to prove first that it can.
//
// Run the cells in order with Shift+Enter; guess the answer to each question first. The Stop button (■) ends a
// measurement early and keeps what it has. **A cell with a syntax error shows nothing at all**: then look for a bracket
// or a quote.

// %%
import { isShort, progress, say, show, stopSignal, table, typedRatings } from "./support.ts";
import { candidatesFor, measured, openJudge } from "./models.ts";
import { svgFile } from "../lib/plot/figure.ts";
import { ratePlot } from "../lib/plot/rate.ts";
import { loadPromptSet } from "../lib/prompts/prompts.ts";
import { defaultPassMark, scoreAnswer } from "../lib/quality/check.ts";
import { Judge } from "../lib/quality/judge.ts";
import { tryJudge } from "../lib/quality/judge_trial.ts";
import { writeQuality } from "../lib/quality/quality.ts";
import { readRecordedAnswers } from "../lib/quality/recorded_answers.ts";
import { passRate } from "../lib/quality/pass_rate.ts";
import { agreements } from "../lib/quality/ratings.ts";
import { rubrics } from "../lib/quality/rubric.ts";
import { makeSheet } from "../lib/quality/sheet.ts";

stopSignal();
const whole = await loadPromptSet("../prompts/meeting_notes.json");
const notes = { ...whole, prompts: whole.prompts.slice(0, isShort() ? 3 : 12) };
const percent = (share: number | null | undefined) =>
  share === null || share === undefined ? null : `${Math.round(100 * share)} %`;
const range = (ends: readonly [number, number] | null) => ends?.map(percent).join(" to ") ?? null;
await say(
  `**${notes.prompts.length}** of the ${whole.prompts.length} notes of ${whole.name} are asked here.`,
);

// %% [markdown]
// ## What is a good summary?
//
// Say it before you look at an answer; afterwards every answer looks like what one wanted. Each note of the set comes
// with *checks*: what must be covered, how long it may be, which language it is in, and that nothing is in it that was
// not in the note. Each has a weight.
//
// **Question.** Which of these checks would you weigh most? Which could an answer pass that is of no use to anybody?

// %%
const [note] = notes.prompts;
await table(
  (note?.checks ?? []).map(({ name, kind, weight, required }) => ({
    check: name,
    kind,
    weight,
    required: required ? "yes" : "no",
  })),
  `The checks of "${note?.id}". An answer passes when it earns ${
    percent(defaultPassMark)
  } of the weight, and every required check.`,
);

// %%
await table(
  [
    { part: "the note", text: note?.messages.at(-1)?.content ?? null },
    { part: "must cover", text: note?.aspects.join("\n") ?? null },
    { part: "a good answer", text: note?.reference ?? null },
  ],
  "What the models will see is the first row alone.",
);

// %% [markdown]
// ## Ask
//
// Every model answers every note once, at temperature 0: the most likely answer, the same again when asked again. The
// notes are sent as they are, with nothing in front of them.
//
// **Question.** The first model was taught to answer; the second only to go on with a text. What will the second one write?

// %%
const plan = {
  prompts: notes,
  rounds: 1,
  warmup: 0,
  maxTokens: isShort() ? 40 : 128,
  temperature: 0,
  prefix: "as is",
  seed: 4,
  timeoutS: 300,
} as const;
const found = await candidatesFor(null, plan);
const result = await measured(found, plan);
found.close();

// %%
const recorded = await readRecordedAnswers(result.folder);
const quality = await writeQuality(result.folder, whole);
const ids = quality.candidates.map(({ id }) => id);
const answerTo = (id: string) =>
  [...recorded.answers.values()].find((answer) => answer.candidate === id && answer.prompt_id === note?.id);
await table(
  ids.map((model) => ({ model, answer: answerTo(model)?.content ?? null })),
  `What they made of "${note?.id}".`,
);

// %% [markdown]
// ## Checked
//
// **Question.** Which check does each of these two answers fail, and would you have seen it?

// %%
await table(
  ids.flatMap((model) =>
    (quality.answers.find((one) => one.candidate === model && one.prompt_id === note?.id)?.checks ?? [])
      .map(({ name, passed, credit, detail }) => ({
        model,
        check: name,
        passed: passed ? "yes" : "no",
        credit: credit.toFixed(2),
        why: detail,
      }))
  ),
  "Every verdict says why, in words that you can verify in the answer above.",
);

// %% [markdown]
// Now all of them. **Question.** If none of so few prompts was passed: is the model's true pass rate 0 %?

// %%
await table(
  quality.candidates.map(({ id, pass_rate, score, failures }) => ({
    model: id,
    "prompts passed": `${pass_rate.passed} of ${pass_rate.n}`,
    "pass rate": percent(pass_rate.rate),
    "its 95 % interval": range(pass_rate.ci95),
    "mean score": score.mean?.toFixed(2) ?? null,
    "interval of the score": score.ci95?.map((end) => end.toFixed(2)).join(" to ") ?? null,
    "gave no answer": failures,
  })),
  "Pass rate: share of prompts that reach the pass mark, Wilson's interval. n counts prompts: asking one again tells " +
    "nothing of others.",
);

// %%
await table(
  (quality.candidates[0]?.checks ?? []).map(({ name }) => ({
    check: name,
    ...Object.fromEntries(quality.candidates.map(({ id, checks }) => {
      const rate = checks.find((check) => check.name === name)?.pass_rate;
      return [id, rate === undefined ? null : `${rate.passed} of ${rate.n} (${range(rate.ci95)})`];
    })),
  })),
  "By check: prompts that passed it, of those that have it (95 % interval).",
);

// %% [markdown]
// ## Judged blind, by you
//
// Below are a few of these answers, shuffled, without the names of their models. Rate each for *correctness*: is
// everything it says true, by the note? 1 is mostly wrong or invented, 5 is nothing wrong. Don't scroll on before you have.

// %%
const sheet = makeSheet([...recorded.answers.values()], notes.prompts, {
  runId: quality.run_id,
  annotator: "you",
  rubric: "fluency",
});
const shown = { ...sheet, items: sheet.items.slice(0, 4) };
await table(
  shown.items.map(({ aspects, answer }, at) => ({ "no.": at + 1, "must cover": aspects, answer })),
  "Four answers, in an order that nobody chose. Two models that wrote the same text stand here once.",
);

// %% [markdown]
// Put your scores into the next cell, in the order of the table. Those of the colleague are made up; better, let somebody
// beside you fill them in without looking at yours. (The numbers that stand here are placeholders too.)

// %% quiet=true
const yours = [2, 1, 3, 1].slice(0, shown.items.length);
const colleague = [2, 2, 4, 1].slice(0, shown.items.length);

// %%
const ratings = [{ rater: "you", scores: yours }, { rater: "a colleague", scores: colleague }]
  .flatMap(({ rater, scores }) => typedRatings(shown, { rater, dimension: "correctness", scores }));
const [agreement] = agreements(ratings);
await say(
  agreement?.alpha === null || agreement === undefined
    ? `Agreement can't be told: ${agreement?.reason ?? "nothing was rated"}.`
    : `Krippendorff's alpha is **${
      agreement.alpha.toFixed(2)
    }** over ${agreement.units} answers. 1 is perfect, 0 is ` +
      "chance; he asks for 0.80 to rely on it. Below that, ratings say more about the raters than about the models.",
);

// %% [markdown]
// **Question.** Now the names: did you rate one model higher? And do your scores and the checks agree?

// %%
await table(
  shown.items.map(({ item }, at) => {
    const behind = sheet.key.items.find((one) => one.item === item)?.answers ?? [];
    const checked = quality.answers.find(({ id }) => behind.some((answer) => answer.id === id));
    return {
      "no.": at + 1,
      model: behind.map(({ candidate }) => candidate).join(" and "),
      you: yours[at] ?? null,
      colleague: colleague[at] ?? null,
      "check score": checked?.score.toFixed(2) ?? null,
    };
  }),
  "Checks score 0 to 1, people 1 to 5. For a whole run: deno task quality annotate RUN, then quality import.",
);

// %% [markdown]
// ## Judged by a model
//
// A model can rate a thousand answers while you sleep. Whether its scores mean anything is another question, and it has
// an answer: the prompt set holds answers that are *known* to be good and known to be bad. A judge is tried on those
// pairs, and must tell 80 % of them apart, more than a coin could; it is also asked which of two is better, in both
// orders, to see whether it merely likes the first.
//
// Like you, it is asked for *correctness* alone.
//
// **Question.** Your judge is the first of the models above. How many pairs out of ten will it get right?

// %%
const size = ({ messages }: { messages: readonly { content: string }[] }) =>
  messages.at(-1)?.content.length ?? 0;
const byLength = whole.prompts.toSorted((a, b) => size(a) - size(b));
const anchored = { ...whole, prompts: byLength.slice(0, isShort() ? 7 : 12) };
const model = await openJudge({ prompts: anchored });
const bar = await progress(`Trying ${model.name}`);
const { fluency } = rubrics;
const correctness = {
  ...fluency,
  dimensions: fluency.dimensions.filter(({ name }) => name === "correctness"),
};
const judge = new Judge(model.ask, correctness);
const trial = await tryJudge(judge, anchored.prompts, {
  onPair: (done, all) => bar.update(done, all, "pairs of a good and a bad answer"),
});
await model.close();
await bar.finish(
  trial.accepted
    ? `${model.name} is accepted: deno task quality judge lets it rate a run.`
    : `${model.name} is refused: ${trial.reason}.`,
);

// %%
await table(
  [
    {
      figure: "pairs told apart",
      value: percent(trial.accuracy.rate),
      "what it takes": percent(trial.threshold),
    },
    {
      figure: "its 95 % interval",
      value: range(trial.accuracy.ci95),
      "what it takes": "above 50 %, a coin's share",
    },
    { figure: "ties", value: `${trial.ties} of ${trial.pairs}`, "what it takes": "a tie is not told apart" },
    {
      figure: "mean score of good : of bad answers",
      value: `${trial.meanGood?.toFixed(2) ?? "–"} : ${trial.meanBad?.toFixed(2) ?? "–"}`,
      "what it takes": null,
    },
    {
      figure: "first of two preferred",
      value: percent(trial.firstChosen.share),
      "what it takes": "50 % is no bias",
    },
    {
      figure: "replies that were not the asked JSON",
      value: `${trial.invalid} of ${trial.replies}`,
      "what it takes": "at most one in ten",
    },
  ],
  trial.accepted
    ? "Accepted."
    : "Refused: nothing is rated by it. A figure that means nothing is worse than none.",
);

// %% [markdown]
// ## Exercises
//
// 1. A model passes half of its prompts. How many prompts does it take until the 95 % interval is at most 20 points wide?
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
await say(
  `Exercise 1: about ${needed} prompts. With ${notes.prompts.length} the interval is ${
    Math.round(100 * width(notes.prompts.length))
  } points wide.`,
);

// %% jupyter={"source_hidden": true}
// Solution 2
const useless = `${note?.aspects.join(". ")}.`;
const scored = note && scoreAnswer(useless, note.checks, note);
await say(
  `Exercise 2: the aspects themselves, strung together, score ${scored?.score.toFixed(2)}${
    scored?.passed ? " and pass" : " and don't pass"
  }. No check asks whether it reads like a text: that takes people.`,
);

// %% [markdown]
// ## What could mislead you here
//
// - *A mean score without its interval.* An answer earns credit for its language and length alone: read the pass rate.
// - *Few prompts.* None of four passed is compatible with a model that passes every third.
// - *Checks measure what their author thought of.* Read answers, too.
// - *One's own scores, with the names in sight.* Knowing which model wrote it is enough to like it more.
// - *A judge that was never tried.* It always gives figures, and they always look like evidence.
// - *A judge that is a candidate* tends to like itself.
//
// ## The figure to keep
//
// What these answers are worth, and how sure that is. The dashed line is a modest floor for a product: half of the prompts.
// It is written beside the records.

// %% figures=1
const kept = ratePlot(
  quality.candidates.map(({ id, pass_rate }) => ({
    label: id,
    rate: pass_rate.rate ?? 0,
    interval: pass_rate.ci95,
  })),
  {
    title: "Prompts passed",
    axis: "share of prompts that reach the pass mark",
    floor: 0.5,
    caption: `Dot: share of prompts passed; bar: its 95 % interval (Wilson); dashed: a floor of 50 %. n = ${
      quality.candidates.map(({ pass_rate }) => pass_rate.n).join(", ")
    } prompts.`,
  },
);
await Deno.writeTextFile(`${result.folder}/passed.svg`, svgFile(kept));
await show(kept);
