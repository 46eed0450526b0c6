/** The server's own figures beside ours, gathered request by request. */
import type { RequestRecord } from "../bench/records.ts";
import { quantile } from "../stats/quantile.ts";

/** What the server itself said of its work beside what we saw, medians over n good timed requests. */
export interface ServerSide {
  readonly candidate: string;
  readonly n: number;
  /** Reading the prompt, as the server has it, and our time to first token; seconds. */
  readonly promptS: number | null;
  readonly ttftS: number | null;
  /** Writing the answer, as the server has it, and our first to last chunk; seconds. */
  readonly decodeS: number | null;
  readonly streamS: number | null;
  /** Prompt tokens that came from its cache. */
  readonly cachedTokens: number | null;
}

/** The server's figures of one candidate, request by request, each beside ours. */
export class ServerColumns {
  readonly #prompt: number[] = [];
  readonly #ttft: number[] = [];
  readonly #decode: number[] = [];
  readonly #stream: number[] = [];
  readonly #cached: number[] = [];
  #n = 0;

  add(record: RequestRecord): void {
    const { server, chunk_ms: chunks } = record;
    const cached = record.cached_tokens ?? server?.cached_tokens ?? null;
    if (server === null && cached === null) return;
    this.#n++;
    if (cached !== null) this.#cached.push(cached);
    const [first, last] = [chunks[0], chunks.at(-1)];
    if (server === null || !record.streamed || first === undefined || last === undefined) return;
    if (server.prompt_ms !== null) {
      this.#prompt.push(server.prompt_ms / 1000);
      this.#ttft.push(first / 1000);
    }
    if (server.decode_ms !== null) {
      this.#decode.push(server.decode_ms / 1000);
      this.#stream.push((last - first) / 1000);
    }
  }

  summary(candidate: string): ServerSide | null {
    if (this.#n === 0) return null;
    const median = (values: readonly number[]) => values.length === 0 ? null : quantile(values, 0.5);
    return {
      candidate,
      n: this.#n,
      promptS: median(this.#prompt),
      ttftS: median(this.#ttft),
      decodeS: median(this.#decode),
      streamS: median(this.#stream),
      cachedTokens: median(this.#cached),
    };
  }
}
