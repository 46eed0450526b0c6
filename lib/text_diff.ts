/** The difference between two texts, word by word or line by line. */

/** A stretch of text that both have, that only the expected one has, or that only the given one has. */
export interface DiffPart {
  readonly kind: "same" | "missing" | "extra";
  readonly text: string;
}

/** With more pieces than this on one side a diff says less than the two texts, and takes long. */
const MAX_PIECES = 400;

/**
 * The difference between two texts by words and spaces, or by lines where either has several; null for texts
 * too long to compare.
 *
 * ```ts
 * const parts = diffTexts("pay by 3 May", "pay by 4 May");
 * const text = parts?.map(({ kind, text }) => `${kind[0]}:${text}`).join("|");
 * if (text !== "s:pay by |m:3|e:4|s: May") throw new Error(text);
 * ```
 */
export function diffTexts(expected: string, given: string): DiffPart[] | null {
  const byLine = expected.includes("\n") || given.includes("\n");
  const pieces = (text: string) => text.match(byLine ? /[^\n]*\n|[^\n]+/g : /\s+|[^\s]+/g) ?? [];
  const [a, b] = [pieces(expected), pieces(given)];
  if (a.length > MAX_PIECES || b.length > MAX_PIECES) return null;
  const parts: DiffPart[] = [];
  for (const { kind, text } of diffPieces(a, b)) {
    const last = parts.at(-1);
    if (last?.kind === kind) parts[parts.length - 1] = { kind, text: last.text + text };
    else parts.push({ kind, text });
  }
  return parts;
}

/**
 * The changed lines, as `- 12  old` and `+ 12  new`, each with its number in its own text.
 *
 * ```ts
 * const lines = lineDiff("a\nb\nc\n", "a\nB\nc\nd\n");
 * if (lines.join("|") !== "- 2  b|+ 2  B|+ 4  d") throw new Error(lines.join("|"));
 * ```
 */
export function lineDiff(before: string, after: string): string[] {
  const [a, b] = [before.split(/\r?\n/), after.split(/\r?\n/)];
  // What is alike at both ends need not be compared.
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  let [old, fresh] = [start, start];
  return diffPieces(a.slice(start, a.length - end), b.slice(start, b.length - end)).flatMap(
    ({ kind, text }) => {
      if (kind !== "extra") old++;
      if (kind !== "missing") fresh++;
      return kind === "same" ? [] : [kind === "missing" ? `- ${old}  ${text}` : `+ ${fresh}  ${text}`];
    },
  );
}

/** Each piece of either list in order, by their longest common subsequence. */
function diffPieces(a: readonly string[], b: readonly string[]): DiffPart[] {
  // common[i][j]: length of the longest common subsequence of a from i and b from j.
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const row = common[i];
      if (row) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const parts: DiffPart[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      parts.push({ kind: "same", text: a[i++] ?? "" });
      j++;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      parts.push({ kind: "missing", text: a[i++] ?? "" });
    } else parts.push({ kind: "extra", text: b[j++] ?? "" });
  }
  return parts;
}
