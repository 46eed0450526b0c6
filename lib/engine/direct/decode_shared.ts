/** The exchange between the engine's two threads: orders by message, tokens through shared memory. */
import type { Token } from "node-llama-cpp";
import type { Picking } from "../evaluator.ts";

/** The addresses that the decoding thread needs; pointers cross threads as numbers. */
export interface DecodeSetup {
  readonly kind: "setup";
  readonly libraryPath: string;
  readonly contextAddress: bigint;
  readonly vocabularyAddress: bigint;
  /** Capacity of each sequence in tokens. */
  readonly contextTokens: number;
  /** Tokens that are evaluated in one call: between two calls the engine notices that a client has left. */
  readonly batchTokens: number;
  /** The answer of each sequence, made by `sharedMemory`. */
  readonly memories: readonly SharedArrayBuffer[];
  /** The number of orders sent. The thread reads messages only when some are new. */
  readonly sent: SharedArrayBuffer;
}

/**
 * An order to make one answer in a sequence, or to empty it. The thread replies to each with one `OrderDone`;
 * a sequence has one order at a time.
 */
export type DecodeOrder =
  | {
    readonly kind: "answer";
    readonly sequence: number;
    readonly prompt: readonly Token[];
    readonly picking: Picking;
  }
  | { readonly kind: "forget"; readonly sequence: number };

/** The reply to an order: done, or the reason why not. */
export interface OrderDone {
  readonly sequence: number;
  readonly fault: string | null;
}

/** The shared memory of a sequence as numbers. */
export interface SharedCells {
  /** The numbers that `cell` names. */
  readonly numbers: Int32Array<SharedArrayBuffer>;
  /** The picked tokens of the answer, in order. */
  readonly tokens: Int32Array<SharedArrayBuffer>;
  /**
   * For each picked token, where they were requested: its log-probability, then token and log-probability of
   * each of the most likely ones. `LOGPROB_CELLS` numbers per token.
   */
  readonly logprobs: Float32Array<SharedArrayBuffer>;
}

/** Indexes in `SharedCells.numbers`. */
export const cell = {
  /** Increases by one whenever another cell changes; the reader waits for it. */
  changes: 0,
  /** How many tokens were picked. */
  picked: 1,
  /** How many prompt tokens the context already held. */
  cached: 2,
  /** 1 as soon as the answer is over. */
  over: 3,
  /** Set to 1 by the reader when it wants no more tokens. */
  stop: 4,
} as const;

const headerBytes = 64;

/** Most alternatives per picked token: OpenAI's limit. */
const MOST_LIKELIEST = 20;
/** Numbers per token in `SharedCells.logprobs`. */
export const LOGPROB_CELLS = 1 + 2 * MOST_LIKELIEST;

/** Memory for answers of at most `contextTokens` tokens; only what is written takes real memory. */
export const sharedMemory = (contextTokens: number) =>
  new SharedArrayBuffer(headerBytes + 4 * contextTokens * (1 + LOGPROB_CELLS));

/** The numbers in the memory that both threads share. */
export function cellsOf(memory: SharedArrayBuffer): SharedCells {
  const contextTokens = (memory.byteLength - headerBytes) / 4 / (1 + LOGPROB_CELLS);
  return {
    numbers: new Int32Array(memory, 0, headerBytes / 4),
    tokens: new Int32Array(memory, headerBytes, contextTokens),
    logprobs: new Float32Array(memory, headerBytes + 4 * contextTokens),
  };
}

/** Sets a cell and wakes the thread that waits for a change. */
export function tell({ numbers }: SharedCells, index: number, value: number): void {
  Atomics.store(numbers, index, value);
  Atomics.add(numbers, cell.changes, 1);
  Atomics.notify(numbers, cell.changes);
}
