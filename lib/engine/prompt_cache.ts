/** What of a prompt need not be evaluated again. */

/**
 * How many tokens two sequences have in common at their beginning.
 *
 * ```ts
 * if (commonStart([5, 6, 7], [5, 6, 8, 9]) !== 2) throw new Error("the first two");
 * ```
 */
export function commonStart(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let same = 0;
  while (same < end && a[same] === b[same]) same++;
  return same;
}
