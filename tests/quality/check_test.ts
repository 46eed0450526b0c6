/** Every kind of check passes what it should, fails what it should, and says why. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type AnswerCheck, checksSchema } from "../../lib/prompts/checks.ts";
import { loadPromptSet, parsePromptSet } from "../../lib/prompts/prompts.ts";
import { runCheck, scoreAnswer } from "../../lib/quality/check.ts";

const prompt = {
  messages: [{ role: "user" as const, content: "Ana launches on 14 March 2026 with 45 tablets." }],
  reference: "Ana launches 45 tablets on 14 March 2026.",
};

function check(json: unknown): AnswerCheck {
  const [one] = checksSchema.parse([json]);
  assert.ok(one);
  return one;
}

const kinds: { check: Record<string, unknown>; passes: string[]; fails: [string, RegExp][] }[] = [
  {
    check: { kind: "contains", texts: ["blue", "Sky"] },
    passes: ["The SKY is blue"],
    fails: [["The sky", /has 1 of 2, misses "blue"/]],
  },
  {
    check: { kind: "contains", texts: ["blue", "grey"], need: "any", match_case: true },
    passes: ["grey"],
    fails: [["Blue", /0 of 2/]],
  },
  {
    check: { kind: "not_contains", texts: ["ferry"] },
    passes: ["a boat"],
    fails: [["A Ferry!", /has "ferry"/]],
  },
  // A text of Markdown's marks alone is compared with the answer as it is.
  {
    check: { kind: "contains", texts: ["```", "**"] },
    passes: ["```ts\nconst a = 1;\n```\n**done**"],
    fails: [["const a = 1; done", /has 0 of 2, misses "```", "\*\*"/], ["**done**", /misses "```"/]],
  },
  {
    check: { kind: "not_contains", texts: ["`", "__"] },
    passes: ["plain words", "**bold**"],
    fails: [["a `mark`", /has "`"/], ["__init__", /has "__"/]],
  },
  {
    check: { kind: "contains", texts: ["__init__"] },
    passes: ["`__init__`", "init"],
    fails: [["in", /0 of 1/]],
  },
  {
    check: { kind: "exact", answers: ["?"] },
    passes: ["?", " ?\n"],
    fails: [["!", /not "\?"/], ["**", /not/]],
  },
  {
    check: { kind: "aspects", aspects: [{ aspect: "ticked", any: ["✅", "**"] }] },
    passes: ["✅ done", "**done**"],
    fails: [["done", /covers 0 of 1, misses "ticked"/]],
  },
  {
    check: { kind: "regex", pattern: "^total: \\d+$" },
    passes: ["Some\nTotal: 12"],
    fails: [["total: many", /not found/]],
  },
  {
    check: { kind: "regex", pattern: "stream", absent: true },
    passes: ["nightly"],
    fails: [["We stream", /is found/]],
  },
  { check: { kind: "items", min: 2, max: 2 }, passes: ["- a\n- b"], fails: [["- a", /1 items, at least 2/]] },
  {
    check: { kind: "sentences", max: 1 },
    passes: ["One, e.g. this."],
    fails: [["One. Two.", /2 sentences, at most 1/]],
  },
  {
    check: { kind: "words", min: 2, max: 3 },
    passes: ["two words"],
    fails: [["one", /1 words/], ["a b c d", /4 words/]],
  },
  {
    check: {
      kind: "json",
      schema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
    },
    passes: ['{"n": 1}', '```json\n{"n": 1}\n```'],
    fails: [["Here: {}", /not JSON/], ['{"n": "x"}', /JSON, but n:/]],
  },
  { check: { kind: "json", fenced: false }, passes: ["[1]"], fails: [["```\n[1]\n```", /not JSON/]] },
  {
    check: { kind: "language", language: "fr" },
    passes: ["La livraison reste prévue pour vendredi parce que les tests ont réussi."],
    fails: [["The release stays on Friday because the tests have passed.", /it is en/], [
      "Oui.",
      /language is unclear/,
    ]],
  },
  {
    check: { kind: "exact", answers: ["negative"] },
    passes: ['"Negative."', "negative"],
    fails: [["not negative", /not "neg/]],
  },
  {
    check: { kind: "number", value: 1234.5, tolerance: 0.1 },
    passes: ["3 pens cost 1,234.56", "1.234,5 €"],
    fails: [["-1234.5", /the last number is -1234.5/], ["none", /no number/]],
  },
  { check: { kind: "number", value: -4 }, passes: ["It is -4 degrees"], fails: [["4", /expected -4/]] },
  {
    check: {
      kind: "aspects",
      min_share: 0.5,
      aspects: [{ aspect: "who", any: ["Ana"] }, { aspect: "when", any: ["14 March", "March 14"] }],
    },
    passes: ["On March 14th? No: March 14"],
    fails: [["Somebody", /covers 0 of 2, misses "who", "when"/]],
  },
  {
    check: { kind: "nothing_invented" },
    passes: ["Ana's 45 tablets, on Saturday 14.03.2026"],
    fails: [["Ana and Paul Miller, 46 tablets", /name "Paul", name "Miller", number "46"/]],
  },
  {
    check: { kind: "repetition" },
    passes: ["One thing was said here, and then another thing was said there.", "Yes."],
    fails: [["We have to wait. ".repeat(8), /\d\d % of it repeats earlier words/]],
  },
  // Scripts of the world: words by the platform's dictionary, sentences by their own marks, full-width list marks.
  {
    check: { kind: "words", min: 5, max: 5 },
    passes: [
      "यह परीक्षण शुक्रवार को होगा।",
      "会议推迟到三月十四日。",
      "วันนี้อากาศดีมาก",
      "اجتماع اليوم في الساعة العاشرة",
    ],
    fails: [["今日は晴れです。", /4 words/], ["हिन्दी", /1 words/]],
  },
  {
    check: { kind: "sentences", min: 3, max: 3 },
    passes: [
      "会议推迟。安娜打电话给供应商！好吗？",
      "यह अच्छा है। वह गया। सब ठीक है।",
      "نعم. لا. ربما.",
      "そうです。はい。「行く。」と言った。",
      "안녕하세요. 네. 좋아요.",
    ],
    fails: [["会议推迟。", /1 sentences/]],
  },
  {
    check: { kind: "items", min: 3, max: 3 },
    passes: [
      "１．会議\n２．電話\n３．確認",
      "・一つ\n・二つ\n・三つ",
      "①甲\n②乙\n③丙",
      "（1）甲\n（2）乙\n（3）丙",
      "一、甲\n二、乙\n三、丙",
      "1、甲\n2、乙\n3、丙",
    ],
    fails: [["会議・電話・確認", /0 items/]],
  },
  {
    check: { kind: "exact", answers: ["東京"] },
    passes: ["東京。", "「東京」", "東京！", "東京\n"],
    fails: [["東京都。", /not "東京"/], ["京都", /not "東京"/]],
  },
  { check: { kind: "exact", answers: ["की"] }, passes: ["की।"], fails: [["कि", /not/], ["क", /not/]] },
  { check: { kind: "exact", answers: ["がく"] }, passes: ["がく。"], fails: [["かく", /not/]] },
  {
    check: { kind: "exact", answers: ["B"] },
    passes: [
      "(B)",
      "B)",
      "b.",
      "**B**",
      "Ｂ",
      "[B]",
      "（Ｂ）",
      "So it is \\boxed{B}.",
      "$\\boxed{\\text{B}}$",
    ],
    fails: [["A or B", /not "B"/], ["B1", /not/], ["\\boxed{A} or B", /not/], ["(A) B", /not/]],
  },
  { check: { kind: "exact", answers: ["f(x)"] }, passes: ["f(x)", "`f(x)`."], fails: [["f", /not/]] },
  { check: { kind: "exact", answers: ["-4"] }, passes: ["-4."], fails: [["4", /not/]] },
  {
    check: { kind: "number", value: 9500 },
    passes: [
      "\\boxed{$9{,}500}",
      "\\boxed{9{,}500} since 3 of 7 left",
      "It is \\$9{,}500",
      "\\[ x = 9\\,500 \\]",
      "９，５００円",
      "९५००",
      "٩٥٠٠",
    ],
    fails: [["\\boxed{9} and 9500", /last number is 9/], ["\\boxed{", /no number/]],
  },
  {
    check: { kind: "json", schema: { type: "object", required: ["n"] } },
    passes: [
      'Here it is:\n```json\n{"n": 1}\n```\nI hope this helps.',
      'Sure!\r\n```JSON\r\n{"n": 1}\r\n```',
      '```\n{"n": 1}\n```\n',
    ],
    fails: [
      ['```json\n{"n": 1}\n```\nor\n```json\n{"n": 2}\n```', /not JSON/],
      ['Here: {"n": 1}', /not JSON/],
      ['```json\n{"n": 1}', /not JSON/],
    ],
  },
  {
    check: { kind: "rouge_l", min: 0.9 },
    passes: [prompt.reference],
    fails: [["Nothing of it", /ROUGE-L F1 0.000/]],
  },
];

Deno.test("every kind of check", () => {
  for (const { check: json, passes, fails } of kinds) {
    const one = check({ name: "it", ...json });
    for (const answer of passes) {
      const { passed, detail } = runCheck(one, answer, prompt);
      assert.ok(passed, `${one.kind}: ${answer}: ${detail}`);
    }
    for (const [answer, why] of fails) {
      const { passed, detail } = runCheck(one, answer, prompt);
      assert.ok(!passed, `${one.kind}: ${answer}`);
      assert.match(detail, why);
    }
  }
});

Deno.test("a pattern that would keep a backtracking engine busy for ever is matched in linear time", () => {
  const hostile = check({ kind: "regex", name: "evil", pattern: "^(a+)+$" });
  const { passed } = runCheck(hostile, "a".repeat(20_000) + "!", prompt);
  assert.equal(passed, false);
});

Deno.test("a runaway answer of any one thing costs no more than its length", () => {
  // Quadratic work on these would take minutes; the test's own patience is the only limit.
  const all = checksSchema.parse(kinds.map(({ check: json }, at) => ({ name: `check ${at}`, ...json })));
  for (const piece of ["[", "[a](", "\n", "€1", "1,", "12:", "A ", "March 1 ", "one hundred ", "- a\n"]) {
    assert.ok(scoreAnswer(`x${piece.repeat(20_000)}`, all, prompt).score >= 0);
  }
});

Deno.test("an empty answer fails every check, a required check can't be outvoted", () => {
  const checks = [
    check({ kind: "not_contains", name: "a", texts: ["x"] }),
    check({ kind: "words", name: "b", max: 3, weight: 0.01, required: true }),
  ];
  assert.equal(scoreAnswer("<think>nothing comes of it</think>", checks, prompt).score, 0);
  const long = scoreAnswer("more than three words", checks, prompt);
  assert.ok(long.score > 0.95 && !long.passed);
  assert.throws(() => scoreAnswer("answer", [], prompt), RangeError);
});

Deno.test("what a check can't judge in this script has no part in the score, and says why", () => {
  const checks = [
    check({ kind: "sentences", name: "two sentences", min: 2, max: 2, required: true }),
    check({ kind: "contains", name: "weather", texts: ["อากาศ"] }),
  ];
  const thai = scoreAnswer("วันนี้อากาศดีมาก พรุ่งนี้ฝนตก", checks, prompt);
  assert.deepEqual([thai.score, thai.passed, thai.supported], [1, true, true]);
  assert.match(thai.checks[0]?.detail ?? "", /^can't judge: this script has no mark/);
  const only = scoreAnswer("วันนี้อากาศดีมาก", checks.slice(0, 1), prompt);
  assert.deepEqual([only.passed, only.supported], [false, false]);
  const invented = check({ kind: "nothing_invented", name: "true" });
  for (const text of ["安娜在会议上说好。", "अना ने कहा कि ठीक है", "قالت آنا نعم"]) {
    assert.equal(scoreAnswer(text, [invented], prompt).supported, false, text);
  }
  assert.equal(scoreAnswer("Ana said yes.", [invented], prompt).supported, true);
});

Deno.test("sentences of Thai, Lao and Tibetan are not judged, whatever their number", () => {
  const checks = [check({ kind: "sentences", name: "one", max: 1 })];
  for (const answer of ["ฝนตกหนัก ถนนลื่น", "ສະບາຍດີ ຂອບໃຈ", "བོད་སྐད་ལ་བཀྲ་ཤིས།"]) {
    assert.equal(scoreAnswer(answer, checks, prompt).supported, false, answer);
  }
});

Deno.test("an answer of white space or invisible characters is empty", () => {
  const checks = [check({ kind: "words", name: "short", max: 3 })];
  for (const answer of [" \n\t", "\u200b\u200b", "\u3000", "\u00ad\ufeff", "<think>x</think> \n", "\u2800"]) {
    const { score, checks: [result] } = scoreAnswer(answer, checks, prompt);
    assert.deepEqual([score, result?.detail], [0, "the answer is empty"], JSON.stringify(answer));
  }
});

Deno.test("a score is the weighted share of credits, in [0, 1], the same each time, whatever the scale of weights", () => {
  const all = kinds.map(({ check: json }, at) => ({ name: `check ${at}`, ...json }));
  fc.assert(
    fc.property(
      fc.string(),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: all.length, maxLength: all.length }),
      (
        answer,
        weights,
      ) => {
        const weighted = (scale: number) =>
          checksSchema.parse(all.map((json, at) => ({ ...json, weight: (weights[at] ?? 1) * scale })));
        const first = scoreAnswer(answer, weighted(1), prompt);
        assert.ok(first.score >= 0 && first.score <= 1);
        assert.deepEqual(scoreAnswer(answer, weighted(1), prompt), first);
        assert.ok(Math.abs(scoreAnswer(answer, weighted(0.1), prompt).score - first.score) < 1e-9);
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("faults in a prompt set's checks are named, each with its place", () => {
  const faulty: [unknown, RegExp][] = [
    [
      { kind: "regex", name: "r", pattern: "(" },
      /prompt "p1": check 1 \("r"\), pattern: pattern "\(" is not valid/,
    ],
    [{ kind: "regex", name: "r", pattern: "(?=a)b" }, /no look-around/],
    [{ kind: "aspects", name: "a", aspects: [] }, /a rubric without aspects/],
    [{ kind: "words", name: "w" }, /needs min, max or both/],
    [{ kind: "words", name: "w", min: 5, max: 2 }, /min 5 is above max 2/],
    [{ kind: "words", name: "w", max: 2, weight: 0 }, /weight/],
    [{ kind: "language", name: "l", language: "xx" }, /language/],
    [{ kind: "tasteful", name: "t" }, /kind/],
    [{ kind: "exact", answers: ["x"] }, /check 1, name/],
    [{ kind: "json", name: "j", schema: { type: "nonsense" } }, /not a JSON schema that can be checked/],
    [{ kind: "words", name: "w", max: 2, min_words: 1 }, /min_words/],
  ];
  for (const [json, message] of faulty) {
    const read = () => parsePromptSet([{ prompt: "Hi", checks: [json] }], "mine");
    assert.throws(
      read,
      (error) => error instanceof Error && error.name === "UserError" && message.test(error.message),
    );
  }
  const twice = [{ kind: "words", name: "w", max: 2 }, { kind: "words", name: "w", max: 3 }];
  assert.throws(
    () => parsePromptSet([{ prompt: "Hi", checks: twice }], "mine"),
    /the name "w" is used twice/,
  );
});

Deno.test("the meeting-notes scenario: its references pass, its bad answers don't", async () => {
  const { prompts } = await loadPromptSet("prompts/meeting_notes.json");
  assert.ok(prompts.length >= 12);
  for (const { id, checks, reference, anchors, aspects, ...rest } of prompts) {
    assert.ok(reference !== null && aspects.length > 0 && anchors.some(({ label }) => label === "bad"), id);
    const good = scoreAnswer(reference, checks, { ...rest, reference });
    assert.ok(good.passed && good.score > 0.95, `${id}: ${JSON.stringify(good)}`);
    for (const { answer } of anchors.filter(({ label }) => label === "bad")) {
      assert.ok(!scoreAnswer(answer, checks, { ...rest, reference }).passed, `${id}: ${answer}`);
    }
    const patterns = checks.find(({ kind }) => kind === "aspects");
    assert.ok(patterns?.kind === "aspects");
    assert.deepEqual(patterns.aspects.map(({ aspect }) => aspect), aspects, id);
  }
});

Deno.test("copying the notes is no summary", async () => {
  const { prompts } = await loadPromptSet("prompts/meeting_notes.json");
  for (const { id, checks, messages, reference } of prompts) {
    const copy = messages.at(-1)?.content ?? "";
    assert.ok(!scoreAnswer(copy, checks, { messages, reference }).passed, id);
  }
});

Deno.test("the course's own prompt sets can be read", async () => {
  for (const [name, count] of [["session03", 4], ["session03_deterministic", 3], ["course", 11]] as const) {
    const { prompts } = await loadPromptSet(`prompts/${name}.json`);
    assert.equal(prompts.length, count);
  }
});
