/**
 * Names, dates and numbers in an answer that its source doesn't state. Deterministic and explainable:
 * every finding quotes the answer. It compares facts, not sentences: it misses that the answer
 * credits Ana with what Ben did.
 */
import type { FactKind } from "../prompts/checks.ts";
import { type CalendarDate, datesIn, timesIn, weekdaysIn } from "./dates.ts";
import { detectLanguage } from "./language.ts";
import { inventedNames, knownWords } from "./names.ts";
import { digitNumbers, type Quantity, spelledNumbers } from "./numbers.ts";
import { plainText, replaceSpans, wordsOf } from "./text.ts";

export interface Invention {
  readonly kind: FactKind;
  /** As the answer has it. */
  readonly text: string;
}

/**
 * The names, dates and numbers in `answer` that `source` doesn't support.
 *
 * A number is supported by the same value in any format, in digits or words, with the same unit of money or
 * percent; `about 12,000` is supported by 12,480 (5 %). A count of things that a summary makes itself
 * (`three decisions`) up to 20, and the numbers of a list, are not checked; a sum is not supported if
 * the source doesn't state it. A date is supported by one whose day and month agree, whatever the format; a
 * weekday by its name, or by the date it falls on; a year by any mention of it.
 *
 * ```ts
 * const notes = "Ana: budget is 12.500 EUR, launch on 14.03.2026.";
 * if (inventions("Launch: Saturday, March 14. Budget €12,500.", notes).length > 0) throw new Error("all known");
 * const [found] = inventions("Bob asked for €15,000.", notes, { facts: ["number"] });
 * if (found?.text !== "€15,000") throw new Error(JSON.stringify(found));
 * ```
 */
export function inventions(
  answer: string,
  source: string,
  options: { facts?: readonly FactKind[]; allow?: readonly string[] } = {},
): Invention[] {
  const { facts = ["name", "date", "number"], allow = [] } = options;
  const told = plainText(answer);
  const known = plainText([source, ...allow].join("\n"));
  const finders: Record<FactKind, () => string[]> = {
    name: () => inventedNames(answer, knownWords(known), detectLanguage(told)),
    date: () => inventedDates(told, known),
    number: () => inventedNumbers(told, known),
  };
  return facts.flatMap((kind) => [...new Set(finders[kind]())].map((text) => ({ kind, text })));
}

function inventedDates(answer: string, source: string): string[] {
  const known = datesIn(source).flatMap(({ readings }) => readings);
  const years = yearsIn(source, known);
  const dates = datesIn(answer).filter(({ readings }) =>
    !readings.some((date) => isKnownDate(date, known, years))
  );
  const days = knownWeekdays(source, known, years);
  const weekdays = weekdaysIn(answer).filter(({ weekday }) => !days.has(weekday));
  const times = new Set(timesIn(source).map(({ minutesOfHalfDay }) => minutesOfHalfDay));
  const hours = timesIn(answer).filter(({ minutesOfHalfDay }) => !times.has(minutesOfHalfDay));
  return [...dates, ...weekdays, ...hours].map(({ text }) => text);
}

function yearsIn(source: string, known: readonly CalendarDate[]): Set<number> {
  const lone = [...source.matchAll(/(?<!\d)(?:19|20)\d{2}(?!\d)/g)].map(([year]) => Number(year));
  return new Set([...lone, ...known.flatMap(({ year }) => year ?? [])]);
}

function isKnownDate(
  date: CalendarDate,
  known: readonly CalendarDate[],
  years: ReadonlySet<number>,
): boolean {
  if (date.year !== null && !years.has(date.year)) return false;
  const agrees = (other: CalendarDate) =>
    (date.month === null || other.month === date.month) && (date.day === null || other.day === date.day) &&
    (date.year === null || other.year === null || other.year === date.year);
  if (known.some(agrees)) return true;
  // "in March … on the 14th"
  return date.day !== null && date.month !== null &&
    known.some(({ month, day }) => month === null && day === date.day) &&
    known.some(({ month }) => month === date.month);
}

/** Weekdays that the source names, or on which one of its dates falls in one of its years. */
function knownWeekdays(
  source: string,
  known: readonly CalendarDate[],
  years: ReadonlySet<number>,
): Set<number> {
  const fallen = known.flatMap(({ year, month, day }) => {
    if (month === null || day === null) return [];
    return (year === null ? [...years] : [year]).map((y) =>
      new Date(Date.UTC(y, month - 1, day)).getUTCDay()
    );
  });
  return new Set([...weekdaysIn(source).map(({ weekday }) => weekday), ...fallen]);
}

/** Things that a summary may count although the source states no number. */
const countable =
  /^\W*(?:(?:key|main|open|new|different|other|major|important|clear|specific|wichtige|offene|neue|points?)\s+)?(?:actions?|items?|decisions?|points?|tasks?|topics?|steps?|people|participants?|attendees?|persons?|members?|questions?|issues?|risks?|options?|parts?|sections?|sentences?|words?|bullets?|things?|reasons?|owners?|speakers?|aufgaben|punkte|entscheidungen|themen|personen|teilnehmer|fragen|risiken|maßnahmen|tâches|points|décisions|personnes|tareas|puntos|decisiones|personas)(?!\p{L})/iu;
const approximately =
  /(?:about|around|roughly|approximately|nearly|almost|over|under|more than|less than|ca\.?|etwa|rund|knapp|fast|über|environ|presque|casi|unos|aproximadamente)\s*$/iu;

function inventedNumbers(answer: string, source: string): string[] {
  const known = [
    ...digitNumbers(source),
    ...(["en", "de", "fr", "es"] as const)
      .flatMap((language) => spelledNumbers(source, language)),
  ];
  const literal = new Set(wordsOf(source));
  const owned = blank(answer, [...datesIn(answer), ...timesIn(answer)])
    .replaceAll(/^[ \t]{0,20}(?:#{1,6} )?\(?\d{1,3}[.)](?=\s)/gm, (mark) => " ".repeat(mark.length));
  const language = detectLanguage(answer) ?? "en";
  return [...digitNumbers(owned), ...spelledNumbers(owned, language)].filter((number) => {
    if (number.values.length === 0) return !literal.has(number.text);
    return !isOwnCount(number, owned) && !isKnownNumber(number, known, owned);
  }).map(({ text }) => text);
}

/** The text with the mentions blanked out; offsets stay the same. */
function blank(text: string, mentions: readonly { readonly text: string; readonly index: number }[]): string {
  return replaceSpans(
    text,
    mentions.map(({ text: { length }, index }) => ({ index, length, by: " ".repeat(length) })),
  );
}

function isOwnCount({ text, index, values, unit }: Quantity, answer: string): boolean {
  return unit === null && values.some((value) => Number.isInteger(value) && value <= 20) &&
    countable.test(answer.slice(index + text.length, index + text.length + 40));
}

function isKnownNumber(number: Quantity, known: readonly Quantity[], answer: string): boolean {
  const tolerance = approximately.test(answer.slice(Math.max(0, number.index - 20), number.index)) ? 0.05 : 0;
  const units = new Set(known.map(({ unit }) => unit));
  return known.some((other) => {
    const sameUnit = number.unit === null || number.unit === other.unit ||
      (other.unit === null && units.has(number.unit));
    return sameUnit &&
      number.values.some((value) =>
        other.values.some((stated) =>
          Math.abs(value - stated) <= tolerance * stated + 1e-9 * Math.abs(stated)
        )
      );
  });
}
