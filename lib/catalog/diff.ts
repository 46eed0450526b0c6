/** What changes in a text, line by line, before it is written. */

/**
 * The changed lines with their numbers in the old text, as `- 12  old` and `+ 12  new`. Lines in common are found
 * by the longest common subsequence of what lies between the equal start and the equal end.
 *
 * @example
 * ```ts
 * const lines = lineDiff("a\nb\nc\n", "a\nB\nc\nd\n");
 * if (lines.join("|") !== "- 2  b|+ 2  B|+ 4  d") throw new Error(lines.join("|"));
 * ```
 */
export function lineDiff(before: string, after: string): string[] {
  const [a, b] = [before.split(/\r?\n/), after.split(/\r?\n/)];
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const [old, fresh] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const common = commonLengths(old, fresh);
  const lines: string[] = [];
  let [i, j] = [0, 0];
  const at = (row: number, column: number) => common[row]?.[column] ?? 0;
  while (i < old.length || j < fresh.length) {
    if (i < old.length && j < fresh.length && old[i] === fresh[j]) {
      i++;
      j++;
    } else if (i < old.length && (j >= fresh.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`- ${start + i + 1}  ${old[i]}`);
      i++;
    } else {
      lines.push(`+ ${start + j + 1}  ${fresh[j]}`);
      j++;
    }
  }
  return lines;
}

/** Length of the longest common subsequence of what follows each pair of places. */
function commonLengths(a: readonly string[], b: readonly string[]): number[][] {
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const row = table[i];
      if (row === undefined) continue;
      row[j] = a[i] === b[j]
        ? (table[i + 1]?.[j + 1] ?? 0) + 1
        : Math.max(table[i + 1]?.[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return table;
}
