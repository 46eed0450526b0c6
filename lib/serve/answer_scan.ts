/**
 * What the gateway needs to know about an answer that it passes on: whether it has content and since when, how it
 * ended, how many tokens it had. Only the beginning and the last bytes are examined.
 */

/** Text of any kind, a call of a tool, or a vector: the answer is not empty. */
const SAYS_SOMETHING =
  /"(?:content|reasoning_content|reasoning|text|arguments|refusal)"\s*:\s*"(?!")|"embedding"\s*:\s*["[]/;
const ID = /"id"\s*:\s*"([^"\\]{1,128})"/;
const ENDS = /\[DONE\]|"finish_reason"\s*:\s*"/;
const FAILS = /(?:^|\n)(?:event: *error|data: *\{\s*"error"\s*:\s*[{"])/;
const OUTPUT = /"(?:completion_tokens|output_tokens)"\s*:\s*(\d{1,9})/;
const PROMPT = /"(?:prompt_tokens|input_tokens)"\s*:\s*(\d{1,9})/;

/** How much of the end is examined: the last event with its usage. */
const TAIL_BYTES = 4096;
/** An answer without content in so many bytes counts as empty. */
const EXAMINED = 256 * 1024;
const LF = 10;

/**
 * Takes the pieces of one answer after they were passed on.
 *
 * ```ts
 * const scan = new AnswerScan();
 * const event = 'data: {"id":"a1","choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n';
 * scan.add(new TextEncoder().encode(event), 12);
 * const seen = scan.result();
 * if (seen.id !== "a1" || seen.saidMs !== 12 || !seen.ended) throw new Error("an answer of one word");
 * ```
 */
export class AnswerScan {
  #decoder = new TextDecoder();
  #carry = "";
  #examined = 0;
  #id: string | null = null;
  #saidMs: number | null = null;
  #lines = 0;
  #tail = new Uint8Array(2 * TAIL_BYTES);
  #tailBytes = 0;

  add(bytes: Uint8Array, atMs: number): void {
    if (this.#saidMs === null && this.#examined < EXAMINED) this.#examine(bytes, atMs);
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) this.#lines++;
    this.#keep(bytes);
  }

  /** Keeps the last bytes. */
  #keep(bytes: Uint8Array): void {
    const fresh = bytes.length > TAIL_BYTES ? bytes.subarray(bytes.length - TAIL_BYTES) : bytes;
    if (this.#tailBytes + fresh.length > this.#tail.length) {
      this.#tail.copyWithin(0, this.#tailBytes - TAIL_BYTES, this.#tailBytes);
      this.#tailBytes = TAIL_BYTES;
    }
    this.#tail.set(fresh, this.#tailBytes);
    this.#tailBytes += fresh.length;
  }

  #examine(bytes: Uint8Array, atMs: number): void {
    const text = this.#carry + this.#decoder.decode(bytes, { stream: true });
    this.#examined += bytes.length;
    this.#id ??= ID.exec(text)?.[1] ?? null;
    if (SAYS_SOMETHING.test(text)) this.#saidMs = atMs;
    this.#carry = text.slice(-200);
  }

  result(): AnswerSeen {
    const from = Math.max(0, this.#tailBytes - TAIL_BYTES);
    const tail = new TextDecoder().decode(this.#tail.subarray(from, this.#tailBytes));
    const count = (pattern: RegExp) => Number(pattern.exec(tail)?.[1] ?? NaN);
    const [output, prompt] = [count(OUTPUT), count(PROMPT)];
    return {
      id: this.#id,
      saidMs: this.#saidMs,
      ended: ENDS.test(tail),
      failed: FAILS.test(tail),
      outputTokens: Number.isNaN(output) ? null : output,
      promptTokens: Number.isNaN(prompt) ? null : prompt,
      events: Math.floor(this.#lines / 2),
    };
  }
}

/** What was seen of an answer. */
export interface AnswerSeen {
  /** The answer's own id. */
  readonly id: string | null;
  /** When the first text came; null for an empty answer. */
  readonly saidMs: number | null;
  /** It has a finish reason, or its end mark. */
  readonly ended: boolean;
  /** It ends in an error. */
  readonly failed: boolean;
  /** As the answer itself reports them. */
  readonly outputTokens: number | null;
  readonly promptTokens: number | null;
  /** Events of a stream: not tokens, but near them. */
  readonly events: number;
}
