/**
 * What the plots and the answers need of a run, gathered in one pass over its records. The figures come
 * from summary.json; nothing is computed twice.
 */
import { latencyS, ttftS } from "../bench/metrics.ts";
import type { AnswerRecord, LoadRecord, RequestRecord, SampleRecord } from "../bench/records.ts";
import { ServerColumns, type ServerSide } from "./server_side.ts";
import { type DrawnRequest, TimelineChoice } from "./timeline_choice.ts";

/** The good timed requests of one candidate on one prompt, quiet blocks only. */
export interface Cell {
  readonly candidate: string;
  readonly prompt: string;
  /** Seconds; as long as there were requests. */
  readonly latency: readonly number[];
  /** Seconds; shorter where answers did not stream. */
  readonly ttft: readonly number[];
}

/** A block that the summary leaves out. */
export interface DisturbedBlock {
  readonly block: number;
  readonly reason: string;
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
