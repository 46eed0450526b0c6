/** Which requests a timeline draws, out of any number, in memory for a few. */
import type { RequestRecord } from "../bench/records.ts";

/** One request whose chunks are drawn. */
export interface DrawnRequest {
  readonly prompt: string;
  readonly round: number;
  readonly block: number;
  /** Seconds since due. */
  readonly chunks: readonly number[];
  /** The longest gap between two chunks, in seconds. */
  readonly longestGap: number;
}

/** A timeline draws up to this many requests spread over the run, and as many of those with the longest gaps. */
export const drawnEach = 4;
/** Keeps a few requests out of any number: every stride-th one, and those with the longest gaps. */
export class TimelineChoice {
  seen = 0;
  #stride = 1;
  #spread: DrawnRequest[] = [];
  #longest: DrawnRequest[] = [];

  offer(record: RequestRecord): void {
    const position = this.seen++;
    const gap = longestGapS(record.chunk_ms);
    const least = this.#longest.length < drawnEach ? -1 : this.#longest.at(-1)?.longestGap ?? -1;
    const onStride = position % this.#stride === 0;
    if (!record.streamed || (!onStride && gap <= least)) return;
    const request: DrawnRequest = {
      prompt: record.prompt_id,
      round: record.round,
      block: record.block,
      chunks: record.chunk_ms.map((ms) => ms / 1000),
      longestGap: gap,
    };
    if (gap > least) {
      this.#longest = [...this.#longest, request].sort((a, b) => b.longestGap - a.longestGap).slice(
        0,
        drawnEach,
      );
    }
    if (onStride) this.#spread.push(request);
    if (this.#spread.length >= 2 * drawnEach) {
      this.#spread = this.#spread.filter((_, i) => i % 2 === 0);
      this.#stride *= 2;
    }
  }

  chosen(): DrawnRequest[] {
    return [...new Set([...this.#spread.slice(0, drawnEach), ...this.#longest])].sort((a, b) =>
      a.block - b.block
    );
  }
}

function longestGapS(chunkMs: readonly number[]): number {
  let longest = 0;
  for (let i = 1; i < chunkMs.length; i++) {
    longest = Math.max(longest, (chunkMs[i] ?? 0) - (chunkMs[i - 1] ?? 0));
  }
  return longest / 1000;
}
