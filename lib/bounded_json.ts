/** JSON from clients and services: never nested so deeply that reading it exhausts the stack. */

/** Deeper than any request or answer needs; deep ones take many times as long to parse and check. */
export const MAX_DEPTH = 200;

/**
 * Parses JSON of at most {@link MAX_DEPTH} levels.
 *
 * @throws {SyntaxError} where the text is not JSON, or nested more deeply
 *
 * ```ts
 * if (boundedJson("[1]") === null) throw new Error("an array");
 * ```
 */
export function boundedJson(text: string): unknown {
  if (nestsDeeper(text)) throw new SyntaxError(`nested more deeply than ${MAX_DEPTH} levels`);
  return JSON.parse(text);
}

/**
 * The value of a text that is JSON, else the text itself.
 *
 * ```ts
 * if (jsonOrText("Bad Gateway") !== "Bad Gateway" || jsonOrText("1") !== 1) throw new Error("either of them");
 * ```
 */
export function jsonOrText(text: string): unknown {
  try {
    return boundedJson(text);
  } catch {
    return text;
  }
}

/** Whether a JSON value is an object: not null, not a list. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** One pass over the brackets outside of strings. */
export function nestsDeeper(text: string): boolean {
  // Every level that opens must close: a chunk of a stream is too short to be deep.
  if (text.length <= 2 * MAX_DEPTH) return false;
  const significant = /["[\]{}]/g;
  let depth = 0;
  for (let match = significant.exec(text); match !== null; match = significant.exec(text)) {
    const [char] = match;
    if (char === '"') significant.lastIndex = stringEnd(text, match.index);
    else if (char === "]" || char === "}") depth--;
    else if (++depth > MAX_DEPTH) return true;
  }
  return false;
}

/**
 * The index behind the closing quote of the JSON string that begins at `at`.
 *
 * ```ts
 * if (stringEnd('["a\\\"b"]', 1) !== 7) throw new Error("an escaped quote does not close it");
 * ```
 */
export function stringEnd(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
  return text.length;
}
