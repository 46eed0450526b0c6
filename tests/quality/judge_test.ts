/** A judge may score only after it has told good answers from bad ones. */
import assert from "node:assert/strict";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { type CallJudge, Judge, type JudgedPrompt, ratingMessages } from "../../lib/quality/judge.ts";
import { anchoredPairs, tryJudge } from "../../lib/quality/judge_trial.ts";
import { agreementWithPeople, judgeAnswers } from "../../lib/quality/judge_run.ts";
import { ratingsOf, readSheet } from "../../lib/quality/import.ts";
import { rubricFor, rubrics } from "../../lib/quality/rubric.ts";
import { formatSheet, makeSheet, rubricOf } from "../../lib/quality/sheet.ts";
import { seededRandom } from "../../lib/stats/random.ts";

const { prompts } = await loadPromptSet("prompts/meeting_notes.json");
const goodTexts = new Set(prompts.map(({ reference }) => reference));

/** What was put before the judge: the texts between the answer's marks. */
function answersIn(messages: Parameters<CallJudge>[0]): string[] {
  const text = messages.at(-1)?.content ?? "";
  return [...text.matchAll(/<answer>\n([\s\S]*?)\n<\/answer>/g)].map((match) => match[1] ?? "");
}

/** A judge that scores by `value` and chooses by it, the first where both are equal. */
function judgeBy(value: (answer: string) => number): CallJudge {
  return (messages, { name }) => {
    const [a = "", b = ""] = answersIn(messages);
    const score = value(a);
    const reply = name === "choice"
      ? { better: score >= value(b) ? "A" : "B" }
      : { fluency: score, relevance: score, correctness: score };
    return Promise.resolve(JSON.stringify(reply));
  };
}

const expert = judgeBy((answer) => goodTexts.has(answer) ? 5 : 2);
const trial = (ask: CallJudge) => tryJudge(new Judge(ask, rubrics.fluency), prompts);

Deno.test("a judge that tells good from bad is accepted, with its figures", async () => {
  const { accepted, accuracy, ties, firstChosen, invalid, meanGood, meanBad } = await trial(expert);
  assert.deepEqual([accepted, accuracy.rate, ties, invalid, meanGood, meanBad], [true, 1, 0, 0, 5, 2]);
  assert.equal(
    firstChosen.share,
    0.5,
    "both orders of every pair, so an unbiased judge chooses the first half the time",
  );
});

Deno.test("judges that can't tell are refused, and their bias shows", async () => {
  const constant = await trial(judgeBy(() => 4));
  assert.deepEqual([constant.accepted, constant.accuracy.rate, constant.ties], [false, 0, constant.pairs]);
  assert.equal(constant.firstChosen.share, 1, "always the first");

  const byLength = await trial(judgeBy((answer) => Math.min(5, 1 + Math.floor(answer.length / 100))));
  assert.equal(byLength.accepted, false);
  assert.equal(byLength.longerBad.rate, 0, "a longer bad answer never loses");

  const random = seededRandom(7);
  const guessing = await trial(judgeBy(() => 1 + Math.floor(5 * random())));
  assert.equal(guessing.accepted, false);
  assert.match(
    guessing.reason ?? "",
    /it ranked \d+ % of the anchored pairs correctly \(\d+ % to \d+ %\), below the threshold of 80 %/,
  );
});

Deno.test("a judge that answers prose is refused after a few replies, with what it said", async () => {
  const prose = await trial(() => Promise.resolve("I think\nthis answer is quite good!"));
  assert.equal(prose.accepted, false);
  assert.match(
    prose.reason ?? "",
    /were not JSON of the requested schema, such as "I think this answer is quite good!"/,
  );
  assert.ok(prose.replies < 12, `${prose.replies} replies`);
});

Deno.test("scores out of range, halves and missing dimensions are not taken for scores", async () => {
  const replies = [
    '{"fluency":6,"relevance":1,"correctness":1}',
    '{"fluency":2.5,"relevance":1,"correctness":1}',
    '{"fluency":3}',
  ];
  for (const reply of replies) {
    const judge = new Judge(() => Promise.resolve(reply), rubrics.fluency);
    const [prompt] = prompts;
    assert.ok(prompt);
    assert.equal(await judge.rate(prompt, "answer"), null);
    assert.equal(judge.invalid, 1);
  }
});

Deno.test("the judge is asked for JSON by schema, and never told whose answer it reads", async () => {
  const asked: Parameters<CallJudge>[] = [];
  await trial((...args) => {
    asked.push(args);
    return expert(...args);
  });
  const [, format] = asked[0] ?? [];
  assert.deepEqual(format?.schema.required, ["fluency", "relevance", "correctness"]);
  assert.ok(asked.every(([messages]) => !JSON.stringify(messages).includes('"label"')));
});

Deno.test("anchors are needed: enough of them, and aspects", async () => {
  const few = prompts.slice(0, 3);
  await assert.rejects(() => tryJudge(new Judge(expert, rubrics.fluency), few), /3 pairs .* at least 8/);
  assert.ok(anchoredPairs(prompts).length >= 12);
  const bare: JudgedPrompt = { id: "bare", messages: [], aspects: [], reference: null, anchors: [] };
  assert.throws(() => ratingMessages(bare, "answer", rubrics.fluency), /"bare" has no aspects/);
});

Deno.test("the anchors can show a bias for length: some bad answers are longer, some shorter", () => {
  const longer = anchoredPairs(prompts).filter(({ good, bad }) => bad.length > good.length).length;
  assert.ok(longer >= 3 && longer <= anchoredPairs(prompts).length - 3, `${longer}`);
});

Deno.test("an accepted judge rates each text once, and its agreement with people is told", async () => {
  const [first, second] = prompts;
  assert.ok(first?.reference && second);
  const answer = (id: string, prompt_id: string, content: string) => ({
    id,
    candidate: "c",
    prompt_id,
    phase: "timed" as const,
    round: 1,
    content,
    reasoning: "",
  });
  const answers = [
    answer("1", first.id, first.reference),
    answer("2", first.id, first.reference),
    answer("3", second.id, "nothing"),
    answer("4", second.id, " "),
  ];
  const judge = new Judge(expert, rubrics.fluency);
  const { ratings, unrated } = await judgeAnswers(judge, answers, prompts, { rater: "m" });
  assert.deepEqual([ratings.length, unrated, judge.replies], [3, 0, 2]);
  const people = ratings.map((rating) => ({ ...rating, source: "person" as const, rater: "ana" }));
  assert.ok(agreementWithPeople([...ratings, ...people], "m").every(({ alpha }) => alpha === 1));
  assert.deepEqual(agreementWithPeople(ratings, "m"), []);
});

Deno.test("a job's own rubric is what people and a judge rate by; without one it is fluency", () => {
  const own = {
    name: "mails",
    rubric: { tone: "Is it polite?", facts: { question: "True?", one: "no", five: "yes" } },
  };
  const rubric = rubricFor(undefined, own);
  assert.deepEqual(rubric.dimensions, [
    { name: "tone", question: "Is it polite?", one: "not at all", five: "fully" },
    { name: "facts", question: "True?", one: "no", five: "yes" },
  ]);
  assert.equal(rubricFor(undefined, { name: "notes", rubric: null }).name, "fluency");
  assert.equal(rubricFor("accuracy", own).name, "accuracy", "the flag decides");
  assert.throws(() => rubricFor("job", { name: "notes", rubric: null }), /notes has no "rubric"/);
  assert.throws(() => rubricFor("job", { name: "notes", rubric: ["tone"] }), /is not an object of questions/);
  const bare = {
    id: "p",
    messages: [{ role: "user" as const, content: "Write." }],
    aspects: [],
    reference: null,
    anchors: [],
  };
  assert.match(
    ratingMessages(bare, "Dear Ana", rubric)[1]?.content ?? "",
    /- tone: Is it polite\? 1 = not at all; 5 = fully\./,
  );
  assert.throws(() => ratingMessages(bare, "Dear Ana", rubricFor("fluency", own)), /has no aspects/);
  const answer = {
    id: "1",
    candidate: "a",
    prompt_id: "p",
    phase: "timed" as const,
    round: 1,
    content: "Dear Ana",
    reasoning: "",
  };
  const sheet = makeSheet([answer], [bare], { runId: "run", annotator: "ana", rubric });
  const filled = formatSheet(sheet.items, rubricOf(sheet.key)).replace(/,,,\s*$/, ",4,5,\n");
  assert.deepEqual(ratingsOf(readSheet(filled, [sheet.key], { name: "sheet" }))[0]?.scores, {
    tone: 4,
    facts: 5,
  });
});
