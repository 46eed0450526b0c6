/** Several tests on the same data: which results hold together. */

/**
 * Holm's step-down correction (1979): the p-values times the number of those that are still open, in
 * ascending order. Answers with a corrected value of at most α are all true with probability 1 − α, however
 * they depend on each other.
 *
 * @param p one p-value per question; null where there is none: it is not asked, and stays null
 *
 * ```ts
 * console.assert(holm([0.01, 0.04, null, 0.03]).join() === "0.03,0.06,,0.06");
 * ```
 */
export function holm(p: readonly (number | null)[]): (number | null)[] {
  const asked = p.flatMap((value, at) => value === null ? [] : [{ value, at }]).sort((a, b) =>
    a.value - b.value
  );
  const corrected: (number | null)[] = p.map(() => null);
  let floor = 0;
  asked.forEach(({ value, at }, rank) => {
    floor = Math.max(floor, Math.min(1, (asked.length - rank) * value));
    corrected[at] = floor;
  });
  return corrected;
}
