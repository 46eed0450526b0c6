/** Text from models, services and files, made safe to print on a terminal. */

/** C0 and C1 controls other than tab and line feed; bidirectional embeddings, overrides, isolates. */
// deno-lint-ignore no-control-regex -- these are the characters that must not get through
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Those of them that JSON.stringify leaves as they are. */
const BEYOND_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Left-to-right, right-to-left and Arabic letter mark: part of honest text, and of no use on a terminal. */
const MARKS = "\u200e\u200f\u061c";

/**
 * Makes text from outside safe to print: escape sequences (ESC, CSI, OSC) and bidirectional controls can't
 * move the cursor, recolour the screen, set its title, fake a link or reverse what a reader sees. Controls
 * below U+0020 become their visible pictures (ESC is shown as `␛`), all others U+FFFD; the invisible
 * direction marks are left out. A line may end in LF or CRLF; a lone CR, which overwrites the line, is shown
 * as `␍`. Each character is treated alone, so the pieces of a stream can be passed one by one; a CRLF that is
 * split between two pieces shows a `␍`.
 *
 * ```ts
 * if (terminalText("\u001b[2Jhidden") !== "␛[2Jhidden") throw new Error("ESC must not reach the terminal");
 * ```
 */
export function terminalText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(UNSAFE, (char) => {
    const code = char.charCodeAt(0);
    if (MARKS.includes(char)) return "";
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "␡" : "\ufffd";
  });
}

/**
 * A JSON document that is safe to print and holds the same data: characters that a terminal would obey are
 * written as `\\u` escapes.
 *
 * ```ts
 * if (terminalJson("\u202e") !== '"\\u202e"') throw new Error("a bidirectional control must be escaped");
 * ```
 */
export function terminalJson(value: unknown, indent = 2): string {
  // Outside strings JSON has no such character, so that an escape is valid wherever one stands.
  return JSON.stringify(value, null, indent).replace(
    BEYOND_JSON,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * `terminalText` on one line, for a cell of a table or a message: runs of white space become one space.
 *
 * ```ts
 * if (terminalLine("a\n  b\u0007") !== "a b␇") throw new Error("one line, no bell");
 * ```
 */
export function terminalLine(text: string): string {
  return terminalText(text.replaceAll(/\s+/g, " ")).trim();
}
