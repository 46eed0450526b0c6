/**
 * Whether a run that came from elsewhere can be true. A run of 1,000,000 tokens/s once entered a community's
 * data: nothing is merged before it has passed these checks, and each refusal says why. The limits are far
 * beyond any machine on the market: they stop broken units, clocks and counts, and crude forgeries. They
 * can't detect a careful forgery.
 */
import { createHash } from "node:crypto";
import { readAnswers, readRunInfo, readSamples } from "../bench/read_run.ts";
import { latencyS, tpotS, ttftS } from "../bench/metrics.ts";
import type { RequestRecord, RunInfo, SampleRecord } from "../bench/records.ts";
import { reasonOf, UserError } from "../errors.ts";
import { sumOf } from "../stats/mean.ts";

/** No program streams one answer faster: the fastest chips on the market reach about 3,000. */
const MAX_TOKENS_PER_S = 5000;
/** Most that a processor reads from memory and caches per core, in GB/s; a quarter of that is usual. */
const GB_PER_S_PER_CORE = 200;
/**
 * Most that a graphics card reads; 8,000 is the fastest on the market. A model with
 * experts reads a part of itself.
 */
const GB_PER_S_WITH_GPU = 20_000;
/** Faster reading of a prompt, in tokens/s, was a cache, and the prompt was not cold. */
const MAX_PROMPT_TOKENS_PER_S = 1_000_000;
/** Faults that a message names at most. */
const MOST_REASONS = 10;
const HOUR_MS = 3_600_000;
/** No run is older than the programs that it could have measured. */
const EARLIEST = "2024-01-01";

/** What a run is held against. */
export interface PlausibleTerms {
  readonly now: Date;
  /** How far the clock of the run's machine is known to be off, in seconds. @default 0 */
  readonly clockOffS?: number;
}

/**
 * Why the run in a folder can't be true; empty for one that may be merged. Every line is checked against its
 * schema on the way.
 *
 * ```ts
 * const reasons = await implausible("reports/2026-11-21T07-30-18-gzss", { now: new Date("2026-11-29") });
 * if (reasons.length > 0) throw new Error(reasons.join("; "));
 * ```
 */
export async function implausible(folder: string, terms: PlausibleTerms): Promise<string[]> {
  const faults = new Faults();
  try {
    const info = await readRunInfo(folder);
    checkInfo(info, terms, faults);
    const checked = new RequestCheck(info, faults);
    for await (const record of readSamples(folder, () => faults.add("samples.jsonl ends inside a line"))) {
      checked.record(record);
      if (faults.isFull) return faults.reasons;
    }
    checked.end();
    await checkAnswers(folder, checked.requests, faults);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // The file's own name is enough: the folder is a temporary one.
    faults.add(reasonOf(error).replaceAll(folder, "").replaceAll(/(^|\s)[\\/]/g, "$1"));
  }
  return faults.reasons;
}

/** Collects the reasons against a run: each once, and not too many. */
export class Faults {
  readonly #reasons = new Set<string>();

  add(reason: string): void {
    if (!this.isFull) this.#reasons.add(reason.slice(0, 300));
  }

  get isFull(): boolean {
    return this.#reasons.size >= MOST_REASONS;
  }

  get reasons(): string[] {
    return [...this.#reasons];
  }
}

/** Whether something can have been made at a time. */
export function checkTime(created_at: string, { now, clockOffS = 0 }: PlausibleTerms, faults: Faults): void {
  const created = Date.parse(created_at);
  if (Number.isNaN(created)) {
    faults.add(`clock: created_at is "${created_at.slice(0, 40)}", which is not a time`);
  } else if (created - clockOffS * 1000 > now.getTime() + HOUR_MS) {
    faults.add(`clock: it was made at ${created_at}, which is still to come`);
  } else if (created - clockOffS * 1000 < Date.parse(EARLIEST)) {
    faults.add(`clock: it was made at ${created_at}, before ${EARLIEST}`);
  }
}

function checkInfo(info: RunInfo, terms: PlausibleTerms, faults: Faults): void {
  const { created_at, machine, plan, candidates } = info;
  checkTime(created_at, terms, faults);
  if (machine.cores > 4096) faults.add(`machine: ${machine.cores} cores`);
  if (machine.ram_gb > 100_000) faults.add(`machine: ${machine.ram_gb} GB of memory`);
  const ids = new Set(candidates.map(({ id }) => id));
  if (ids.size < candidates.length) faults.add("counts: two candidates have the same id");
  if (candidates.length > 1000) faults.add(`counts: ${candidates.length} candidates`);
  for (const { id, endpoint, size_mb } of candidates) {
    if (endpoint === "embedded" && size_mb !== null && size_mb / 1000 > 1.2 * machine.ram_gb) {
      faults.add(`machine: ${id} has ${size_mb} MB, the machine ${machine.ram_gb} GB of memory`);
    }
  }
  for (const { id, sha256, messages, ...more } of plan.prompt_set.prompts) {
    // The hash of a case with tools, settings or turns covers these too: only a plain
    // one can be computed here.
    if (Object.keys(more).length > 0) continue;
    const text = JSON.stringify(messages.map(({ role, content }) => [role, content]));
    const found = createHash("sha256").update(text).digest("hex");
    if (found !== sha256) faults.add(`hashes: prompt ${id} is not the text whose SHA-256 it states`);
  }
}

/** What requests are checked against: a run, or the corresponding parts of a document. */
export interface CheckedRun {
  readonly machine: RunInfo["machine"];
  readonly plan: Pick<RunInfo["plan"], "rounds" | "max_tokens" | "concurrency"> & {
    readonly prompt_set: { readonly prompts: readonly { readonly id: string }[] };
  };
  readonly candidates: readonly Pick<RunInfo["candidates"][number], "id" | "size_mb" | "endpoint">[];
}

/** Requests of one run, as they are read. */
export class RequestCheck {
  /** Characters of the answer of each request. */
  readonly requests = new Map<string, number>();
  readonly #info: CheckedRun;
  readonly #faults: Faults;
  readonly #candidates: ReadonlyMap<string, CheckedRun["candidates"][number]>;
  readonly #prompts: ReadonlySet<string>;
  readonly #chunkShares: number[] = [];
  #busyMs = 0;
  #firstMs = Infinity;
  #lastMs = 0;

  constructor(info: CheckedRun, faults: Faults) {
    this.#info = info;
    this.#faults = faults;
    this.#candidates = new Map(info.candidates.map((candidate) => [candidate.id, candidate]));
    this.#prompts = new Set(info.plan.prompt_set.prompts.map(({ id }) => id));
  }

  record(record: SampleRecord): void {
    const { machine } = this.#info;
    if ("candidate" in record && !this.#candidates.has(record.candidate)) {
      this.#faults.add(`counts: ${record.candidate} is not a candidate of this run`);
    }
    if (record.kind === "memory" && record.resident_mb / 1000 > 1.2 * machine.ram_gb) {
      this.#faults.add(
        `units: ${record.candidate} takes ${record.resident_mb} MB of a machine with ${machine.ram_gb} GB`,
      );
    }
    if (record.kind === "request") this.#request(record);
  }

  #request(record: RequestRecord): void {
    const { id, phase, round, prompt_id } = record;
    if (this.requests.has(id)) this.#faults.add(`duplicates: request ${id} is there twice`);
    this.requests.set(id, record.content_chars);
    if (!this.#prompts.has(prompt_id)) {
      this.#faults.add(`counts: ${id} is about prompt ${prompt_id}, which the run doesn't have`);
    }
    if (phase === "timed" && round > this.#info.plan.rounds) {
      this.#faults.add(`counts: ${id} is of round ${round} of ${this.#info.plan.rounds}`);
    }
    this.#counts(record);
    this.#times(record);
    this.#speed(record);
  }

  #counts({ id, chunk_ms, chunk_chars, content_chars, reasoning_chars, ...record }: RequestRecord): void {
    if (chunk_ms.length !== chunk_chars.length) {
      this.#faults.add(`counts: ${id} has ${chunk_ms.length} times for ${chunk_chars.length} chunks`);
    }
    const chars = sumOf(chunk_chars);
    if (chars !== content_chars + reasoning_chars) {
      this.#faults.add(
        `counts: the chunks of ${id} hold ${chars} characters, its answer ${content_chars + reasoning_chars}`,
      );
    }
    const most = this.#info.plan.max_tokens;
    // An endpoint may end a word, and some count the thinking apart.
    if (record.output_tokens - (record.reasoning_tokens ?? 0) > 1.1 * most + 16) {
      this.#faults.add(`counts: ${id} has ${record.output_tokens} tokens, and ${most} were allowed`);
    }
  }

  #times({ id, chunk_ms, due_ms, sent_ms, headers_ms, end_ms, status, phase }: RequestRecord): void {
    const goesBack = chunk_ms.some((at, index) => at < (chunk_ms[index - 1] ?? 0));
    if (goesBack || sent_ms < due_ms || end_ms < sent_ms || (headers_ms ?? sent_ms) < sent_ms) {
      this.#faults.add(`clock: time goes back in ${id}`);
    }
    const last = chunk_ms.at(-1);
    if (last === undefined) return;
    if (due_ms + last > end_ms + 1) this.#faults.add(`clock: ${id} ended before its last chunk came`);
    if (status === "ok" && end_ms > due_ms) this.#chunkShares.push(last / (end_ms - due_ms));
    if (phase !== "timed") return;
    this.#busyMs += end_ms - sent_ms;
    this.#firstMs = Math.min(this.#firstMs, sent_ms);
    this.#lastMs = Math.max(this.#lastMs, end_ms);
  }

  #speed(record: RequestRecord): void {
    const { id, output_tokens, prompt_tokens } = record;
    if (record.status === "failed") return;
    const tpot = tpotS(record);
    const latency = latencyS(record);
    const rate = Math.max(
      tpot === null ? 0 : 1 / tpot,
      latency === null ? 0 : output_tokens / Math.max(latency, 1e-9),
    );
    // A few tokens in one packet have no rate.
    if (output_tokens < 8) return;
    if (rate > MAX_TOKENS_PER_S) {
      this.#faults.add(
        `speed: ${id} makes ${perSecond(rate)} tokens/s; no machine reaches ${MAX_TOKENS_PER_S}`,
      );
    }
    this.#bandwidth(record, rate);
    const ttft = ttftS(record);
    const isFresh = record.prefix === "cold" && (record.cached_tokens ?? 0) === 0;
    if (isFresh && ttft !== null && (prompt_tokens ?? 0) / Math.max(ttft, 1e-9) > MAX_PROMPT_TOKENS_PER_S) {
      this.#faults.add(`speed: ${id} reads its prompt of ${prompt_tokens} tokens in ${ttft} s`);
    }
  }

  /** Each token of a dense model reads all its weights once. */
  #bandwidth({ id, candidate }: RequestRecord, rate: number): void {
    const size = this.#candidates.get(candidate)?.size_mb ?? null;
    if (size === null) return;
    const { gpu, cores } = this.#info.machine;
    const isHere = this.#candidates.get(candidate)?.endpoint === "embedded";
    const most = gpu.length > 0 || !isHere ? GB_PER_S_WITH_GPU : GB_PER_S_PER_CORE * cores;
    const read = rate * size / 1000;
    if (read <= most) return;
    this.#faults.add(
      `speed: ${id} makes ${perSecond(rate)} tokens/s with a model of ${size} MB, which reads ${
        perSecond(read)
      } GB/s; this machine (${cores} cores${gpu.length > 0 ? ", a GPU" : ""}) reaches ${most} at most`,
    );
  }

  /** Checks that need the whole run. */
  end(): void {
    const { concurrency, rounds, prompt_set } = this.#info.plan;
    const shares = this.#chunkShares.toSorted((a, b) => a - b);
    const middle = shares[Math.floor(shares.length / 2)];
    if (middle !== undefined && shares.length >= 5 && middle < 0.02) {
      this.#faults.add(
        `units: half of the answers came in the first ${
          (100 * middle).toFixed(1)
        } % of their time: chunks in another unit?`,
      );
    }
    if (this.#busyMs > concurrency * (this.#lastMs - this.#firstMs) * 1.02 + 100) {
      this.#faults.add(
        `clock: ${Math.round(this.#busyMs)} ms of requests by ${concurrency} clients in ${
          Math.round(this.#lastMs - this.#firstMs)
        } ms`,
      );
    }
    // At most half of the blocks are repeated; warm-ups come on top.
    const planned = rounds * prompt_set.prompts.length * this.#info.candidates.length;
    if (this.requests.size > 1.6 * planned + 1000 * this.#info.candidates.length) {
      this.#faults.add(`counts: ${this.requests.size} requests, and ${planned} were planned`);
    }
  }
}

const perSecond = (value: number) => value.toLocaleString("en-GB", { maximumFractionDigits: 0 });

async function checkAnswers(
  folder: string,
  requests: ReadonlyMap<string, number>,
  faults: Faults,
): Promise<void> {
  const seen = new Set<string>();
  for await (const { id, content, tool_calls } of readAnswers(folder)) {
    if (faults.isFull) return;
    if (seen.has(id)) faults.add(`duplicates: the answer to ${id} is there twice`);
    seen.add(id);
    const chars = requests.get(id);
    if (chars === undefined) faults.add(`counts: an answer to ${id}, which was never sent`);
    // Names and arguments of calls count as received characters.
    else if (tool_calls === undefined ? chars !== content.length : chars < content.length) {
      faults.add(`counts: the answer to ${id} has ${content.length} characters, its sample says ${chars}`);
    }
  }
}
