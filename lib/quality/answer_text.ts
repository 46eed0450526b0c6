/** A short answer inside what a model writes around it: a code fence, `\boxed{…}`, quotes, brackets, a full stop. */
import { fold, plainText } from "./text.ts";

/** The text in the one code fence of an answer, whatever prose is around it; null for none or several. */
export function fencedBlock(answer: string): string | null {
  const lines = answer.split(/\r?\n/);
  const marks = lines.flatMap((line, at) => /^\s*```\s*[\w-]*\s*$/.test(line) ? [at] : []);
  const [open, close, more] = marks;
  return open === undefined || close === undefined || more !== undefined
    ? null
    : lines.slice(open + 1, close).join("\n");
}

/** What stands in the last `\\boxed{…}` of an answer: models trained on mathematics put their answer there. */
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

/** LaTeX's marks around a short answer taken off: `\\text{Paris}`, `\\$9{,}500`, `$x$`. */
export function latexText(text: string): string {
  return text.replaceAll(/\\(?:text|mathrm|mathbf)\{([^{}]*)\}/g, "$1").replaceAll(/\{([,.])\}/g, "$1")
    .replaceAll(/\\[,;! ]/g, "").replaceAll(/\\([$%#&_{}])/g, "$1").replace(/^\$([^$]*)\$$/, "$1");
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

/** Digits of every script as ASCII; `１２` and `१२` are 12. */
export function asciiDigits(text: string): string {
  return text.replaceAll(/[^\P{Nd}0-9]/gu, (digit) => {
    const code = digit.codePointAt(0) ?? 0;
    let zero = code;
    while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
    return String(code - zero);
  }).replaceAll("٬", ",").replaceAll("٫", ".").replaceAll("，", ",").replaceAll("．", ".");
}
