/** Values that numpy can be given too: see the golden values in these tests. */
export const WAVE = Array.from({ length: 200 }, (_, i) => (i * 7919 % 1009) / 100 + 0.5);

/** |actual - expected| relative to the larger of 1e-3 and |expected|. */
export function off(actual: number | null, expected: number): number {
  return actual === null ? Infinity : Math.abs(actual - expected) / Math.max(1e-3, Math.abs(expected));
}
