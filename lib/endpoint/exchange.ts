/** One request and its response on a socket; the clock is read before anything is done with the bytes. */
import type { Clock } from "../clock.ts";
import { Connection, type Message, type Pool, type Target } from "./connection.ts";
import { type ParserLimits, type ResponseHead, ResponseParser } from "./http1.ts";
import type { TimedBody, TimedBytes } from "./timed_body.ts";

/** What an exchange needs. */
export interface ExchangeTools {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly limits?: ParserLimits;
}

/**
 * A response that is awaited. Where a connection is open, the constructor has written the request when it
 * returns; everything else is done after that.
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
  readonly #startMs: number;
  #parser: ResponseParser;
  #connection: Connection | null;
  #writing: Promise<void> = DONE;
  /** The connection was opened for an earlier request: the server may have closed it just now. */
  #kept: boolean;
  /** A byte of the response has arrived. */
  #started = false;
  #early: TimedBytes | null = null;
  #ended = false;
  #givenUp: { readonly reason: unknown } | null = null;
  #connecting: AbortController | null = null;

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
      this.#writing.catch(() => {}); // `head` reports it
    }
    this.#parser = new ResponseParser(limits);
  }

  get ended(): boolean {
    return this.#ended && this.#early === null;
  }

  /**
   * Waits for status and headers. Called once.
   *
   * @throws {TypeError} as `fetch` does, where no response came; the reason that `cancel` was given
   */
  async head(): Promise<ResponseHead> {
    try {
      return await this.#head();
    } catch (error) {
      if (this.#givenUp === null && this.#isStale(error)) return await this.#retryOnNewConnection();
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
      throw this.#givenUp === null ? error : this.#givenUp.reason;
    }
    this.#throwIfGivenUp();
    return null;
  }

  /** Abandons the rest: pending reads are rejected with `reason`. Without effect after the end. */
  cancel(reason: unknown = new DOMException("the answer was given up", "AbortError")): Promise<void> {
    if (!this.#ended) {
      this.#givenUp = { reason };
      this.#connecting?.abort(reason);
      this.#end();
    }
    return Promise.resolve();
  }

  async #head(): Promise<ResponseHead> {
    if (this.#connection === null) await this.#connect();
    await this.#writing;
    let piece: TimedBytes | null = null;
    while (this.#parser.head === null) {
      this.#throwIfGivenUp();
      const n = await this.#arrival();
      piece = this.#take(n, this.tools.clock());
    }
    this.headersMs = piece?.atMs ?? 0;
    this.#early = piece !== null && piece.bytes.length > 0 ? piece : null;
    return this.#parser.head;
  }

  /** Connecting is part of the wait for a response. */
  async #connect(): Promise<void> {
    this.#throwIfGivenUp();
    this.#connecting = new AbortController();
    const connection = await Connection.open(this.target, this.#connecting.signal);
    this.#connecting = null;
    this.#connection = connection;
    this.#throwIfGivenUp();
    this.#writing = connection.write(this.request);
    this.#writing.catch(() => {});
  }

  /** @throws the reason that `cancel` was given, where it was called */
  #throwIfGivenUp(): void {
    if (this.#givenUp !== null) throw this.#givenUp.reason;
  }

  async #retryOnNewConnection(): Promise<ResponseHead> {
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

  /** As `fetch` throws: the reason that `cancel` was given, or a TypeError that says what went wrong. */
  #failed(error: unknown): unknown {
    this.#end();
    if (this.#givenUp !== null) return this.#givenUp.reason;
    const reason = error instanceof Error ? error.message : String(error);
    return new TypeError(`no answer from http://${this.target.host}: ${reason}`, { cause: error });
  }

  #arrival(): Promise<number | null> {
    if (this.#connection === null) throw new Error("a read before the connection");
    return this.#connection.arrival();
  }

  /** The part of the body that has arrived; null at the end. */
  #take(n: number | null, atMs: number): TimedBytes | null {
    if (n === null || this.#connection === null) {
      this.#parser.end();
      this.#end();
      return null;
    }
    this.#started = true;
    const bytes = this.#parser.feed(this.#connection.taken(n));
    if (!this.#parser.done) return { bytes, atMs };
    const kept = bytes.slice(); // the idle connection reads into the same buffer
    this.#end();
    return { bytes: kept, atMs };
  }

  /** Returns the connection to the pool where another request may follow on it; otherwise closes it. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const connection = this.#connection;
    if (connection !== null) {
      if (this.#parser.reusable && this.#givenUp === null) this.tools.pool.give(this.target.host, connection);
      else connection.close();
    }
  }
}

const DONE = Promise.resolve();

const LONGEST_CALL_MS = 0.1;

/**
 * When a socket took bytes, from the clock before and after the call that wrote them. The socket takes them
 * at the end of the call; but where the call took longer than such calls do, the bytes were taken and another
 * process ran on this core, most likely the one that the bytes woke.
 *
 * ```ts
 * if (takenAt(5, 5.03) !== 5.03 || takenAt(5, 9) !== 5.1) throw new Error("within a tenth of a millisecond");
 * ```
 */
export function takenAt(beforeMs: number, afterMs: number): number {
  return Math.min(afterMs, beforeMs + LONGEST_CALL_MS);
}

/** An idle connection that ends sooner than this, without a byte, was closed before the request arrived. */
const STALE_MS = 100;

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Error &&
      error.message === "the connection closed before an answer came";
}
