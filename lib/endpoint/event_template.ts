/**
 * Events of a stream that differ in their text alone, told by their bytes. Most of a stream is such events, and
 * each is read between two tokens, on cores that a model may be working on: nothing is decoded, split or parsed
 * that is known already.
 */

const encoder = new TextEncoder();
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The JSON of an event before and after the text in it; both as JSON writes them, the text's quotes included. */
export interface EventShape {
  readonly before: string;
  readonly after: string;
}

/**
 * Finds events of one shape, framed as nearly all servers frame them: `data: {…}` and an empty line.
 *
 * ```ts
 * const template = new EventTemplate({ before: '{"text":"', after: '"}' });
 * const bytes = new TextEncoder().encode('data: {"text":"Hi"}\n\ndata: {"text":"caf\u00e9"}\n\n');
 * if (template.end(bytes, 0) !== 21 || template.text !== "Hi") throw new Error("one event");
 * if (template.end(bytes, 21) !== -1) throw new Error("not plain ASCII: for somebody who decodes");
 * ```
 */
export class EventTemplate {
  /** The text of the event that was found last. */
  text = "";
  readonly #before: Uint8Array;
  readonly #after: Uint8Array;

  constructor({ before, after }: EventShape) {
    this.#before = encoder.encode(`data: ${before}`);
    this.#after = encoder.encode(`${after}\n\n`);
  }

  /** Where the event that begins at `from` ends; -1 where none of this shape is whole there. */
  end(bytes: Uint8Array, from: number): number {
    if (!holds(bytes, from, this.#before)) return -1;
    const start = from + this.#before.length;
    let at = start;
    for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[++at]) {
      if (byte === undefined || byte === BACKSLASH || byte < 0x20 || byte >= 0x7f) return -1;
    }
    if (!holds(bytes, at, this.#after)) return -1;
    let text = "";
    for (let i = start; i < at; i++) text += String.fromCharCode(bytes[i] ?? 0);
    this.text = text;
    return at + this.#after.length;
  }
}

function holds(bytes: Uint8Array, from: number, part: Uint8Array): boolean {
  if (from + part.length > bytes.length) return false;
  for (let i = 0; i < part.length; i++) if (bytes[from + i] !== part[i]) return false;
  return true;
}
