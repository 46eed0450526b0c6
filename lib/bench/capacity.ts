/**
 * How much load a candidate can serve within limits: the largest number of users and the highest rate, found by a
 * bracketing search over levels, and the resulting curve.
 */
import { join } from "node:path";
import type { MachineDescription } from "../catalog/machine.ts";
import { reasonOf, UserError } from "../errors.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import { caseOf, messagesFor, requestFor } from "./case_request.ts";
import {
  type CandidateRequest,
  findCandidates,
  type SessionCandidates,
  type SessionResources,
} from "./find_candidates.ts";
import { newRunId, replaceFile } from "./folder.ts";
import { planInfo, type SessionPlan } from "./run_info.ts";
import type { LiveCandidate, OpenCandidate } from "./live_candidate.ts";
import { type Load, type LoadLevel, type LoadLimits, measureLevel } from "./load_level.ts";
import { machineReader, readUse, watchedUse } from "./noise.ts";
import { withColdPrefix } from "./plan.ts";
import { toRequestRecord } from "./record_request.ts";
import type { PlanInfo, RequestRecord } from "./records.ts";
import { redactPaths } from "./redact_paths.ts";

/** What is searched for. */
export interface CapacityTerms {
  readonly limits: LoadLimits;
  /** Mean time that a user thinks between an answer and the next request, in seconds. */
  readonly thinkS: number;
  readonly search: "users" | "rate" | "both";
  /** Most users that are tried. */
  readonly maxUsers: number;
}

/** One measured level, with the state of the machine. */
export interface CapacityLevel extends LoadLevel {
  /** Which other work kept the machine busy; null for none. */
  readonly disturbed: string | null;
}

/** All measurements of one kind of load. */
export interface LoadCurve {
  /** The largest load that was shown to meet the limits; null where not even the smallest did. */
  readonly best: number | null;
  /** The smallest load above it that was not; null where none was tried. */
  readonly next: number | null;
  /** Where throughput divided by latency is largest: beyond it, waiting grows faster than throughput (Kleinrock 1979). */
  readonly knee: number | null;
  /** By load, the smallest first. */
  readonly levels: readonly CapacityLevel[];
}

/** One candidate. */
export interface CandidateCapacity {
  readonly id: string;
  /** Why nothing, or not everything, was measured. */
  readonly problem: string | null;
  readonly users: LoadCurve | null;
  readonly rate: LoadCurve | null;
}

/** The document in capacity.json. */
export interface CapacityReport {
  /** The version of this document. */
  readonly schema_version: 1;
  /** The name of its folder. */
  readonly capacity_id: string;
  /** When the search began (ISO 8601, UTC). */
  readonly created_at: string;
  /** `interrupted`: it ended early, and the levels that were finished count. */
  readonly status: "completed" | "interrupted";
  /** The machine that measured, without what names it. */
  readonly machine: MachineDescription;
  /** Limits of one request in seconds; null where that time has no limit. */
  readonly slo: { readonly ttft_s: number | null; readonly e2e_s: number | null };
  /** Share of the requests that must meet the limits. */
  readonly within: number;
  /** The confidence of each verdict on a load. */
  readonly confidence: 0.95;
  /** Mean time that a user thinks between an answer and the next request, in seconds. */
  readonly think_s: number;
  /** The job. */
  readonly prompt_set: { readonly name: string; readonly sha256: string };
  /** Longest answer in tokens. */
  readonly max_tokens: number;
  /** What the server has seen of each prompt before: see `RunOptions.prefix`. */
  readonly prefix: PlanInfo["prefix"];
  /** Seed of the order of cases and of the arrivals. */
  readonly seed: number;
  /** What was found for each candidate. */
  readonly candidates: readonly CandidateCapacity[];
}

/** A finished search and its folder. */
export interface FinishedCapacity {
  readonly report: CapacityReport;
  /** Holds samples.jsonl, every request, and capacity.json, derived from them. */
  readonly folder: string;
}

/**
 * From names to a capacity report, in a folder of its own below `out`.
 *
 * @throws {UserError} as `findCandidates`, and for limits that limit nothing
 *
 * ```ts ignore
 * const { report } = await measureCapacity(
 *   { names: ["smollm2-135m"], plan: { prompts: singlePrompt("Say hello.") } },
 *   { limits: { ttft_s: 2, e2e_s: null, within: 0.95, mostRequests: 800 }, thinkS: 5, search: "users", maxUsers: 64 },
 *   resources,
 *   { out: "reports", now: new Date(), random: Math.random, onLevel: () => {} },
 * );
 * console.log(report.candidates[0]?.users?.best);
 * ```
 */
export async function measureCapacity(
  request: CandidateRequest & { readonly plan: SessionPlan },
  terms: CapacityTerms,
  resources: SessionResources,
  { out, now, random, onLevel }: {
    readonly out: string;
    readonly now: Date;
    readonly random: () => number;
    readonly onLevel: FollowCapacity["onLevel"];
  },
): Promise<FinishedCapacity> {
  if (terms.limits.ttft_s === null && terms.limits.e2e_s === null) {
    throw new UserError(
      "without limits every load is within them: give --slo ttft=2s,e2e=10s (either or both)",
    );
  }
  const found = await findCandidates(request, resources);
  try {
    const plan = planInfo(request.plan, found.order);
    const id = `capacity-${newRunId(now, random)}`;
    const folder = join(out, id);
    await Deno.mkdir(folder, { recursive: true });
    const candidates = await searchCapacity(found, plan, terms, {
      resources,
      onLevel: async (candidate, load, level, records) => {
        const lines = records.map((record) => `${JSON.stringify(record)}\n`).join("");
        await Deno.writeTextFile(join(folder, "samples.jsonl"), lines, { append: true });
        await onLevel(candidate, load, level, records);
      },
    });
    const { cpu, cores, ram_gb, gpu, os, arch } = found.machine;
    const report: CapacityReport = {
      schema_version: 1,
      capacity_id: id,
      created_at: now.toISOString(),
      status: resources.signal.aborted ? "interrupted" : "completed",
      machine: { cpu, cores, ram_gb, gpu: [...gpu], os, arch },
      slo: { ttft_s: terms.limits.ttft_s, e2e_s: terms.limits.e2e_s },
      within: terms.limits.within,
      confidence: 0.95,
      think_s: terms.thinkS,
      prompt_set: { name: plan.prompt_set.name, sha256: plan.prompt_set.sha256 },
      max_tokens: plan.max_tokens,
      prefix: plan.prefix,
      seed: plan.seed,
      candidates,
    };
    await replaceFile(join(folder, "capacity.json"), `${JSON.stringify(report, null, 2)}\n`);
    return { report, folder };
  } finally {
    found.close();
  }
}

/** How a search is followed. */
export interface FollowCapacity {
  readonly resources: Pick<SessionResources, "clock" | "sleep" | "signal">;
  /** Receives every record of a level at its end. */
  readonly onLevel: (
    candidate: string,
    load: Load,
    level: CapacityLevel,
    records: readonly RequestRecord[],
  ) =>
    | void
    | Promise<void>;
}

/**
 * Searches each candidate's capacity, one candidate after the other. Ending early keeps what was measured.
 *
 * @param plan prompts, lengths, prefix, warm-up and seed of the requests
 *
 * ```ts ignore
 * const found = await findCandidates({ names: ["smollm2-135m"] }, resources);
 * const [one] = await searchCapacity(found, plan, terms, { resources, onLevel: () => {} });
 * console.log(one?.users?.best);
 * ```
 */
async function searchCapacity(
  { candidates }: Pick<SessionCandidates, "candidates">,
  plan: PlanInfo,
  terms: CapacityTerms,
  options: FollowCapacity,
): Promise<CandidateCapacity[]> {
  const found: CandidateCapacity[] = [];
  for (const candidate of candidates) {
    if (options.resources.signal.aborted) break;
    found.push(await searchCandidate(candidate, plan, terms, options));
  }
  return found;
}

async function searchCandidate(
  candidate: LiveCandidate,
  plan: PlanInfo,
  terms: CapacityTerms,
  options: FollowCapacity,
): Promise<CandidateCapacity> {
  const { signal } = options.resources;
  const { id } = candidate.info;
  const curves = { users: new Map<number, CapacityLevel>(), rate: new Map<number, CapacityLevel>() };
  let [open, problem]: [OpenCandidate | null, string | null] = [null, null];
  try {
    open = await candidate.open(signal);
    const driver = new Driver(candidate, open, plan, terms, options);
    await driver.warmUp();
    const wanted = (kind: "users" | "rate") => terms.search === kind || terms.search === "both";
    const alone = await driver.measure({ kind: "users", users: 1 }, curves.users);
    if (alone.failed === alone.n) throw new UserError(`none of ${alone.n} requests was answered`, 1);
    if (wanted("users")) {
      await searchUsers((users) => driver.measure({ kind: "users", users }, curves.users), terms.maxUsers);
    }
    if (wanted("rate") && alone.verdict !== "misses") {
      const first = ratesFrom(curves.users, alone);
      await searchRate((perS) => driver.measure({ kind: "rate", perS }, curves.rate), first);
    }
  } catch (error) {
    problem = signal.aborted ? "ended early" : redactPaths(reasonOf(error));
  } finally {
    await open?.close();
  }
  const searched = (kind: "users" | "rate") =>
    curves[kind].size === 0 || (kind === "users" && terms.search === "rate") ? null : curveOf(curves[kind]);
  return { id, problem, users: searched("users"), rate: searched("rate") };
}

/** The rate completed with the most users that met the limits, where the search for a rate begins. */
function ratesFrom(levels: ReadonlyMap<number, CapacityLevel>, alone: CapacityLevel): number {
  const best = [...levels.values()].filter(({ verdict }) => verdict === "meets")
    .toSorted((a, b) => b.load - a.load)[0];
  return best?.completed_per_s || 0.5 / (alone.latency_s.mean ?? 1);
}

/**
 * The largest number of users that meets the limits: doubled until one misses, then bisected.
 *
 * ```ts
 * const tried: number[] = [];
 * await searchUsers((users) => { tried.push(users); return Promise.resolve({ verdict: users <= 5 ? "meets" : "misses" }); }, 64);
 * if (tried.join() !== "1,2,4,8,6,5") throw new Error(tried.join());
 * ```
 */
export async function searchUsers(
  measure: (users: number) => Promise<Pick<LoadLevel, "verdict">>,
  most: number,
): Promise<number> {
  const meets = async (users: number) => (await measure(users)).verdict === "meets";
  let [low, high] = [0, 1];
  while (await meets(high)) {
    if (high === most) return most;
    [low, high] = [high, Math.min(most, 2 * high)];
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await meets(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** The search finds a rate to within this ratio. */
const RATE_RATIO = 1.1;
/** The search stays above this share of the first rate tried, and below this many requests per second. */
const LOWEST_RATE = 1 / 64;
const HIGHEST_RATE = 1000;

/** The highest rate that meets the limits, to within a tenth: doubled or halved from the first one, then bisected. */
export async function searchRate(
  measure: (perS: number) => Promise<Pick<LoadLevel, "verdict">>,
  first: number,
): Promise<number | null> {
  const meets = async (perS: number) => (await measure(perS)).verdict === "meets";
  let [low, high] = [first, first];
  if (await meets(first)) {
    for (high = 2 * first; await meets(high); high *= 2) {
      low = high;
      if (low > HIGHEST_RATE) return low;
    }
  } else {
    for (low = first / 2; !await meets(low); low /= 2) {
      if (low < first * LOWEST_RATE) return null;
      high = low;
    }
  }
  while (high / low > RATE_RATIO) {
    const middle = Math.sqrt(low * high);
    if (await meets(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** The curve of the measured levels, in the order of load. */
export function curveOf(measured: ReadonlyMap<number, CapacityLevel>): LoadCurve {
  const levels = [...measured.values()].sort((a, b) => a.load - b.load);
  const firstOut = levels.find(({ verdict }) => verdict !== "meets")?.load ?? null;
  // A level that meets the limits above one that misses them is chance: the claim ends below the first miss.
  const best =
    levels.filter(({ load, verdict }) => verdict === "meets" && (firstOut === null || load < firstOut)).at(-1)
      ?.load ?? null;
  const power = ({ completed_per_s, latency_s }: CapacityLevel) =>
    latency_s.mean === null ? 0 : completed_per_s / latency_s.mean;
  const knee = levels.length < 3 ? null : levels.reduce((a, b) => power(b) > power(a) ? b : a).load;
  return { best, next: firstOut, knee, levels };
}

/** Sends requests to one candidate, and measures level after level. */
class Driver {
  readonly #order: readonly number[];
  readonly #originMs: number;
  readonly #readMachine;
  #count = 0;
  #aloneS: number | null = null;

  constructor(
    readonly candidate: LiveCandidate,
    readonly open: OpenCandidate,
    readonly plan: PlanInfo,
    readonly terms: CapacityTerms,
    readonly options: FollowCapacity,
  ) {
    const prompts = plan.prompt_set.prompts.map((_, at) => at);
    this.#order = shuffle(prompts, seededRandom(`${plan.seed} cases`));
    this.#originMs = options.resources.clock();
    this.#readMachine = machineReader(options.resources.clock);
  }

  async warmUp(): Promise<void> {
    for (let count = 0; count < this.plan.warmup; count++) await this.#send("warmup", "warmup");
  }

  /** Measures a level once; later calls with the same load return the same result. */
  async measure(load: Load, curve: Map<number, CapacityLevel>): Promise<CapacityLevel> {
    const at = load.kind === "users" ? load.users : load.perS;
    const known = curve.get(at);
    if (known !== undefined) return known;
    const { resources: { clock, sleep, signal }, onLevel } = this.options;
    signal.throwIfAborted();
    const { limits, thinkS } = this.terms;
    const user = { cpuS: () => this.open.cpuS().catch(() => null), threads: this.open.threads ?? null };
    const before = await readUse(this.#readMachine, [user]);
    const { level, records } = await measureLevel(load, limits, {
      send: (dueMs) => this.#send("timed", `${load.kind} ${at}`, dueMs),
      clock,
      sleep,
      signal,
      seed: this.plan.seed,
      thinkS,
      aloneS: this.#aloneS,
    });
    const { disturbed } = await watchedUse(before, await readUse(this.#readMachine, [user]), {
      readMachine: this.#readMachine,
      sleep,
      signal,
      nowMs: () => clock() - this.#originMs,
      ownPids: [],
    });
    const found = { ...level, disturbed };
    curve.set(at, found);
    if (load.kind === "users" && load.users === 1) this.#aloneS = level.latency_s.mean;
    await onLevel(this.candidate.info.id, load, found, records);
    return found;
  }

  async #send(phase: "warmup" | "timed", level: string, dueMs?: number): Promise<RequestRecord> {
    const { plan, candidate: { info } } = this;
    const nth = this.#count++;
    const prompt = plan.prompt_set.prompts[this.#order[nth % this.#order.length] ?? 0];
    if (prompt === undefined) throw new RangeError("a set without prompts");
    const messages = messagesFor(caseOf(prompt), info.request);
    const { signal } = this.options.resources;
    const sent = plan.prefix === "cold" ? withColdPrefix(messages, `${plan.seed} capacity ${nth}`) : messages;
    const trace = await this.open.request(requestFor(prompt, sent, plan, info), {
      ...(dueMs === undefined ? {} : { dueMs }),
      timeoutMs: 1000 * plan.timeout_s,
      signal,
    });
    signal.throwIfAborted();
    return toRequestRecord(
      {
        id: `${level}/${nth}/${prompt.id}/${info.id}`,
        candidate: info.id,
        prompt_id: prompt.id,
        phase,
        round: Math.floor(nth / this.#order.length) + 1,
        block: nth,
        prefix: plan.prefix,
      },
      trace,
      this.#originMs,
    );
  }
}
