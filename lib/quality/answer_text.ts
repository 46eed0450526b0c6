/** A short answer inside what a model writes around it: a code fence, `\boxed{…}`, quotes, brackets, a full stop. */
import { fold, plainText } from "./text.ts";

/**
 * The text in the one code fence of an answer, whatever prose is around it; null for none or
 * several. A fence is three or more backticks or tildes, closed by at least as many; one around a
 * single line of JSON counts too.
 */
export function fencedBlock(answer: string): string | null {
  const blocks: string[][] = [];
  let mark: string | null = null;
  for (const line of answer.split(/\r?\n/)) {
    const inline = mark === null
      ? /^\s*```\s*(?:json)?\s*([{[].*[}\]])\s*```\s*$/i.exec(line)?.[1]
      : undefined;
    const [, found, info] = /^\s*(`{3,}|~{3,})\s*([\w-]*)\s*$/.exec(line) ?? [];
    if (inline !== undefined) blocks.push([inline]);
    else if (mark === null && found !== undefined) {
      mark = found;
      blocks.push([]);
    } else if (mark !== null && info === "" && found?.startsWith(mark)) mark = null;
    else if (mark !== null) blocks.at(-1)?.push(line);
  }
  const [block, more] = blocks;
  return block === undefined || more !== undefined || mark !== null ? null : block.join("\n");
}

/** The content of the last `\\boxed{…}` of an answer: models trained on mathematics put their answer there. */
export function boxed(answer: string): string | null {
  const start = answer.lastIndexOf("\\boxed{");
  if (start < 0) return null;
  let depth = 0;
  for (let at = start + "\\boxed".length; at < answer.length; at++) {
    if (answer[at] === "{") depth++;
    else if (answer[at] === "}" && --depth === 0) {
      return latexText(answer.slice(start + "\\boxed{".length, at));
    }
  }
  return null;
}

/**
 * A short answer without LaTeX's marks: `\\text{Paris}`, `\\$9{,}500`, `$x$`. A fraction of two numbers is
 * its value, and `9.5 \\times 10^{3}` is 9500.
 */
export function latexText(text: string): string {
  return text.replaceAll(/\\(?:text\w*|math\w+|mbox|operatorname)\{([^{}]*)\}/g, "$1")
    .replaceAll(/\{([,.])\}/g, "$1").replaceAll(/\\[,;! ]/g, "")
    .replaceAll(
      /(\d+(?:\.\d+)?)\s*(?:\\times|\\cdot|×)\s*10\^(?:\{\s*([-−]?\d{1,3})\s*\}|(\d))/g,
      (_, factor, power, digit) => plainNumber(Number(`${factor}e${(power ?? digit).replace("−", "-")}`)),
    )
    .replaceAll(
      /\\[dt]?frac\{\s*(\d+(?:\.\d+)?)\s*\}\{\s*(\d+(?:\.\d+)?)\s*\}/g,
      (whole, above, below) => Number(below) === 0 ? whole : plainNumber(Number(above) / Number(below)),
    )
    .replaceAll(/\\([$%#&_{}])/g, "$1").replace(/^\$([^$]*)\$$/, "$1");
}

/** A number in digits alone, without an exponent. */
function plainNumber(value: number): string {
  return value.toLocaleString("en", { useGrouping: false, maximumSignificantDigits: 15 });
}

/**
 * Case, space, width, quotes, brackets around the whole and closing punctuation aside: `(B)` and `B)` are B,
 * `東京。` is 東京.
 */
export function bare(text: string): string {
  const plain = fold(plainText(text)).replaceAll(/\s+/g, " ");
  const inner = plain.replace(/^[\s"'「『《]+/, "").replace(/[\s"'.!?,;:…。．！？、」』》।॥؟۔]+$/, "");
  const whole = /^[([{【〔](.*)[)\]}】〕]$/.exec(inner)?.[1] ?? inner;
  return (/^(\p{L}|\p{N}{1,2})\)$/u.exec(whole)?.[1] ?? whole).trim();
}

/** Whether two short answers are the same but for what {@link bare} leaves out; marks alone must be the same marks. */
export function sameShortAnswer(given: string, wanted: string): boolean {
  const plain = bare(wanted);
  return plain === "" ? given.trim() === wanted.trim() : bare(given) === plain;
}

/** Digits of every script as ASCII; `１２` and `१२` are 12. */
export function asciiDigits(text: string): string {
  return text.replaceAll(/[^\P{Nd}0-9]/gu, (digit) => {
    const code = digit.codePointAt(0) ?? 0;
    let zero = code;
    while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
    return String(code - zero);
  }).replaceAll("٬", ",").replaceAll("٫", ".").replaceAll("，", ",").replaceAll("．", ".");
}
