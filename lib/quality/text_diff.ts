/** The difference between two texts, word by word or line by line. */

/** A stretch of text that both have, that only the expected one has, or that only the given one has. */
export interface DiffPart {
  readonly kind: "same" | "missing" | "extra";
  readonly text: string;
}

/** With more pieces than this on one side a diff says less than the two texts, and takes long. */
const MAX_PIECES = 400;

/**
 * The difference between two texts by their longest common subsequence of words and spaces, or of lines where either
 * has several; null for texts too long to compare.
 *
 * @example
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
  // common[i][j]: length of the longest common subsequence of a from i and b from j.
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const row = common[i];
      if (row === undefined) continue;
      row[j] = a[i] === b[j]
        ? (common[i + 1]?.[j + 1] ?? 0) + 1
        : Math.max(common[i + 1]?.[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  const parts: DiffPart[] = [];
  const add = (kind: DiffPart["kind"], text = "") => {
    const last = parts.at(-1);
    if (last?.kind === kind) parts[parts.length - 1] = { kind, text: last.text + text };
    else parts.push({ kind, text });
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add("same", a[i]);
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && (common[i + 1]?.[j] ?? 0) >= (common[i]?.[j + 1] ?? 0))) {
      add("missing", a[i++]);
    } else add("extra", b[j++]);
  }
  return parts;
}
