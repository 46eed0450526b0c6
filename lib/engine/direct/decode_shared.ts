/** What the engine's two threads say to each other: orders by message, tokens through shared memory. */
import type { Token } from "node-llama-cpp";
import type { Picking } from "../evaluator.ts";

/** Where the decoding thread finds the context; pointers can only cross threads as numbers. */
export interface DecodeSetup {
  readonly kind: "setup";
  readonly libraryPath: string;
  readonly contextAddress: bigint;
  readonly vocabularyAddress: bigint;
  readonly contextTokens: number;
  readonly memory: SharedArrayBuffer;
}

/** One answer to make, or the context to empty. Each is answered with one `OrderDone`. */
export type DecodeOrder =
  | { readonly kind: "answer"; readonly prompt: readonly Token[]; readonly picking: Picking }
  | { readonly kind: "forget" };

/** That an order was carried out, or why it could not be. */
export interface OrderDone {
  readonly fault: string | null;
}

/** The shared memory as numbers, by what they mean. */
export interface SharedCells {
  /** Places in `numbers`: counted up with every token and at the end, and what both sides wait on. */
  readonly numbers: Int32Array<SharedArrayBuffer>;
  /** The picked tokens of the answer, in order. */
  readonly tokens: Int32Array<SharedArrayBuffer>;
}

/** Places in `SharedCells.numbers`. */
export const cell = {
  /** Goes up by one whenever one of the others changed: what the reader waits on. */
  changes: 0,
  /** How many of the tokens are there. */
  picked: 1,
  /** Prompt tokens that the context already held. */
  cached: 2,
  /** 1 as soon as nothing more will come. */
  over: 3,
  /** Set to 1 by the reader: no more tokens are wanted. */
  stop: 4,
} as const;

const headerBytes = 64;

/** Memory for answers of at most `contextTokens` tokens. */
export const sharedMemory = (contextTokens: number) => new SharedArrayBuffer(headerBytes + 4 * contextTokens);

export function cellsOf(memory: SharedArrayBuffer): SharedCells {
  return {
    numbers: new Int32Array(memory, 0, headerBytes / 4),
    tokens: new Int32Array(memory, headerBytes),
  };
}

/** Sets one of the cells and wakes whoever waits for a change. */
export function tell({ numbers }: SharedCells, place: number, value: number): void {
  Atomics.store(numbers, place, value);
  Atomics.add(numbers, cell.changes, 1);
  Atomics.notify(numbers, cell.changes);
}
