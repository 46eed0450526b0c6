/** One field of a JSON text is exchanged; everything else stays as it was sent, to the last digit. */

/**
 * The text with another value for a field of its outermost object. Parsing and writing it anew would round long
 * numbers and drop what JavaScript doesn't keep.
 *
 * @param value as JSON
 *
 * ```ts
 * const text = withField('{"seed": 12345678901234567890, "model": "auto"}', "model", '"small"');
 * if (text !== '{"seed": 12345678901234567890, "model": "small"}') throw new Error(text);
 * ```
 */
export function withField(text: string, name: string, value: string): string {
  const key = JSON.stringify(name);
  const found: { from: number; to: number }[] = [];
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (char === '"') {
      const end = stringEnd(text, at);
      if (depth === 1 && text.slice(at, end) === key) {
        const colon = /\s*:\s*/y;
        colon.lastIndex = end;
        const match = colon.exec(text);
        if (match !== null && text[colon.lastIndex] === '"') {
          found.push({ from: colon.lastIndex, to: stringEnd(text, colon.lastIndex) });
        }
      }
      at = end - 1;
    }
  }
  let out = text;
  for (const { from, to } of found.reverse()) out = out.slice(0, from) + value + out.slice(to);
  return out;
}

/** Behind the closing quote of the string that begins at `at`; the text is known to be JSON. */
function stringEnd(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
  return text.length;
}
