/**
 * Joins pieces of bytes into one new array.
 *
 * ```ts
 * const whole = concat([Uint8Array.of(1), Uint8Array.of(2, 3)]);
 * if (String(whole) !== "1,2,3") throw new Error(String(whole));
 * ```
 */
export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
