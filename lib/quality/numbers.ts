/** Numbers in running text: digits in any country's format, number words, percent and currency. */
import { fold } from "./text.ts";

export type NumberUnit = "%" | "EUR" | "USD" | "GBP" | "CHF" | "JPY" | null;

/** One number in a text. */
export interface Quantity {
  readonly text: string;
  readonly index: number;
  /** Every value that the digits may mean: `12.500` is 12500 to one reader and 12.5 to another. Never negative. */
  readonly values: readonly number[];
  readonly unit: NumberUnit;
  readonly spelled: boolean;
}

/** What each of several words, separated by commas, stands for. */
const byWord = <Value>(lists: readonly (readonly [Value, string])[]): ReadonlyMap<string, Value> =>
  new Map(lists.flatMap(([value, words]) => words.split(",").map((word) => [word, value] as const)));

/** An alternative of a pattern: the longest word first, so that a shorter one doesn't hide it. */
const anyOf = (words: ReadonlyMap<string, unknown>) =>
  [...words.keys()].sort((a, b) => b.length - a.length).map((word) => word.replaceAll("$", "\\$")).join("|");

const units = byWord<Exclude<NumberUnit, null>>([
  ["EUR", "€,eur,euro,euros"],
  ["USD", "$,usd,us$,dollar,dollars,dolares"],
  ["GBP", "£,gbp,pound,pounds"],
  ["JPY", "¥,jpy,yen"],
  ["CHF", "chf,franken,francs"],
  ["%", "%,percent,per cent,prozent,pour cent,por ciento"],
]);
const scales = byWord([
  [1e3, "k,thousand,tausend,tsd,mille,mil"],
  [1e6, "m,mn,million,millions,millionen,mio,millones,millon"],
  [1e9, "bn,billion,billions,milliarde,milliarden,milliards,mrd"],
]);
/** These are also units of length or a letter: both readings count. */
const doubtfulScales = new Set(["m", "k"]);

const digits = /\d{1,3}(?:[ '\u00a0\u202f]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)*/;
const quantity = new RegExp(
  `(?<![\\p{L}\\p{N}])(?:(us\\$|[€$£¥]|(?:eur|usd|gbp|chf|jpy)(?=[\\s\\d])) ?)?(?<![\\d.,])(${digits.source})` +
    `(?: ?(${anyOf(scales)})(?![\\p{L}\\p{N}])\\.?)?` +
    `(?: ?-?(${anyOf(units)})(?![\\p{L}\\p{N}]))?`,
  "giu",
);

/** Every value that a string of digits with separators may mean, the likeliest first; none for `1.2.3`. */
function readings(text: string, money: boolean): number[] {
  const compact = text.replaceAll(/[ '\u00a0\u202f]/g, "");
  const separators = [...compact.matchAll(/[.,]/g)].map(([separator]) => separator);
  const [first] = separators;
  const last = separators.at(-1);
  if (first === undefined || last === undefined) return [Number(compact)];
  const grouped = /^\d{1,3}(?:[.,]\d{3})+$/.test(compact) && new Set(separators).size === 1;
  if (grouped) {
    const whole = Number(compact.replaceAll(/[.,]/g, ""));
    // No price has three decimals, and three zeros are never decimals.
    const onlyWhole = money || separators.length > 1 || compact.endsWith("000");
    return onlyWhole ? [whole] : [whole, Number(compact.replace(/[.,]/, "."))];
  }
  if (separators.length === 1) return [Number(compact.replace(/[.,]/, "."))];
  const decimal = /^\d{1,3}(?:[.,]\d{3})+[.,]\d+$/.test(compact) && separators.indexOf(last) ===
      separators.length - 1;
  if (!decimal || new Set(separators.slice(0, -1)).size !== 1) return [];
  const cut = compact.lastIndexOf(last);
  return [Number(`${compact.slice(0, cut).replaceAll(/[.,]/g, "")}.${compact.slice(cut + 1)}`)];
}

/**
 * The numbers of a text that are written in digits, with thousands separators of any country, a scale
 * (`1.2 million`, `3k`) and a unit of percent or money. Digits inside a word (`Q3`, `v2`) are not numbers.
 *
 * ```ts
 * const [budget] = digitNumbers("about €12,500 a year");
 * budget?.values[0]; // 12500
 * budget?.unit; // "EUR"
 * ```
 */
export function digitNumbers(text: string): Quantity[] {
  return [...text.matchAll(quantity)].flatMap((match): Quantity[] => {
    const [whole, before, number, scaleWord, after] = match;
    if (number === undefined) return [];
    const unit = units.get(fold(before ?? "")) ?? units.get(fold(after ?? "")) ?? null;
    const plain = readings(number, unit !== null && unit !== "%");
    const scaleName = scaleWord?.toLowerCase() ?? "";
    const scale = scales.get(scaleName) ?? 1;
    const scaled = plain.map((value) => value * scale);
    const values = doubtfulScales.has(scaleName) ? [...scaled, ...plain] : scaled;
    return [{ text: whole.trim(), index: match.index, values, unit, spelled: false }];
  });
}

type SpelledLanguage = "en" | "de" | "fr" | "es";

const spelled: Record<SpelledLanguage, string> = {
  en:
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " +
    "seventeen eighteen nineteen twenty",
  de:
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn " +
    "siebzehn achtzehn neunzehn zwanzig",
  fr:
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept " +
    "dix-huit dix-neuf vingt",
  es: "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis " +
    "diecisiete dieciocho diecinueve veinte",
};
const tens: Record<SpelledLanguage, string> = {
  en: "thirty forty fifty sixty seventy eighty ninety",
  de: "dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
  fr: "trente quarante cinquante soixante soixante-dix quatre-vingts quatre-vingt-dix",
  es: "treinta cuarenta cincuenta sesenta setenta ochenta noventa",
};
const hundreds: Record<SpelledLanguage, Readonly<Record<string, number>>> = {
  en: { hundred: 100, thousand: 1000, million: 1e6 },
  de: { hundert: 100, tausend: 1000 },
  fr: { cent: 100, cents: 100, mille: 1000 },
  es: { cien: 100, ciento: 100, mil: 1000 },
};

function wordTable(language: SpelledLanguage): ReadonlyMap<string, number> {
  const table = new Map(spelled[language].split(" ").map((word, value) => [fold(word), value] as const));
  tens[language].split(" ").forEach((word, index) => table.set(fold(word), 30 + 10 * index));
  if (language === "de") {
    const ones = ["", "ein", ...spelled.de.split(" ").slice(2, 10)];
    [...table].filter(([, value]) => value >= 20).forEach(([ten, value]) =>
      ones.forEach((one, add) => add > 0 && table.set(`${fold(one)}und${ten}`, value + add))
    );
  }
  return table;
}
const tables = {
  en: wordTable("en"),
  de: wordTable("de"),
  fr: wordTable("fr"),
  es: wordTable("es"),
};

function hasNumberWords(language: string): language is SpelledLanguage {
  return Object.hasOwn(spelled, language);
}

/** A number word, or several that make one number: `total` holds finished thousands, `group` what is open. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly total: number;
  readonly group: number;
}

/**
 * The numbers of a text that are spelled out in `language`, from two upwards (one is an article in most
 * languages), joined as in `twenty-five` or `twelve thousand five hundred`. English, German, French, Spanish.
 *
 * ```ts
 * spelledNumbers("two hundred and fifty seats", "en")[0]?.values[0]; // 250
 * ```
 */
export function spelledNumbers(text: string, language: string): Quantity[] {
  if (!hasNumberWords(language)) return [];
  const runs: Run[] = [];
  for (const { value, start, end } of numberWords(text, language)) {
    const last = runs.at(-1);
    const joined = last && /^(?: |-| (?:and|und|et|y) )$/.test(text.slice(last.end, start))
      ? extend(last, value, end)
      : null;
    if (joined) runs.splice(-1, 1, joined);
    else runs.push({ start, end, total: 0, group: value });
  }
  return runs.filter(({ total, group }) => total + group > 1).map(({ start, end, total, group }) => ({
    text: text.slice(start, end),
    index: start,
    values: [total + group],
    unit: unitAfter(text.slice(end, end + 12)),
    spelled: true,
  }));
}

const leadingUnit = new RegExp(`^ ?-?(${anyOf(units)})(?![\\p{L}\\p{N}])`, "iu");

function unitAfter(rest: string): NumberUnit {
  return units.get(fold(leadingUnit.exec(rest)?.[1] ?? "")) ?? null;
}

/** The number words of a text, each with its value; of `twenty-five` both halves, where the whole is unknown. */
function numberWords(
  text: string,
  language: SpelledLanguage,
): { value: number; start: number; end: number }[] {
  const valueOf = (word: string) => {
    const folded = fold(word);
    return tables[language].get(folded) ?? hundreds[language][folded];
  };
  return [...text.matchAll(/\p{L}+(?:-\p{L}+)*/gu)].flatMap(({ 0: word, index }) => {
    const whole = valueOf(word);
    if (whole !== undefined) return [{ value: whole, start: index, end: index + word.length }];
    if (!word.includes("-")) return [];
    const pieces = [...word.matchAll(/\p{L}+/gu)].map(({ 0: piece, index: at }) => ({
      value: valueOf(piece),
      start: index + at,
      end: index + at + piece.length,
    }));
    return pieces.flatMap(({ value, ...span }) => value === undefined ? [] : [{ value, ...span }]);
  });
}

/** A run with one more number word, or null where the word can't belong to it (`two three`). */
function extend(run: Run, value: number, end: number): Run | null {
  const { group } = run;
  if (value >= 1000) return { ...run, end, total: run.total + Math.max(group, 1) * value, group: 0 };
  if (value === 100 && group < 10) return { ...run, end, group: Math.max(group, 1) * 100 };
  const belowHundred = group % 100 === 0 && value < 100;
  const belowTen = group % 10 === 0 && group % 100 >= 20 && value < 10;
  return (run.total > 0 && group === 0) || belowHundred || belowTen
    ? { ...run, end, group: group + value }
    : null;
}
