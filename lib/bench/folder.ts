/**
 * A run's folder. Records are appended as they come, one line and one write each, so that a process that
 * ends loses at most the requests in flight. They are flushed to the disk at least once a second between
 * requests, and when the run ends: a power failure loses at most what came since. An operating-system
 * lock refuses a second run into the folder; it goes with its process, however that ends. A torn last
 * line is recognised and cut off.
 */
import { join } from "node:path";
import { reasonOf, UserError } from "../errors.ts";
import { isFile } from "../text_file.ts";
import { readRunInfo, readSamples } from "./read_run.ts";
import { type AnswerRecord, answerRecord, type RunInfo, type SampleRecord } from "./records.ts";

const NEWLINE = 10;

/** Where a run's records go. */
export interface RunSink {
  /** @throws {UserError} exit code 1 when the disk is full or the folder can't be written */
  sample(record: SampleRecord): Promise<void>;
  /** @throws {UserError} as `sample` */
  answer(record: AnswerRecord): Promise<void>;
  /** Flushes what was written to the disk. Called between requests, about once a second. */
  flush?(): Promise<void>;
}

/** A run folder that this process holds the lock of. */
export interface RunFolder extends RunSink {
  readonly path: string;
  /** Replaces run.json in one step. */
  writeInfo(info: RunInfo): Promise<void>;
  /** Request records written by this process. */
  readonly requests: number;
  /** Flushes everything to the disk and gives the lock back; may be called twice. */
  close(): void;
}

/** The state on disk from which a run is resumed. */
export interface Resumed {
  readonly info: RunInfo;
  readonly folder: RunFolder;
  /** Names of the completed requests. */
  readonly done: ReadonlySet<string>;
  /** Candidates that left the run. */
  readonly left: ReadonlyMap<string, string>;
  /** Candidates whose load was measured. */
  readonly loaded: ReadonlySet<string>;
  /** Highest block number so far, and where the run's own time continues. */
  readonly lastBlock: number;
  readonly lastMs: number;
  /** Whether one timed request succeeded. */
  readonly measured: boolean;
  /** Disturbed blocks that are still to be repeated. */
  readonly owed: readonly OwedBlock[];
}

/** The number of a block, as in its requests' names. */
export interface OwedBlock {
  readonly promptId: string;
  readonly round: number;
  readonly attempt: number;
}

/**
 * A run's name: its date and time (UTC) and four random characters, so that two started together differ.
 *
 * ```ts
 * const id = newRunId(new Date(Date.UTC(2026, 10, 21, 4, 55, 7)), () => 0.5);
 * if (!/^2026-11-21T04-55-07-[0-9a-z]{4}$/.test(id)) throw new Error(id);
 * ```
 */
export function newRunId(now: Date, random: () => number): string {
  const letters = Array.from({ length: 4 }, () => Math.floor(random() * 36).toString(36)).join("");
  return `${now.toISOString().slice(0, 19).replaceAll(":", "-")}-${letters}`;
}

/**
 * Makes the folder of a new run below `root` and takes its lock.
 *
 * @throws {UserError} exit code 1 when the folder can't be written or another run holds it
 *
 * ```ts ignore
 * const folder = await createRunFolder("reports", info);
 * await folder.sample(record);
 * folder.close();
 * ```
 */
export async function createRunFolder(root: string, info: RunInfo): Promise<RunFolder> {
  const path = join(root, info.run_id);
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw cannotWrite(path, error);
  }
  const { folder } = await openFolder(path, info.plan.mode, () => Promise.resolve(null));
  if (await isFile(join(path, "run.json"))) {
    folder.close();
    throw new UserError(
      `there already is a run in ${path}: give another folder with --out`,
    );
  }
  await folder.writeInfo(info);
  return folder;
}

/**
 * Opens the folder of a run that ended early, cuts off a torn last line and reads what is done.
 *
 * @throws {UserError} when there is no run, its run.json is unreadable, or another process is writing to it
 */
export async function resumeRunFolder(path: string): Promise<Resumed> {
  const info = await readRunInfo(path);
  const { folder, prepared } = await openFolder(path, info.plan.mode, async () => {
    await cutTornLine(join(path, "samples.jsonl"));
    await cutTornLine(join(path, "answers.jsonl"));
    const progress = await readProgress(path);
    await dropOrphans(join(path, "answers.jsonl"), progress.done);
    return progress;
  });
  return { info, folder, ...prepared };
}

async function readProgress(path: string): Promise<Omit<Resumed, "info" | "folder">> {
  const done = new Set<string>();
  const left = new Map<string, string>();
  const loaded = new Set<string>();
  const disturbed = new Set<number>();
  const blocks = new Map<string, { promptId: string; round: number; numbers: Set<number> }>();
  let [lastBlock, lastMs, measured] = [0, 0, false];
  for await (const record of readSamples(path)) {
    lastMs = Math.max(lastMs, record.kind === "request" ? record.end_ms : record.at_ms);
    if (record.kind === "request") done.add(record.id);
    if (record.kind === "request" && record.phase === "timed") {
      measured ||= record.status === "ok";
      lastBlock = Math.max(lastBlock, record.block);
      const { prompt_id: promptId, round } = record;
      const key = `${round} ${promptId}`;
      const block = blocks.get(key) ?? { promptId, round, numbers: new Set() };
      block.numbers.add(record.block);
      blocks.set(key, block);
    }
    if (record.kind === "machine" && record.disturbed !== null) disturbed.add(record.block);
    if (record.kind === "candidate") left.set(record.candidate, record.reason);
    if (record.kind === "load") loaded.add(record.candidate);
  }
  const owed = [...blocks.values()].flatMap(({ promptId, round, numbers }) =>
    [...numbers].every((number) => disturbed.has(number)) ? [{ promptId, round, attempt: numbers.size }] : []
  );
  return { done, left, loaded, lastBlock, lastMs, measured, owed };
}

/**
 * Removes answers whose request left no sample: an answer is written first, so a disk that ran full between
 * the two may leave it alone. The request is sent again.
 */
async function dropOrphans(path: string, done: ReadonlySet<string>): Promise<void> {
  if (!await isFile(path)) return;
  const lines = (await Deno.readTextFile(path)).split("\n").filter((line) => line !== "");
  const kept = lines.filter((line, at) => done.has(answerId(line, `${path}, line ${at + 1}`)));
  if (kept.length === lines.length) return;
  await replaceFile(path, kept.map((line) => `${line}\n`).join(""));
}

function answerId(line: string, where: string): string {
  try {
    return answerRecord.parse(JSON.parse(line)).id;
  } catch (error) {
    throw new UserError(`${where} can't be read: ${reasonOf(error)}`, 2, { cause: error });
  }
}

/** Cuts off the text after the last newline. */
async function cutTornLine(path: string): Promise<void> {
  if (!await isFile(path)) return;
  using file = await Deno.open(path, { read: true, write: true });
  const { size } = await file.stat();
  const block = new Uint8Array(65_536);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - block.length);
    await file.seek(start, Deno.SeekMode.Start);
    const read = await file.read(block.subarray(0, end - start)) ?? 0;
    const newline = block.subarray(0, read).lastIndexOf(NEWLINE);
    if (newline >= 0 || start === 0) {
      const keep = newline < 0 ? 0 : start + newline + 1;
      if (keep < size) await file.truncate(keep);
      return;
    }
    end = start;
  }
}

/** Takes the lock of a run, then calls `prepare`, which may replace its files, and opens them last. */
async function openFolder<T>(
  path: string,
  mode: RunInfo["plan"]["mode"],
  prepare: () => Promise<T>,
): Promise<{ folder: RunFolder; prepared: T }> {
  const files: Deno.FsFile[] = [];
  const open = async (name: string) => {
    const file = await Deno.open(join(path, name), { append: true, create: true });
    files.push(file);
    return file;
  };
  try {
    const lock = await open("run.lock");
    if (!await lock.tryLock(true)) {
      throw new UserError(`another run is writing to ${path}: wait for it to end, or start a new run`);
    }
    const prepared = await prepare();
    const [samples, answers] = [await open("samples.jsonl"), await open("answers.jsonl")];
    return { folder: new LockedFolder(path, mode, lock, appender(samples), appender(answers)), prepared };
  } catch (error) {
    for (const file of files) file.close();
    throw error instanceof UserError ? error : cannotWrite(path, error);
  }
}

class LockedFolder implements RunFolder {
  requests = 0;
  readonly #lock: Deno.FsFile;
  readonly #samples: Appender;
  readonly #answers: Appender;
  #closed = false;

  constructor(
    readonly path: string,
    readonly mode: RunInfo["plan"]["mode"],
    lock: Deno.FsFile,
    samples: Appender,
    answers: Appender,
  ) {
    this.#lock = lock;
    this.#samples = samples;
    this.#answers = answers;
  }

  async sample(record: SampleRecord): Promise<void> {
    await this.#guarded(() => this.#samples.line(record));
    if (record.kind === "request") this.requests++;
  }

  async answer(record: AnswerRecord): Promise<void> {
    await this.#guarded(() => this.#answers.line(record));
  }

  async flush(): Promise<void> {
    await this.#guarded(() => Promise.all([this.#samples.flush(), this.#answers.flush()]));
  }

  async writeInfo(info: RunInfo): Promise<void> {
    await this.#guarded(() => replaceFile(join(this.path, "run.json"), `${JSON.stringify(info, null, 2)}\n`));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#samples.close();
    this.#answers.close();
    this.#lock.close();
    removeIfThere(join(this.path, "run.lock"));
  }

  async #guarded(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      throw cannotWrite(this.path, error, this);
    }
  }
}

/** The lock's file means nothing without the lock: removing it is optional, so a failure doesn't matter. */
function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/** A disk that ran full, or a file system without flushing, was reported, or can't be helped, when it was written. */
function flushIfPossible(file: Deno.FsFile): void {
  try {
    file.syncDataSync();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

interface Appender {
  line(value: unknown): Promise<void>;
  flush(): Promise<void>;
  close(): void;
}

/**
 * Writes whole lines, one after the other: a line goes out in one write. Where the disk takes only part of
 * it, that part is cut off again, so that what is on disk stays readable.
 */
function appender(file: Deno.FsFile): Appender {
  const encoder = new TextEncoder();
  let queue: Promise<void> = Promise.resolve();
  const writeLine = async (bytes: Uint8Array) => {
    let written = 0;
    try {
      while (written < bytes.length) written += await file.write(bytes.subarray(written));
    } catch (error) {
      if (written > 0) await file.truncate((await file.stat()).size - written);
      throw error;
    }
  };
  return {
    line(value) {
      const bytes = encoder.encode(`${JSON.stringify(value)}\n`);
      const written = queue.then(() => writeLine(bytes));
      queue = written.catch(() => {});
      return written;
    },
    flush: () => queue.then(() => file.syncData()),
    close() {
      flushIfPossible(file);
      file.close();
    },
  };
}

/**
 * Replaces a file so that a reader sees the old text or the new, never a part, also after a power
 * failure. Writers at the same time do not disturb each other: the last one to end counts. A failure
 * leaves no other file behind.
 *
 * @throws {Error} as the file system says
 */
export async function replaceFile(path: string, text: string, { mode = 0o666 } = {}): Promise<void> {
  const [fresh, file] = await openBeside(path, mode);
  try {
    try {
      const bytes = new TextEncoder().encode(text);
      for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
      await file.syncData();
    } finally {
      file.close();
    }
    await Deno.rename(fresh, path);
  } catch (error) {
    removeIfThere(fresh);
    throw error;
  }
}

/** A new file next to `path`, under a name that no other writer has; a link is never written through. */
async function openBeside(path: string, mode: number): Promise<[string, Deno.FsFile]> {
  for (let attempt = 1;; attempt++) {
    const fresh = `${path}.${attempt}.new`;
    try {
      return [fresh, await Deno.open(fresh, { write: true, createNew: true, mode })];
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

/** @param run its mode and number of requests; left out where the run has not begun */
function cannotWrite(path: string, error: unknown, run?: Pick<LockedFolder, "mode" | "requests">): UserError {
  const full = reasonOf(error).includes("os error 28") || reasonOf(error).includes("os error 112");
  const remedy = full
    ? "free some space, or give another place with --out"
    : "give a folder you may write to with --out";
  const what = full
    ? `the disk is full: can't write to ${path}`
    : `can't write to ${path}: ${reasonOf(error)}`;
  const isBegun = run !== undefined && run.requests > 0;
  const kept = isBegun ? `; ${run.requests} requests of this run are kept there` : "";
  // A race can't be continued; its verdict so far can be shown.
  const next = run?.mode === "race" ? "see what they show with --replay" : "continue with --resume";
  return new UserError(`${what}${kept}; ${remedy}${isBegun ? `, and ${next} ${path}` : ""}`, 1, {
    cause: error,
  });
}
