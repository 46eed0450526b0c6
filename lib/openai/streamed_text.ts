/** From tokens to the text that a client may see: whole characters only, and no part of a stop string. */

/**
 * Turns a stream of tokens into whole characters. A character may be spread over several tokens (byte
 * fallback, emoji); decoding such a part alone gives U+FFFD, so it is held back until the rest has come.
 * `decode(tokens, before)` is the model's own detokenizer; `before` are the tokens right in front of them,
 * which some vocabularies need to decide on a leading space.
 *
 * ```ts
 * const bytes = [0xe2, 0x82, 0xac];
 * const decoder = new TokenDecoder<number>((tokens) => new TextDecoder().decode(Uint8Array.from(tokens)), []);
 * const parts = bytes.map((byte) => decoder.push(byte));
 * if (parts.join("|") !== "||€") throw new Error("held back until the character is whole");
 * ```
 */
export class TokenDecoder<Token> {
  /** UTF-8 needs at most four bytes per character: what is still broken after four tokens stays broken. */
  static readonly #longestWait = 3;
  static readonly #contextTokens = 3;
  #before: readonly Token[];
  #pending: Token[] = [];
  /** How much of the pending tokens' text was already emitted. */
  #shown = 0;
  /** For how many tokens the character at the end has been incomplete. */
  #waited = 0;

  constructor(
    private readonly decode: (tokens: readonly Token[], before: readonly Token[]) => string,
    before: readonly Token[],
  ) {
    this.#before = before.slice(-TokenDecoder.#contextTokens);
  }

  /** The text that became readable with this token; empty while a character is incomplete. */
  push(token: Token): string {
    this.#pending.push(token);
    const text = this.decode(this.#pending, this.#before);
    const whole = withoutBrokenEnd(text);
    this.#waited = whole.length > this.#shown ? 1 : this.#waited + 1;
    if (whole.length === text.length || this.#waited > TokenDecoder.#longestWait) return this.#settle(text);
    const readable = whole.slice(this.#shown);
    this.#shown = Math.max(this.#shown, whole.length);
    return readable;
  }

  /** The remaining text at the end, without an unfinished character. */
  flush(): string {
    return this.#pending.length === 0
      ? ""
      : this.#settle(withoutBrokenEnd(this.decode(this.#pending, this.#before)));
  }

  #settle(text: string): string {
    const rest = text.slice(this.#shown);
    this.#before = [...this.#before, ...this.#pending].slice(-TokenDecoder.#contextTokens);
    this.#pending = [];
    this.#shown = 0;
    this.#waited = 0;
    return rest;
  }
}

const withoutBrokenEnd = (text: string) => text.replace(/\uFFFD+$/, "");

/** The text that a client may see now, and whether a stop string ended the answer. */
export interface ScannedText {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Cuts a stream of text at the first stop string, also where one spans several pieces: the end of what has
 * come is held back as long as it could be the start of a stop string.
 *
 * ```ts
 * const scanner = new StopScanner(["END"]);
 * const seen = ["so E", "N", "D more"].map((piece) => scanner.push(piece));
 * if (seen.map((s) => s.text).join("") !== "so ") throw new Error("nothing of the stop string is shown");
 * if (seen[2]?.stopped !== true) throw new Error("the third piece completed it");
 * ```
 */
export class StopScanner {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  push(piece: string): ScannedText {
    if (this.#stops.length === 0) return { text: piece, stopped: false };
    const text = this.#held + piece;
    const at = this.#firstStop(text);
    if (at !== null) {
      this.#held = "";
      return { text: text.slice(0, at), stopped: true };
    }
    const keep = this.#possibleStart(text);
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stopped: false };
  }

  /** The text still held back when the answer ended for another reason. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  #firstStop(text: string): number | null {
    const places = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    return places.length === 0 ? null : Math.min(...places);
  }

  /** Length of the longest end of `text` that a stop string starts with. */
  #possibleStart(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
