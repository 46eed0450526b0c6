/**
 * The hub's copies of its devices' runs. A piece of a file comes with its offset in the device's own file, which is only
 * appended to: so a piece that comes twice, late, or again after a crash is recognised by what is here already, and the
 * copy is the device's file, byte for byte. When a device says that its run is over, the copy is held against the
 * hashes that the device states and checked for what can't be true; only then it counts.
 */
import { join } from "node:path";
import { replaceFile } from "../bench/folder.ts";
import { readRunInfo } from "../bench/read_run.ts";
import { sha256Of } from "../catalog/files.ts";
import { reasonOf, UserError } from "../errors.ts";
import { parsePromptSet } from "../prompts/prompts.ts";
import { parseDocument } from "../text_file.ts";
import { carriedJobProblem } from "./carried_job.ts";
import {
  deviceId,
  FLEET_SCHEMA,
  isDocumentKind,
  planId,
  type PlanOutcome,
  type ReceivedRun,
  receivedRun,
  resultId,
  type SentPlan,
  sentPlan,
} from "./device.ts";
import { documentProblems } from "./check_document.ts";
import { implausible } from "./plausible.ts";
import { type EndReply, type EndRequest, FILE_TOKENS, type FileToken, tokensOf } from "./wire.ts";

/** Largest file of a run. */
const MAX_FILE_BYTES = 512 * 2 ** 20;
/** A race that is killed starts again; more runs of one plan than this are not an accident. */
const MAX_RUNS_PER_PLAN = 5;
/** How often a copy with the wrong hash is fetched again. */
const MAX_MISMATCHES = 3;

/** One piece of a file of a run. */
export interface RunPiece {
  readonly device: string;
  readonly plan: string;
  readonly run: string;
  readonly file: FileToken;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * The fate of a piece: `added`; `known`, it was here already; `early`, what comes before it is missing; or why it is
 * not taken at all.
 */
export type Taken = "added" | "known" | "early" | { readonly refused: string };

/** A run of a device, as far as it is here. */
interface Arriving {
  readonly folder: string;
  readonly plan: string;
  readonly sizes: Map<FileToken, number>;
  readonly firstAt: string;
  /** Null while it arrives. */
  verdict: EndReply["verdict"];
  mismatches: number;
  /** The check that is going on. */
  checking: Promise<EndReply> | null;
}

export interface MergerOptions {
  /** The fleet's folder. */
  readonly folder: string;
  readonly now: () => Date;
  /** How far a device's clock is known to be off, in seconds. */
  readonly clockOffS: (device: string) => number;
  /** Appends to a file. @default the file system; a test has a full disk */
  readonly append?: (path: string, bytes: Uint8Array) => void;
}

/** Takes pieces in and says what is whole. Only one may write to a fleet's folder. */
export class Merger {
  readonly #options: Required<MergerOptions>;
  readonly #runs = new Map<string, Arriving>();
  /** Runs of each device and plan. */
  readonly #names = new Map<string, Set<string>>();
  readonly #plans = new Map<string, { devices: ReadonlySet<string>; kind: SentPlan["plan"]["kind"] }>();
  /** One run is checked at a time: memory stays small however many end together. */
  #checks: Promise<unknown> = Promise.resolve();

  constructor(options: MergerOptions) {
    this.#options = { append: appendTo, ...options };
  }

  /**
   * Writes what is new of a piece.
   *
   * @throws {Error} as the file system says, when the disk is full: the piece is to be given again
   */
  take({ device, plan, run, file, offset, bytes }: RunPiece): Taken {
    const problem = this.#problemOf(device, plan, run);
    if (problem !== null) return { refused: problem };
    const { kind } = this.#known(plan);
    if (!tokensOf(kind).includes(file)) {
      return { refused: `a ${kind} plan doesn't lead to ${FILE_TOKENS[file]}` };
    }
    const arriving = this.#arriving(device, plan, run);
    if (arriving.verdict !== null || arriving.checking !== null) return "known";
    const path = join(arriving.folder, FILE_TOKENS[file]);
    if (file !== "samples" && file !== "answers") {
      Deno.writeFileSync(`${path}.new`, bytes);
      Deno.renameSync(`${path}.new`, path);
      arriving.sizes.set(file, bytes.length);
      return "added";
    }
    const have = arriving.sizes.get(file) ?? 0;
    if (offset > have) return "early";
    const fresh = bytes.subarray(have - offset);
    if (fresh.length === 0) return "known";
    if (have + fresh.length > MAX_FILE_BYTES) {
      return { refused: `${run}: ${FILE_TOKENS[file]} is larger than ${MAX_FILE_BYTES} bytes` };
    }
    try {
      this.#options.append(path, fresh);
    } catch (error) {
      // A full disk may have stored a part: the next attempt continues behind it.
      arriving.sizes.set(file, sizeOf(path));
      throw error;
    }
    arriving.sizes.set(file, have + fresh.length);
    return "added";
  }

  /** What the hub has of a run that is over, and, once it has everything, whether it counts. */
  async end(device: string, { plan, run, problem, files }: EndRequest): Promise<EndReply> {
    if (run === null) return await this.#withoutRun(device, plan, problem);
    const unfit = this.#problemOf(device, plan, run);
    if (unfit !== null) return { have: {}, verdict: { status: "refused", reasons: [unfit] } };
    const arriving = this.#arriving(device, plan, run);
    const have = haveOf(arriving);
    if (arriving.verdict !== null) return { have, verdict: arriving.verdict };
    if (files.some(({ name, bytes }) => (have[name] ?? 0) < bytes)) return { have, verdict: null };
    arriving.checking ??= this.#queued(() => this.#check(arriving, { device, plan, run, problem, files }))
      .finally(() => arriving.checking = null);
    return await arriving.checking;
  }

  /** A plan that led to no run: only its outcome is recorded. */
  async #withoutRun(
    device: string,
    plan: string,
    problem: EndRequest["problem"],
  ): Promise<EndReply> {
    const status = problem?.status ?? "failed";
    const reasons = problem === null ? [] : [problem.note];
    if (this.#devicesOf(plan).has(device)) await this.#note({ plan, device, status, reasons, run: null });
    return { have: {}, verdict: { status, reasons } };
  }

  #queued<T>(check: () => Promise<T>): Promise<T> {
    const next = this.#checks.then(check);
    this.#checks = next.catch(() => {});
    return next;
  }

  async #check(
    arriving: Arriving,
    { device, plan, run, problem, files }: EndRequest & { device: string; run: string },
  ): Promise<EndReply> {
    const wrong: FileToken[] = [];
    for (const { name, bytes, sha256 } of files) {
      const token = tokenOf(name);
      const path = join(arriving.folder, name);
      if (arriving.sizes.get(token) === bytes && await sha256Of(path) === sha256) continue;
      wrong.push(token);
    }
    if (wrong.length > 0 && ++arriving.mismatches <= MAX_MISMATCHES) {
      // Its device has another file than came here: that one is fetched again, from its first byte.
      for (const token of wrong) {
        await Deno.truncate(join(arriving.folder, FILE_TOKENS[token]), 0).catch(() => {});
        arriving.sizes.set(token, 0);
      }
      return { have: haveOf(arriving), verdict: null };
    }
    const reasons = wrong.length > 0
      ? [
        `hashes: ${
          wrong.map((token) => FILE_TOKENS[token]).join(", ")
        } came otherwise than the device states`,
      ]
      : await this.#reasons(arriving.folder, device, plan, run, files.map(({ name }) => name));
    const refused = reasons.length > 0;
    const status = refused ? "refused" : problem?.status ?? "complete";
    const told = refused ? reasons : problem === null ? [] : [problem.note];
    const received: ReceivedRun = {
      schema_version: FLEET_SCHEMA,
      plan,
      // A run that was stopped, or ended early, is whole as far as it went.
      status: refused ? "refused" : "complete",
      reasons: told,
      first_at: arriving.firstAt,
      last_at: this.#options.now().toISOString(),
      files: [...files],
    };
    await writeReceived(arriving.folder, received);
    await this.#note({ plan, device, status, reasons: told, run });
    arriving.verdict = { status, reasons: told };
    return { have: haveOf(arriving), verdict: arriving.verdict };
  }

  async #reasons(
    folder: string,
    device: string,
    plan: string,
    run: string,
    names: readonly string[],
  ): Promise<string[]> {
    const terms = { now: this.#options.now(), clockOffS: this.#options.clockOffS(device) };
    const { kind } = this.#known(plan);
    if (isDocumentKind(kind)) {
      const missing = tokensOf(kind).map((token) => FILE_TOKENS[token]).filter((name) =>
        !names.includes(name)
      );
      if (missing.length > 0) return [`${missing.join(", ")} is missing`];
      return await documentProblems(folder, this.#planFile(plan).plan, terms);
    }
    try {
      const info = await readRunInfo(folder);
      if (info.run_id !== run) return [`run.json is of the run ${info.run_id.slice(0, 40)}`];
      const job = this.#jobOf(plan);
      if (info.plan.prompt_set.sha256 !== parsePromptSet(JSON.parse(job.text), job.name).sha256) {
        return ["job: the run is about another job than the plan"];
      }
    } catch (error) {
      if (error instanceof UserError) return [reasonOf(error).replaceAll(folder, "").slice(0, 300)];
      throw error;
    }
    const prompts = await Deno.readTextFile(join(folder, "prompts.json")).catch(() => null);
    const problem = prompts === null ? null : carriedJobProblem(prompts);
    if (problem !== null) return [`prompts.json: ${problem}`];
    return await implausible(folder, terms);
  }

  /** Why nothing of this run is taken; null where it is. */
  #problemOf(device: string, plan: string, run: string): string | null {
    if (
      !deviceId.safeParse(device).success || !planId.safeParse(plan).success ||
      !resultId.safeParse(run).success
    ) {
      return "no id of a device, a plan or a run";
    }
    if (this.#runs.has(`${device}/${run}`)) return null;
    if (!this.#devicesOf(plan).has(device)) return `${device} was not sent the plan ${plan}`;
    const { kind } = this.#known(plan);
    if (/^[a-z]+/.exec(run)?.[0] !== (isDocumentKind(kind) ? kind : undefined)) {
      return `${run} is not the name of what a ${kind} plan leads to`;
    }
    const runs = this.#names.get(`${device}/${plan}`) ?? new Set();
    if (runs.size >= MAX_RUNS_PER_PLAN) {
      return `${device} sends more than ${MAX_RUNS_PER_PLAN} runs of ${plan}`;
    }
    return null;
  }

  #planFile(plan: string) {
    const path = join(this.#options.folder, "plans", `${plan}.json`);
    return parseDocument(Deno.readTextFileSync(path), { schema: sentPlan, newest: FLEET_SCHEMA, name: path });
  }

  #jobOf(plan: string) {
    return this.#planFile(plan).plan.job;
  }

  #known(plan: string) {
    const known = this.#plans.get(plan);
    if (known !== undefined) return known;
    const { devices, plan: { kind } } = this.#planFile(plan);
    const found = { devices: new Set(devices), kind };
    this.#plans.set(plan, found);
    return found;
  }

  #devicesOf(plan: string): ReadonlySet<string> {
    try {
      return this.#known(plan).devices;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return new Set();
      throw error;
    }
  }

  /** A run's state in memory; after a restart of the hub, from what lies in its folder. */
  #arriving(device: string, plan: string, run: string): Arriving {
    const key = `${device}/${run}`;
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const folder = join(this.#options.folder, "devices", device, run);
    Deno.mkdirSync(folder, { recursive: true });
    const path = join(folder, "received.json");
    const received = readReceived(path);
    const sizes = new Map<FileToken, number>();
    for (const token of tokensOf(this.#known(plan).kind)) {
      sizes.set(token, sizeOf(join(folder, FILE_TOKENS[token])));
    }
    const firstAt = received?.first_at ?? this.#options.now().toISOString();
    const verdict = received === null || received.status === "arriving"
      ? null
      : { status: received.status, reasons: received.reasons };
    if (received === null) {
      const begun = {
        status: "arriving",
        reasons: [],
        first_at: firstAt,
        last_at: firstAt,
        files: [],
      } as const;
      const document = { schema_version: FLEET_SCHEMA, plan, ...begun };
      Deno.writeTextFileSync(path, `${JSON.stringify(document, null, 2)}\n`);
    }
    const arriving = { folder, plan, sizes, firstAt, verdict, mismatches: 0, checking: null };
    this.#runs.set(key, arriving);
    const runs = this.#names.get(`${device}/${plan}`) ?? new Set();
    this.#names.set(`${device}/${plan}`, runs.add(run));
    return arriving;
  }

  async #note(outcome: Omit<PlanOutcome, "at">): Promise<void> {
    const path = join(this.#options.folder, "devices", outcome.device, `${outcome.plan}.json`);
    const noted = { ...outcome, at: this.#options.now().toISOString() };
    await replaceFile(path, `${JSON.stringify(noted, null, 2)}\n`);
  }
}

function appendTo(path: string, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { append: true, create: true });
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

const ALL_TOKENS = [...tokensOf("bench"), ...tokensOf("capacity"), ...tokensOf("fidelity")];

function tokenOf(name: string): FileToken {
  const found = ALL_TOKENS.find((token) => FILE_TOKENS[token] === name);
  if (found !== undefined) return found;
  throw new RangeError(`${name} is not a file of a run`);
}

const haveOf = ({ sizes }: Arriving): Record<string, number> =>
  Object.fromEntries([...sizes].map(([token, bytes]) => [FILE_TOKENS[token], bytes]));

function readReceived(path: string): ReceivedRun | null {
  try {
    const text = Deno.readTextFileSync(path);
    return parseDocument(text, { schema: receivedRun, newest: FLEET_SCHEMA, name: path });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    // A hub that was killed while it wrote: what counts is in the files, and is checked again.
    if (error instanceof UserError) return null;
    throw error;
  }
}

const writeReceived = (folder: string, received: ReceivedRun): Promise<void> =>
  replaceFile(join(folder, "received.json"), `${JSON.stringify(received, null, 2)}\n`);
