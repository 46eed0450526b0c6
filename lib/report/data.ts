/**
 * What the plots and the answers need of a run, gathered in one pass over its records. The figures come
 * from summary.json; nothing is computed twice.
 */
import { latencyS, ttftS } from "../bench/metrics.ts";
import type { AnswerRecord, LoadRecord, RequestRecord, SampleRecord } from "../bench/records.ts";
import { quantile } from "../stats/quantile.ts";

/** The good timed requests of one candidate on one prompt, quiet blocks only. */
export interface Cell {
  readonly candidate: string;
  readonly prompt: string;
  /** Seconds; as long as there were requests. */
  readonly latency: readonly number[];
  /** Seconds; shorter where answers did not stream. */
  readonly ttft: readonly number[];
}

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

/** A block that the summary leaves out. */
export interface DisturbedBlock {
  readonly block: number;
  readonly reason: string;
}

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

/** Everything of samples.jsonl that a report shows beside the summary. */
export interface RunData {
  readonly cells: readonly Cell[];
  /** By candidate: some spread over the run and those with the longest gaps, in the order of the run. */
  readonly drawn: ReadonlyMap<string, readonly DrawnRequest[]>;
  /** Good timed requests a candidate had, from which `drawn` was chosen. */
  readonly good: ReadonlyMap<string, number>;
  readonly disturbed: readonly DisturbedBlock[];
  readonly loads: ReadonlyMap<string, readonly LoadRecord[]>;
  /** Candidates whose service reports times or cached tokens of its own. */
  readonly server: readonly ServerSide[];
  /** Why a timed request failed or was cut off, by request id; at most `maxFailures` are kept. */
  readonly failures: ReadonlyMap<string, string>;
}

/** A timeline draws up to this many requests spread over the run, and as many of those with the longest gaps. */
export const drawnEach = 4;
const maxFailures = 10_000;

/** Takes the records of a run one by one and keeps what a report shows. */
export interface RunGatherer {
  readonly add: (record: SampleRecord) => void;
  readonly result: () => RunData;
}

/**
 * Gathers what a report shows from the records of a run, in one pass and in memory that grows by three numbers
 * a request.
 *
 * @example
 * ```ts
 * const gatherer = runGatherer();
 * if (gatherer.result().cells.length !== 0) throw new Error("no record, no cell");
 * ```
 */
export function runGatherer(): RunGatherer {
  const columns = new Map<string, Column>();
  const timelines = new Map<string, TimelineChoice>();
  const disturbed = new Map<number, string>();
  const loads = new Map<string, LoadRecord[]>();
  const failures = new Map<string, string>();
  const servers = new Map<string, ServerColumns>();
  const blocks = new Set<number>();
  const addRequest = (record: RequestRecord) => {
    blocks.add(record.block);
    if (record.status === "ok") {
      columnOf(columns, record).add(record);
      timelineOf(timelines, record.candidate).offer(record);
      serverOf(servers, record.candidate).add(record);
    } else if (failures.size < maxFailures) {
      failures.set(record.id, record.reason ?? record.status);
    }
  };
  return {
    add(record) {
      if (record.kind === "machine" && record.disturbed !== null) {
        disturbed.set(record.block, record.disturbed);
      }
      if (record.kind === "load") pushTo(loads, record.candidate, record);
      if (record.kind === "request" && record.phase === "timed") addRequest(record);
    },
    result() {
      const busy = disturbedCount(blocks, disturbed) > blocks.size / 2;
      const left = busy ? new Map<number, string>() : disturbed;
      return {
        cells: [...columns.values()].map((column) => column.quiet(left)),
        drawn: new Map([...timelines].map(([candidate, choice]) => [candidate, choice.chosen()])),
        good: new Map([...timelines].map(([candidate, choice]) => [candidate, choice.seen])),
        disturbed: [...disturbed].map(([block, reason]) => ({ block, reason })).sort((a, b) =>
          a.block - b.block
        ),
        loads,
        server: [...servers].flatMap(([candidate, columns]) => columns.summary(candidate) ?? []),
        failures,
      };
    },
  };
}

/** A run that was busy most of the time keeps all its blocks in the headline, as its summary does. */
function disturbedCount(blocks: ReadonlySet<number>, disturbed: ReadonlyMap<number, string>): number {
  return [...blocks].filter((block) => disturbed.has(block)).length;
}

function pushTo<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}

/** Values of one candidate and prompt, with their blocks: a block is known to be disturbed only at its end. */
class Column {
  readonly #blocks: number[] = [];
  readonly #latency: (number | null)[] = [];
  readonly #ttft: (number | null)[] = [];

  constructor(readonly candidate: string, readonly prompt: string) {}

  add(record: RequestRecord): void {
    this.#blocks.push(record.block);
    this.#latency.push(latencyS(record));
    this.#ttft.push(ttftS(record));
  }

  quiet(disturbed: ReadonlyMap<number, string>): Cell {
    const kept = (values: readonly (number | null)[]) =>
      values.filter((value, i): value is number =>
        value !== null && !disturbed.has(this.#blocks[i] ?? Number.NaN)
      );
    return {
      candidate: this.candidate,
      prompt: this.prompt,
      latency: kept(this.#latency),
      ttft: kept(this.#ttft),
    };
  }
}

function columnOf(columns: Map<string, Column>, record: RequestRecord): Column {
  const key = JSON.stringify([record.candidate, record.prompt_id]);
  let column = columns.get(key);
  if (column === undefined) columns.set(key, column = new Column(record.candidate, record.prompt_id));
  return column;
}

/** The server's figures of one candidate, request by request, each beside ours. */
class ServerColumns {
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

function serverOf(servers: Map<string, ServerColumns>, candidate: string): ServerColumns {
  let columns = servers.get(candidate);
  if (columns === undefined) servers.set(candidate, columns = new ServerColumns());
  return columns;
}

function timelineOf(timelines: Map<string, TimelineChoice>, candidate: string): TimelineChoice {
  let choice = timelines.get(candidate);
  if (choice === undefined) timelines.set(candidate, choice = new TimelineChoice());
  return choice;
}

/** Keeps a few requests out of any number: every stride-th one, and those with the longest gaps. */
class TimelineChoice {
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

/** What one candidate answered to one prompt. */
export interface ShownAnswer {
  readonly id: string;
  readonly content: string;
  readonly reasoning: string;
  /** Timed answers there were, and how many different texts among them. */
  readonly n: number;
  readonly different: number;
}

/** Different texts are told apart by their own string, up to this many of a candidate and prompt. */
const maxDifferent = 200;

/**
 * The first timed answer of every candidate to every prompt, and whether the repeats said the same.
 * The key is `answerKey(candidate, prompt)`.
 *
 * @example
 * ```ts
 * const answers = await gatherAnswers([
 *   { id: "1", candidate: "a", prompt_id: "p", phase: "timed", round: 1, content: "Yes.", reasoning: "" },
 *   { id: "2", candidate: "a", prompt_id: "p", phase: "timed", round: 2, content: "No.", reasoning: "" },
 * ]);
 * if (answers.get(answerKey("a", "p"))?.different !== 2) throw new Error("two texts were given");
 * ```
 */
export async function gatherAnswers(
  answers: AsyncIterable<AnswerRecord> | Iterable<AnswerRecord>,
): Promise<Map<string, ShownAnswer>> {
  const first = new Map<string, { answer: AnswerRecord; n: number; texts: Set<string> }>();
  for await (const answer of answers) {
    if (answer.phase !== "timed") continue;
    const key = answerKey(answer.candidate, answer.prompt_id);
    const seen = first.get(key);
    if (seen === undefined) first.set(key, { answer, n: 1, texts: new Set([answer.content]) });
    else {
      seen.n++;
      if (seen.texts.size < maxDifferent) seen.texts.add(answer.content);
    }
  }
  return new Map([...first].map(([key, { answer, n, texts }]) => [key, {
    id: answer.id,
    content: answer.content,
    reasoning: answer.reasoning,
    n,
    different: texts.size,
  }]));
}

/** One key for a candidate and a prompt, whatever characters are in them. */
export function answerKey(candidate: string, prompt: string): string {
  return JSON.stringify([candidate, prompt]);
}
