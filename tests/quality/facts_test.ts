/** Numbers, dates and names are read in the formats that people write, and compared by their meaning. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { datesIn, timesIn, weekdaysIn } from "../../lib/quality/dates.ts";
import { inventions } from "../../lib/quality/invented.ts";
import { digitNumbers, spelledNumbers } from "../../lib/quality/numbers.ts";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";

Deno.test("digits are read in any country's format, with scale and unit", () => {
  const cases: [string, number, string | null][] = [
    ["12,500", 12500, null],
    ["12.500 EUR", 12500, "EUR"],
    ["€12,500.50", 12500.5, "EUR"],
    ["12.500,50 €", 12500.5, "EUR"],
    ["12 500 francs", 12500, "CHF"],
    ["1.2 million", 1_200_000, null],
    ["1,2 Mio. Euro", 1_200_000, "EUR"],
    ["3k", 3000, null],
    ["6.5 %", 6.5, "%"],
    ["40 percent", 40, "%"],
    ["$5", 5, "USD"],
    ["2,5", 2.5, null],
  ];
  for (const [text, value, unit] of cases) {
    const [found, ...more] = digitNumbers(text);
    assert.deepEqual([found?.values[0], found?.unit, more.length], [value, unit, 0], text);
  }
});

Deno.test("digits inside a word are no number, a version has no value", () => {
  assert.deepEqual(digitNumbers("Q3 and v2"), []);
  assert.deepEqual(digitNumbers("1.2.3").map(({ values }) => values), [[]]);
});

Deno.test("numbers are read when they are spelled out", () => {
  const cases = [
    ["two hundred and fifty seats", "en", 250],
    ["twenty-five", "en", 25],
    ["twelve thousand five hundred", "en", 12500],
    ["fünfundzwanzig", "de", 25],
    ["dix-sept", "fr", 17],
    ["treinta", "es", 30],
  ] as const;
  for (const [text, language, value] of cases) {
    assert.deepEqual(spelledNumbers(text, language).map(({ values }) => values[0]), [value], text);
  }
  assert.deepEqual(spelledNumbers("one of a kind", "en"), [], "one is an article");
  assert.deepEqual(spelledNumbers("once upon a time", "en"), [], "eleven in Spanish only");
});

Deno.test("every whole number is read back from its English format", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 999_999_999 }), (value) => {
    const [found] = digitNumbers(`about ${value.toLocaleString("en")} people`);
    assert.ok(found?.values.includes(value));
  }));
});

Deno.test("dates are read in the formats of several languages", () => {
  const march14 = [
    "2026-03-14",
    "14.03.2026",
    "14/03/2026",
    "03/14/2026",
    "14 March 2026",
    "14th of March 2026",
    "March 14th, 2026",
    "14. März 2026",
    "14 mars 2026",
    "14 de marzo de 2026",
    "14 marzo 2026",
    "14 maart 2026",
    "14 de março de 2026",
  ];
  for (const text of march14) {
    const [found] = datesIn(`on ${text}.`);
    assert.deepEqual(found?.readings[0], { year: 2026, month: 3, day: 14 }, text);
  }
});

Deno.test("a day and month that may be read either way keep both readings", () => {
  assert.deepEqual(datesIn("04/05/2026")[0]?.readings.map(({ day, month }) => [day, month]), [[4, 5], [
    5,
    4,
  ]]);
  assert.deepEqual(datesIn("24/7 support for 2/3 of them"), []);
});

Deno.test("dates that a general parser misreads are read as people mean them", () => {
  const days = (text: string) => datesIn(text).map(({ readings }) => readings[0]);
  const day = (year: number | null, month: number | null, day: number | null) => ({ year, month, day });
  assert.deepEqual(days("on 14 and 16 March"), [day(null, 3, 14), day(null, 3, 16)]);
  assert.deepEqual(days("March 14–16, 2026"), [day(2026, 3, 14), day(2026, 3, 16)]);
  assert.deepEqual(days("im März 2026"), [day(2026, 3, null)]);
  assert.deepEqual(days("en mars 2026"), [day(2026, 3, null)]);
  assert.deepEqual(days("by the 14th"), [day(null, null, 14)]);
  assert.deepEqual(days("on May 5"), [day(null, 5, 5)]);
  assert.deepEqual(days("Jan asks 10–12 people, today or in 3 weeks"), []);
});

Deno.test("a range of days is two dates", () => {
  assert.deepEqual(datesIn("14–16 March").flatMap(({ readings }) => readings.map(({ day }) => day)), [
    14,
    16,
  ]);
});

Deno.test("words that are also names of months or days stay words", () => {
  assert.deepEqual(datesIn("we may march on, so what"), []);
  assert.deepEqual(weekdaysIn("she sat in the sun, so Mi casa"), []);
});

Deno.test("times twelve hours apart are one time", () => {
  const [a, b, c] = ["15:30", "3:30 pm", "15h30"].map((text) => timesIn(text)[0]?.minutesOfHalfDay);
  assert.ok(a === 210 && b === 210 && c === 210);
});

const notes = `Meeting on 10 February 2026. Present: Ana Ruiz, Ben, Dr. Wu.
The launch moves from 2 March to 14.03.2026. The budget is 12,480 EUR, that is 40 percent over plan.
Ana owns 23 tablets. Call at 10:30. The Customer Advisory Board is asked. Ben writes the roll-out plan by Friday.`;

Deno.test("what the notes hold is not invented, however it is written", () => {
  const supported = [
    "The launch is on March 14th, 2026.",
    "Launch: Saturday, 14 March.",
    "The budget is €12,480, 40% over plan.",
    "The budget is about 12,500 euros.",
    "Twenty-three tablets belong to Ana Ruiz's team.",
    "Dr. Wu and the CAB were there.",
    "There are three action items:\n1. Ben's roll-out plan\n2. Call at 10:30 am",
    "**Key Decisions:** Launch Date Moved\n## Next Steps For Everybody",
    "Everyone agreed. Testing comes later, and testing is good.",
    "Der Start ist am 14. März, Ben schreibt den Plan bis Freitag.",
  ];
  for (const answer of supported) assert.deepEqual(inventions(answer, notes), [], answer);
});

Deno.test("what the notes don't hold is found, and named as the answer has it", () => {
  const invented: [string, string, string][] = [
    ["The launch is on 15 March.", "date", "15 March"],
    ["The launch is on 14 March 2027.", "date", "14 March 2027"],
    ["They meet on Thursday.", "date", "Thursday"],
    ["Call at 11:30.", "date", "11:30"],
    ["The budget is 12,500 EUR.", "number", "12,500 EUR"],
    ["The budget is $12,480.", "number", "$12,480"],
    ["40 tablets of 24 people are broken.", "number", "24"],
    ["Sarah sends it.", "name", "Sarah"],
    ["Ana met Jonathan Miller.", "name", "Jonathan"],
    ["The office in Paris is closed.", "name", "Paris"],
    ["It needs v2.3 of the tool.", "name", "v2.3"],
    ["Frau Schneider schreibt den Plan und Ben ist nicht mehr dabei.", "name", "Schneider"],
  ];
  for (const [answer, kind, text] of invented) {
    assert.deepEqual(inventions(answer, notes)[0], { kind, text }, answer);
  }
});

Deno.test("only the asked kinds are looked for, and allowed words are known", () => {
  assert.deepEqual(inventions("Sarah has 99.", notes, { facts: ["number"] }).map(({ text }) => text), ["99"]);
  assert.deepEqual(inventions("Sarah has 99.", notes, { allow: ["Sarah", "99"] }), []);
});

Deno.test("a text never invents against itself", async () => {
  const { prompts } = await loadPromptSet("prompts/meeting_notes.json");
  const texts = prompts.map(({ messages }) => messages.map(({ content }) => content).join("\n\n"));
  for (const text of texts) assert.deepEqual(inventions(text, text), []);
  fc.assert(fc.property(fc.string(), (text) => assert.deepEqual(inventions(text, text), [])));
});

Deno.test("a number that the notes don't have is always found", () => {
  fc.assert(fc.property(fc.integer({ min: 100_000, max: 9_999_999 }), (value) => {
    assert.equal(inventions(`The budget is ${value.toLocaleString("en")} units.`, notes).length, 1);
  }));
});
