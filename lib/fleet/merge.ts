/**
 * Merges what devices send into the fleet's folder. When a device says that its run is over, the copy is held
 * against the hashes that the device states and checked for what can't be true; only then it counts.
 */
import { join } from "node:path";
import { replaceFile } from "../bench/folder.ts";
import { readRunInfo } from "../bench/read_run.ts";
import { reasonOf, UserError } from "../errors.ts";
import { parsePromptSet } from "../prompts/prompts.ts";
import { parseDocument } from "../text_file.ts";
import { carriedJobProblem } from "./carried_job.ts";
import { documentProblems } from "./check_document.ts";
import {
  deviceId,
  documentText,
  FLEET_SCHEMA,
  isDocumentKind,
  planId,
  type PlanOutcome,
  resultId,
  type SentPlan,
  sentPlan,
} from "./device.ts";
import { implausible } from "./plausible.ts";
import { RunCopy, type Taken } from "./run_copy.ts";
import { type EndReply, type EndRequest, FILE_TOKENS, type FileToken, tokensOf } from "./wire.ts";

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
  readonly #runs = new Map<string, RunCopy>();
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
    const copy = this.#copy(device, plan, run);
    if (copy.verdict !== null || copy.checking !== null) return "known";
    const taken = copy.take(file, offset, bytes, this.#options.append);
    return typeof taken === "object" ? { refused: `${run}: ${taken.refused}` } : taken;
  }

  /** What the hub has of a run that is over, and, once it has everything, whether it counts. */
  async end(device: string, { plan, run, problem, files }: EndRequest): Promise<EndReply> {
    if (run === null) return await this.#withoutRun(device, plan, problem);
    const unfit = this.#problemOf(device, plan, run);
    if (unfit !== null) return { have: {}, verdict: { status: "refused", reasons: [unfit] } };
    const copy = this.#copy(device, plan, run);
    const { have } = copy;
    if (copy.verdict !== null) return { have, verdict: copy.verdict };
    if (files.some(({ name, bytes }) => (have[name] ?? 0) < bytes)) return { have, verdict: null };
    copy.checking ??= this.#queued(() => this.#check(copy, { device, plan, run, problem, files }))
      .finally(() => copy.checking = null);
    return await copy.checking;
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
    copy: RunCopy,
    { device, plan, run, problem, files }: EndRequest & { device: string; run: string },
  ): Promise<EndReply> {
    const wrong = await copy.wrongFiles(files);
    if (wrong.length > 0 && ++copy.mismatches <= MAX_MISMATCHES) {
      // Its device has another file than came here: that one is fetched again.
      await copy.empty(wrong);
      return { have: copy.have, verdict: null };
    }
    const faults = wrong.length > 0
      ? [
        `hashes: ${
          wrong.map((token) => FILE_TOKENS[token]).join(", ")
        } came otherwise than the device states`,
      ]
      : await this.#reasons(copy.folder, device, plan, run, files.map(({ name }) => name));
    const isRefused = faults.length > 0;
    const status = isRefused ? "refused" : problem?.status ?? "complete";
    const reasons = isRefused ? faults : problem === null ? [] : [problem.note];
    // A run that was stopped, or ended early, is whole as far as it went.
    await copy.conclude({ status: isRefused ? "refused" : "complete", reasons }, files, this.#options.now());
    await this.#note({ plan, device, status, reasons, run });
    copy.verdict = { status, reasons };
    return { have: copy.have, verdict: copy.verdict };
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
      const { job } = this.#planFile(plan).plan;
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

  #copy(device: string, plan: string, run: string): RunCopy {
    const key = `${device}/${run}`;
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const folder = join(this.#options.folder, "devices", device, run);
    const copy = new RunCopy(folder, plan, tokensOf(this.#known(plan).kind), this.#options.now());
    this.#runs.set(key, copy);
    const runs = this.#names.get(`${device}/${plan}`) ?? new Set();
    this.#names.set(`${device}/${plan}`, runs.add(run));
    return copy;
  }

  async #note(outcome: Omit<PlanOutcome, "at">): Promise<void> {
    const path = join(this.#options.folder, "devices", outcome.device, `${outcome.plan}.json`);
    const noted = { ...outcome, at: this.#options.now().toISOString() };
    await replaceFile(path, documentText(noted));
  }
}

function appendTo(path: string, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { append: true, create: true });
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}
