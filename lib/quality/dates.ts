/**
 * Dates, weekdays and times of day in running text, in the formats of several languages.
 *
 * The patterns are our own because chrono-node 2.10.3, run in all seven languages, misses what the checks
 * need: `14 and 16 March` (one date), `März 2026`, `mars 2026` and `the 14th` (none), and reads `May 5` as
 * May 2005, `March 14–16` as March 2014, `10–12 people` as a time of day, and the name Jan as a month.
 */
import { languageCode } from "../prompts/checks.ts";
import { fold, replaceSpans, type Span } from "./text.ts";

/** A date as far as a text states it; null for the parts that it leaves out. */
export interface DateMention {
  readonly text: string;
  readonly index: number;
  /** Every way to read it: `3/4` is the third of April to one reader and the fourth of March to another. */
  readonly readings: readonly CalendarDate[];
}

export interface CalendarDate {
  readonly year: number | null;
  /** 1 to 12. */
  readonly month: number | null;
  readonly day: number | null;
}

export interface WeekdayMention {
  readonly text: string;
  readonly index: number;
  /** 0 is Sunday, as in `Date`. */
  readonly weekday: number;
}

export interface TimeMention {
  readonly text: string;
  readonly index: number;
  /** Minutes since midnight or noon: 15:30 and 3:30 (pm or not said) are 210. */
  readonly minutesOfHalfDay: number;
}

/**
 * The dates of a text: `2026-03-14`, `14.03.2026`, `14/3`, `14 March`, `March 14th, 2026`, `14 de marzo`,
 * `14–16 March` (two mentions), `March 2026`, a month alone (day and year null), `the 14th` (month null).
 *
 * @example
 * ```ts
 * const [date] = datesIn("moved to 14. März 2026");
 * if (date?.readings[0]?.month !== 3) throw new Error(JSON.stringify(date));
 * ```
 */
export function datesIn(text: string): DateMention[] {
  let rest = text;
  const found: DateMention[] = [];
  for (const { pattern, read } of formats) {
    const taken: Span[] = [];
    for (const match of rest.matchAll(pattern)) {
      const mentions = read(match.slice(1)).map((readings) => readings.filter(isPossible))
        .filter((readings) => readings.length > 0);
      if (mentions.length === 0) continue;
      const { 0: { length }, index } = match;
      found.push(
        ...mentions.map((readings) => ({ text: match[0].replace(/[\s.,]+$/, ""), index, readings })),
      );
      taken.push({ index, length, by: " ".repeat(length) });
    }
    rest = replaceSpans(rest, taken);
  }
  return found.sort((a, b) => a.index - b.index);
}

/**
 * The weekdays that a text names, in any of the languages.
 *
 * @example
 * ```ts
 * if (weekdaysIn("am Freitag")[0]?.weekday !== 5) throw new Error("Friday is 5");
 * ```
 */
export function weekdaysIn(text: string): WeekdayMention[] {
  return [...text.matchAll(/\p{L}+(?:-feira)?/gu)].flatMap(({ 0: word, index }) => {
    const singular = fold(word).replace(/^(.*day|.*tag)s$/, "$1");
    const weekday = weekdays.get(singular) ?? shortWeekdays.get(word);
    return weekday === undefined ? [] : [{ text: word, index, weekday }];
  });
}

/**
 * The times of day that a text names: `10:30`, `3 pm`, `14 Uhr`, `14h30`. Times twelve
 * hours apart count as equal.
 *
 * @example
 * ```ts
 * const [a, b] = timesIn("at 15:30, that is 3:30 pm");
 * if (a?.minutesOfHalfDay !== b?.minutesOfHalfDay) throw new Error("one time");
 * ```
 */
export function timesIn(text: string): TimeMention[] {
  const clock =
    /(?<![\p{L}\p{N}.,:])(\d{1,2})(?:(?::|h)(\d{2})(?: ?(?:[ap]\.?m\.?(?!\p{L})|Uhr|h(?!\p{L})))?|(?:\.(\d{2}))? ?(?:[ap]\.?m\.?(?!\p{L})|Uhr|o'clock))(?![\p{N}])/giu;
  return [...text.matchAll(clock)].flatMap((match) => {
    const [hour, minute] = [Number(match[1]), Number(match[2] ?? match[3] ?? 0)];
    if (hour > 24 || minute > 59) return [];
    return [{ text: match[0].trim(), index: match.index, minutesOfHalfDay: (hour * 60 + minute) % 720 }];
  });
}

const everyLanguage = languageCode.options;

/** The names of months or weekdays in every language, as written and folded, with their place in the year or week. */
function calendarNames(
  part: { month: "long" } | { weekday: "long" },
  dates: readonly Date[],
): [string, number][] {
  return everyLanguage.flatMap((language) => {
    const format = new Intl.DateTimeFormat(language, { ...part, timeZone: "UTC" });
    return dates.flatMap((date, index): [string, number][] => {
      const name = format.format(date);
      return [[name.toLowerCase(), index], [fold(name), index]];
    });
  });
}

const monthDates = Array.from({ length: 12 }, (_, month) => new Date(Date.UTC(2026, month, 15)));

/** The short forms of months that are not words themselves. */
const shortMonths = "jan feb,févr,fevr mar apr,avr,abr jun jul,juil aug,ago sep,sept oct,okt nov dec,dez,dic"
  .split(" ");
const monthOfShort = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12];

/** 1 to 12 by name. */
const months: ReadonlyMap<string, number> = new Map([
  ...calendarNames({ month: "long" }, monthDates)
    .map(([name, index]): [string, number] => [name, index + 1]),
  ...shortMonths.flatMap((names, at) =>
    names.split(",").map((name): [string, number] => [name, monthOfShort[at] ?? 0])
  ),
]);

/** 0 is Sunday; 4 January 2026 is one. */
const weekdays: ReadonlyMap<string, number> = new Map(
  calendarNames(
    { weekday: "long" },
    Array.from({ length: 7 }, (_, day) => new Date(Date.UTC(2026, 0, 4 + day))),
  ),
);
/** Only with their capital: `sat` and `so` are words. */
const shortWeekdays: ReadonlyMap<string, number> = new Map(
  ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].map((name, index) => [name, index]),
);

const monthNames = [...months.keys()].sort((a, b) => b.length - a.length).join("|");
const day = String.raw`(\d{1,2})(?:st|nd|rd|th|er|º|\.)?`;
const notBefore = String.raw`(?<![\p{L}\p{N}.,/-])`;
const year = String.raw`((?:19|20)\d{2})`;

interface DateFormat {
  readonly pattern: RegExp;
  /** The dates that a match mentions (a range mentions two), each with its readings. */
  readonly read: (groups: readonly (string | undefined)[]) => CalendarDate[][];
}

const numberOf = (text: string | undefined): number | null => text === undefined ? null : Number(text);
const monthOf = (name: string | undefined): number | null => months.get((name ?? "").toLowerCase()) ?? null;
const fullYear = (text: string | undefined): number | null =>
  text === undefined ? null : text.length === 2 ? 2000 + Number(text) : Number(text);

/** In order: the first format that matches a stretch of text owns it. */
const formats: readonly DateFormat[] = [
  {
    pattern: new RegExp(String.raw`${notBefore}${year}-(\d{2})-(\d{2})(?!\d)`, "gu"),
    read: ([y, m, d]) => [[{ year: numberOf(y), month: numberOf(m), day: numberOf(d) }]],
  },
  {
    pattern: new RegExp(String.raw`${notBefore}(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?!\d|\.\d)`, "gu"),
    read: ([a, , b, y]) => [eitherOrder(a, b, fullYear(y))],
  },
  {
    pattern: new RegExp(String.raw`${notBefore}(\d{1,2})/(\d{1,2})(?![\d/])`, "gu"),
    read: ([a, b]) => isFraction(a, b) ? [] : [eitherOrder(a, b, null)],
  },
  {
    pattern: new RegExp(String.raw`${notBefore}(\d{1,2})\.(\d{1,2})\.(?!\d)`, "gu"),
    read: ([d, m]) => [[{ year: null, month: numberOf(m), day: numberOf(d) }]],
  },
  {
    // 14–16 March, 14 and 16 March, 14. bis 16. März
    pattern: new RegExp(
      String.raw`${notBefore}${day} ?(?:-|–|to|bis|and|und|et|y|&|au|al) ?${day}(?: (?:of|de))? ` +
        String.raw`(${monthNames})(?![\p{L}])\.?(?:,? (?:de )?${year})?`,
      "giu",
    ),
    read: ([a, b, m, y]) => [a, b].map((d) => [{ year: numberOf(y), month: monthOf(m), day: numberOf(d) }]),
  },
  {
    pattern: new RegExp(
      String
        .raw`${notBefore}${day}(?: (?:of|de))?[ -](${monthNames})(?![\p{L}])\.?(?:,?[ -](?:de )?${year})?`,
      "giu",
    ),
    read: ([d, m, y]) => [[{ year: numberOf(y), month: monthOf(m), day: numberOf(d) }]],
  },
  {
    // March 14, March 14–16, 2026
    pattern: new RegExp(
      String.raw`(?<![\p{L}\p{N}])(${monthNames})\.? (?:the )?${day}(?: ?[-–] ?(\d{1,2}))?(?![\d%.,:]\d|\d)` +
        String.raw`(?:,? ${year})?`,
      "giu",
    ),
    read: ([m, d, to, y]) =>
      [d, to].filter((text) => text !== undefined).map((text) => [{
        year: numberOf(y),
        month: monthOf(m),
        day: numberOf(text),
      }]),
  },
  {
    pattern: new RegExp(String.raw`(?<![\p{L}\p{N}])(${monthNames})\.?(?: (?:of |de )?${year})(?!\d)`, "giu"),
    read: ([m, y]) => [[{ year: numberOf(y), month: monthOf(m), day: null }]],
  },
  {
    // A month alone: only with a capital, or in a language that writes months in lower case; never `may`.
    pattern: new RegExp(String.raw`(?<![\p{L}\p{N}])(${monthNames})(?![\p{L}\p{N}])`, "giu"),
    read: ([m = ""]) => isLoneMonth(m) ? [[{ year: null, month: monthOf(m), day: null }]] : [],
  },
  {
    // A day without its month: `the 14th`, `am 14.`
    pattern:
      /(?<![\p{L}\p{N}.,/-])(?:(\d{1,2})(?:st|nd|rd|th)|(?:am|zum|vom|bis) (\d{1,2})\.)(?![\p{L}\p{N}])/giu,
    read: ([english, german]) => [[{ year: null, month: null, day: numberOf(english ?? german) }]],
  },
];

function eitherOrder(a: string | undefined, b: string | undefined, year: number | null): CalendarDate[] {
  const [first, second] = [Number(a), Number(b)];
  return [{ year, day: first, month: second }, { year, day: second, month: first }].filter(isPossible);
}

/** `3/4` and `24/7` are not dates; `03/04` is. */
function isFraction(a = "", b = ""): boolean {
  return (a === "24" && b === "7") || (a.length === 1 && Number(a) < Number(b) && Number(b) <= 5);
}

function isPossible({ month, day }: CalendarDate): boolean {
  return (month === null || (month >= 1 && month <= 12)) && (day === null || (day >= 1 && day <= 31));
}

/** Months that their languages write in lower case; no other lower-case word is a month. */
const smallMonths = new Set(
  calendarNames({ month: "long" }, monthDates).map(([name]) => name)
    .filter((name) => name.length > 4 && name !== "march" && name !== "august"),
);

function isLoneMonth(word: string): boolean {
  const name = fold(word);
  if (name === "may" || name === "mai" || name.length < 4) return false;
  return /^\p{Lu}/u.test(word) || smallMonths.has(word);
}
