/**
 * The capacity of one candidate: the largest number of users and the highest rate that it serves within
 * limits, found by a bracketing search over levels, and the resulting curves.
 */
import { reasonOf, UserError } from "../errors.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import { caseOf, messagesFor, requestFor } from "./case_request.ts";
import type { SessionResources } from "./find_candidates.ts";
import type { LiveCandidate, OpenCandidate } from "./live_candidate.ts";
import { type Load, type LoadLevel, type LoadLimits, loadSize, measureLevel } from "./load_level.ts";
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
  /**
   * Where throughput divided by latency is largest: beyond it, waiting grows faster than
   * throughput (Kleinrock 1979).
   */
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

/** Follows a search: receives each level at its end, with the records of its requests. */
export type FollowLevels = (
  candidate: string,
  load: Load,
  level: CapacityLevel,
  records: readonly RequestRecord[],
) => void | Promise<void>;

interface SearchOptions {
  readonly resources: Pick<SessionResources, "clock" | "sleep" | "signal">;
  readonly onLevel: FollowLevels;
}

/**
 * Searches the capacity of one candidate: a single user first, then more users, then rates, each level once.
 * Ending early keeps what was measured.
 *
 * @param plan prompts, lengths, prefix, warm-up and seed of the requests
 */
export async function searchCapacity(
  candidate: LiveCandidate,
  plan: PlanInfo,
  terms: CapacityTerms,
  options: SearchOptions,
): Promise<CandidateCapacity> {
  const { signal } = options.resources;
  const users = new Map<number, CapacityLevel>();
  const rates = new Map<number, CapacityLevel>();
  let open: OpenCandidate | null = null;
  let problem: string | null = null;
  try {
    open = await candidate.open(signal);
    const driver = new LevelDriver(candidate, open, plan, terms, options);
    await driver.warmUp();
    const alone = await driver.measure({ kind: "users", users: 1 }, users);
    if (alone.failed === alone.n) throw new UserError(`none of ${alone.n} requests was answered`, 1);
    if (terms.search !== "rate") {
      await searchUsers((count) => driver.measure({ kind: "users", users: count }, users), terms.maxUsers);
    }
    if (terms.search !== "users" && alone.verdict !== "misses") {
      const { best } = curveOf(users);
      const first = (best === null ? 0 : users.get(best)?.completed_per_s) ||
        0.5 / (alone.latency_s.mean ?? 1);
      await searchRate((perS) => driver.measure({ kind: "rate", perS }, rates), first);
    }
  } catch (error) {
    problem = signal.aborted ? "ended early" : redactPaths(reasonOf(error));
  } finally {
    await open?.close();
  }
  return {
    id: candidate.info.id,
    problem,
    users: users.size === 0 || terms.search === "rate" ? null : curveOf(users),
    rate: rates.size === 0 ? null : curveOf(rates),
  };
}

/** Sends requests to one candidate, and measures level after level. */
class LevelDriver {
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
    readonly options: SearchOptions,
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
    const at = loadSize(load);
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
