/** One answer, token by token: when it ends, and which text of it is shown. */
import type { StopScanner, TokenDecoder } from "../openai/streamed_text.ts";

/** What an answer needs from its model and request. */
export interface AnswerParts<Token> {
  readonly decoder: TokenDecoder<Token>;
  readonly scanner: StopScanner;
  /** Whether this token is one of the model's end tokens. */
  readonly isEnd: (token: Token) => boolean;
  readonly maxTokens: number;
  /** Receives the text, piece by piece. */
  readonly emit: (text: string) => void;
}

/**
 * Takes tokens and emits text until the model ends, a stop string comes, or the limit is reached.
 *
 * ```ts
 * import { StopScanner, TokenDecoder } from "../openai/streamed_text.ts";
 * const said: string[] = [];
 * const answer = new GrowingAnswer<string>({
 *   decoder: new TokenDecoder<string>((tokens) => tokens.join(""), []),
 *   scanner: new StopScanner(["."]),
 *   isEnd: (token) => token === "END",
 *   maxTokens: 9,
 *   emit: (text) => said.push(text),
 * });
 * for (const token of ["Yes", ",", " sir", "."]) if (answer.accept(token)) answer.say(token);
 * if (said.join("") !== "Yes, sir" || answer.finish !== "stop" || answer.count !== 4) throw new Error("cut");
 * ```
 */
export class GrowingAnswer<Token> {
  #count = 0;
  #finish: "stop" | "length" | null = null;
  /** Nothing is shown after a stop string. */
  #closed = false;

  constructor(private readonly parts: AnswerParts<Token>) {}

  /** Tokens of the answer so far, without an end token. */
  get count(): number {
    return this.#count;
  }

  /** Why the answer is complete; null while it is not. */
  get finish(): "stop" | "length" | null {
    return this.#finish;
  }

  /** Whether the answer has reached its token limit. */
  get full(): boolean {
    return this.#count >= this.parts.maxTokens;
  }

  /** Counts a picked token; false for an end token, which is not part of the answer. */
  accept(token: Token): boolean {
    const isEnd = this.parts.isEnd(token);
    if (isEnd) this.#finish = "stop";
    else this.#count++;
    return !isEnd;
  }

  /** Emits the text of an accepted token; afterwards `finish` says whether it completed the answer. */
  say(token: Token): void {
    const { text, stopped } = this.parts.scanner.push(this.parts.decoder.push(token));
    this.#emit(text);
    if (stopped) this.#cut();
    else if (this.full) this.#finish = "length";
  }

  #cut(): void {
    this.#finish = "stop";
    this.#closed = true;
  }

  /** Emits the text held back for a character or a stop string that never completed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { text, stopped } = this.parts.scanner.push(this.parts.decoder.flush());
    this.#emit(stopped ? text : text + this.parts.scanner.flush());
  }

  #emit(text: string): void {
    if (text !== "") this.parts.emit(text);
  }
}
