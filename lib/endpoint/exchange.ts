/** One request and its answer on a socket of ours; the clock is read before anything is done with what came. */
import type { Clock } from "../clock.ts";
import { Connection, type Message, type Pool, type Target } from "./connection.ts";
import { type ParserLimits, type ResponseHead, ResponseParser } from "./http1.ts";
import type { TimedBody, TimedBytes } from "./timed_body.ts";

/** What an exchange is handed. */
export interface ExchangeTools {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly limits?: ParserLimits;
}

/**
 * An answer on its way. Its request is out when the constructor returns, where a connection was kept open;
 * whatever else there is to do can be done after that.
 *
 * ```ts ignore
 * const exchange = new Exchange(target, message, { pool, clock });
 * const { status } = await exchange.head();
 * for (let piece = await exchange.next(); piece !== null; piece = await exchange.next()) console.log(piece.atMs);
 * ```
 */
export class Exchange implements TimedBody {
  sentMs: number;
  headersMs = 0;
  /** Called once, when the answer has ended or was given up. */
  onEnd: () => void = () => {};
  readonly #startMs: number;
  #parser: ResponseParser;
  #connection: Connection | null;
  #writing: Promise<void> = DONE;
  /** Dialled for an earlier request: its server may have closed it just now. */
  #kept: boolean;
  /** A byte of the answer has come. */
  #started = false;
  #early: TimedBytes | null = null;
  #ended = false;
  #given: { readonly reason: unknown } | null = null;
  #dialling: AbortController | null = null;

  constructor(
    private readonly target: Target,
    private readonly request: Message,
    private readonly tools: ExchangeTools,
  ) {
    const { pool, clock, limits } = tools;
    this.#connection = pool.take(target.host) ?? null;
    this.#kept = this.#connection !== null;
    this.sentMs = this.#startMs = clock();
    if (this.#connection !== null) {
      this.#writing = this.#connection.write(request);
      this.sentMs = takenAt(this.#startMs, clock());
      this.#connection.wake();
      this.#writing.catch(() => {}); // `head` tells of it
    }
    this.#parser = new ResponseParser(limits);
  }

  get ended(): boolean {
    return this.#ended && this.#early === null;
  }

  /**
   * Waits for the answer's head. Called once.
   *
   * @throws {TypeError} as `fetch` does, where no answer came; what `cancel` was told
   */
  async head(): Promise<ResponseHead> {
    try {
      return await this.#head();
    } catch (error) {
      if (this.#given === null && this.#isStale(error)) return await this.#again();
      throw this.#failed(error);
    }
  }

  async next(): Promise<TimedBytes | null> {
    if (this.#early !== null) {
      const piece = this.#early;
      this.#early = null;
      return piece;
    }
    const { clock } = this.tools;
    try {
      while (!this.#ended) {
        const n = await this.#arrival();
        const piece = this.#take(n, clock());
        if (piece === null) break;
        if (piece.bytes.length > 0) return piece;
      }
    } catch (error) {
      this.#end();
      throw this.#given === null ? error : this.#given.reason;
    }
    this.#goOn();
    return null;
  }

  /** Gives the rest up: whoever waits for it gets `reason`. Nothing happens where the answer has ended. */
  cancel(reason: unknown = new DOMException("the answer was given up", "AbortError")): Promise<void> {
    if (!this.#ended) {
      this.#given = { reason };
      this.#dialling?.abort(reason);
      this.#end();
    }
    return Promise.resolve();
  }

  async #head(): Promise<ResponseHead> {
    if (this.#connection === null) await this.#dial();
    await this.#writing;
    let piece: TimedBytes | null = null;
    while (this.#parser.head === null) {
      this.#goOn();
      const n = await this.#arrival();
      piece = this.#take(n, this.tools.clock());
    }
    this.headersMs = piece?.atMs ?? 0;
    this.#early = piece !== null && piece.bytes.length > 0 ? piece : null;
    return this.#parser.head;
  }

  /** Dialling is part of the wait for an answer. */
  async #dial(): Promise<void> {
    this.#goOn();
    this.#dialling = new AbortController();
    const connection = await Connection.open(this.target, this.#dialling.signal);
    this.#dialling = null;
    this.#connection = connection;
    this.#goOn();
    this.#writing = connection.write(this.request);
    this.#writing.catch(() => {});
  }

  /** @throws what `cancel` was told, where it was called */
  #goOn(): void {
    if (this.#given !== null) throw this.#given.reason;
  }

  async #again(): Promise<ResponseHead> {
    this.#connection?.close();
    this.#connection = null;
    this.#kept = false;
    this.#parser = new ResponseParser(this.tools.limits);
    try {
      return await this.#head();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #isStale(error: unknown): boolean {
    return this.#kept && !this.#started && isDisconnect(error) &&
      this.tools.clock() - this.#startMs < STALE_MS;
  }

  /** What `fetch` throws: the reason it was told, or a TypeError that says what went wrong. */
  #failed(error: unknown): unknown {
    this.#end();
    if (this.#given !== null) return this.#given.reason;
    const reason = error instanceof Error ? error.message : String(error);
    return new TypeError(`no answer from http://${this.target.host}: ${reason}`, { cause: error });
  }

  #arrival(): Promise<number | null> {
    if (this.#connection === null) throw new Error("a read before the connection");
    return this.#connection.arrival();
  }

  /** What has come; null at the end. */
  #take(n: number | null, atMs: number): TimedBytes | null {
    if (n === null || this.#connection === null) {
      this.#parser.end();
      this.#end();
      return null;
    }
    this.#started = true;
    const bytes = this.#parser.feed(this.#connection.taken(n));
    if (!this.#parser.done) return { bytes, atMs };
    const kept = bytes.slice(); // the connection idles and reads again, whoever still looks at them
    this.#end();
    return { bytes: kept, atMs };
  }

  /** The connection goes back where another request may follow on it; otherwise it is closed. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const connection = this.#connection;
    if (connection !== null) {
      if (this.#parser.reusable && this.#given === null) this.tools.pool.give(this.target.host, connection);
      else connection.close();
    }
    this.onEnd();
  }
}

const DONE = Promise.resolve();

const LONGEST_CALL_MS = 0.1;

/**
 * When a socket took bytes, from the clock before and after the call that wrote them: it takes them within the
 * call, at its end. Where the call lasted longer than calls do, the bytes were gone and we were not running: the
 * process that they woke was, on our core.
 *
 * ```ts
 * if (takenAt(5, 5.03) !== 5.03 || takenAt(5, 9) !== 5.1) throw new Error("within a tenth of a millisecond");
 * ```
 */
export function takenAt(beforeMs: number, afterMs: number): number {
  return Math.min(afterMs, beforeMs + LONGEST_CALL_MS);
}

/** A kept connection that ends sooner than this, without a byte, was closed before the request came. */
const STALE_MS = 100;

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Error &&
      error.message === "the connection closed before an answer came";
}
