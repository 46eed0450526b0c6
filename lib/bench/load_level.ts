/**
 * One load on one candidate: a number of users, each of whom thinks between an answer and the next
 * request, or a rate in requests per second. Requests continue without a pause until it is clear
 * whether the limits are met.
 */
import type { Sleep } from "../clock.ts";
import { meanOf } from "../stats/mean.ts";
import { type Random, seededRandom } from "../stats/random.ts";
import { autocorrelationTime, shareBounds } from "../stats/share_bounds.ts";
import { P95_FROM } from "../stats/statistic.ts";
import { latencyS, type Limits, meetsLimits, tpotS, ttftS } from "./metrics.ts";
import type { RequestRecord } from "./records.ts";

/** The load. Users count from 1; a rate is the mean of requests that come at random, as those of many people do. */
export type Load =
  | { readonly kind: "users"; readonly users: number }
  | { readonly kind: "rate"; readonly perS: number };

/** Users, or requests per second. */
export const loadSize = (load: Load): number => load.kind === "users" ? load.users : load.perS;

/**
 * The load in words.
 *
 * ```ts
 * if (loadText({ kind: "rate", perS: 0.5 }) !== "0.500 requests/s") throw new Error();
 * ```
 */
export function loadText(load: Load): string {
  if (load.kind === "rate") return `${load.perS.toFixed(3)} requests/s`;
  return `${load.users} ${load.users === 1 ? "user" : "users"}`;
}

/** The limits of a request, and the share of the requests that must meet them. */
export interface LoadLimits extends Limits {
  /** Strictly between 0 and 1. */
  readonly within: number;
  /** No level takes more requests than its first look or this, whichever is larger. */
  readonly mostRequests: number;
}

/** The resources of one level. */
export interface LevelContext {
  /** Sends the next request; `dueMs` only at a rate. A fault is in its record; only an abort throws. */
  readonly send: (dueMs?: number) => Promise<RequestRecord>;
  readonly clock: () => number;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
  readonly seed: number;
  /** Mean of the exponentially distributed time that a user thinks, in seconds. */
  readonly thinkS: number;
  /** Mean latency with a single user; null at the level that measures it. */
  readonly aloneS: number | null;
}

/** `meets`, `misses`: shown with 95 % confidence; `not shown`: neither, after all the requests. */
export type LevelVerdict = "meets" | "misses" | "not shown";

/** One measured level. Times are in seconds; means and percentiles over requests that succeeded. */
export interface LoadLevel {
  /** Users, or requests per second. */
  readonly load: number;
  readonly verdict: LevelVerdict;
  /** Requests that counted, those that failed, and those that met the limits. */
  readonly n: number;
  readonly failed: number;
  readonly met: number;
  /** Share that met the limits, with one-sided 95 % bounds. */
  readonly share: number;
  readonly low: number;
  readonly high: number;
  /** Requests per second that were due: at a rate, those that came; of users, those they would send without waiting. */
  readonly due_per_s: number;
  readonly completed_per_s: number;
  /** Completed requests per second that met the limits. */
  readonly goodput_per_s: number;
  /** Fewer than 90 % of the due requests complete. */
  readonly saturated: boolean;
  readonly latency_s: LevelFigure;
  readonly ttft_s: LevelFigure;
  readonly tpot_s: LevelFigure;
}

/** Null where nothing is known. */
export interface LevelFigure {
  readonly mean: number | null;
  readonly p95: number | null;
}

/** Error of a level's verdict, over all its looks together. */
const ERROR = 0.05;
/**
 * A level is looked at with the fewest requests that can show that it meets, and with twice,
 * four and eight times as many.
 */
const LOOKS = [1, 2, 4, 8] as const;
const STRETCHES = 16;
/** A level that clearly misses the limits ends after this many requests, or a multiple. */
const EARLY = 20;
/** Below this share of the due requests that complete, a level is saturated. */
const SATURATED_BELOW = 0.9;

/**
 * Requests that the first look takes: as many as show the share where all of them meet,
 * and at least four per user.
 *
 * ```ts
 * if (firstLook({ kind: "users", users: 1 }, 0.95) !== 96) throw new Error("0.95^96 < 0.05 / 4");
 * if (firstLook({ kind: "users", users: 100 }, 0.95) !== 400) throw new Error("four per user");
 * ```
 */
export function firstLook(load: Load, within: number): number {
  const needed = Math.log(ERROR / LOOKS.length) / Math.log(within);
  const least = Math.max(needed, load.kind === "users" ? 4 * load.users : 0);
  return STRETCHES * Math.ceil(least / STRETCHES);
}

/**
 * Measures one level until its verdict.
 *
 * Looks rest on the first n requests in the order in which they were due, once all of these are over:
 * what is still in flight is not missing from them. The first request of every user is not counted.
 * Each of the looks has its share of the error (Bonferroni), so "meets" is wrong with about 5 % at most
 * where a level does not meet.
 */
export async function measureLevel(
  load: Load,
  limits: LoadLimits,
  context: LevelContext,
): Promise<{ level: LoadLevel; records: RequestRecord[] }> {
  const measurement = new LevelMeasurement(load, limits, context);
  if (load.kind === "users") await measurement.sendAsUsers(load.users);
  else await measurement.sendAtRate(load.perS);
  return { level: measurement.level(), records: measurement.records };
}

class LevelMeasurement {
  readonly #looks: readonly number[];
  readonly #random: Random;
  /** Requests that are not counted. */
  readonly #skipped: number;
  /** In the order in which they were due; undefined while they are in flight. */
  readonly #requests: (RequestRecord | undefined)[] = [];
  /** Seconds that a user thought before each request. */
  readonly #pauses: number[] = [];
  /** The first requests that are over, and how many of those that count were looked at. */
  #over = 0;
  #checked = 0;
  #verdict: LevelVerdict | null = null;

  constructor(readonly load: Load, readonly limits: LoadLimits, readonly context: LevelContext) {
    const first = firstLook(load, limits.within);
    this.#looks = LOOKS.map((times) => times * first).filter((n) => n === first || n <= limits.mostRequests);
    this.#random = seededRandom(`${context.seed} ${JSON.stringify(load)}`);
    this.#skipped = load.kind === "users" ? load.users : 0;
  }

  async sendAsUsers(users: number): Promise<void> {
    const { sleep, signal, thinkS } = this.context;
    // Nobody waits for a single user: the time to think changes nothing, and is not spent.
    const think = () => users === 1 ? 0 : exponential(thinkS, this.#random);
    const user = async () => {
      for (let pause = think() * this.#random(); this.#wantsMore; pause = think()) {
        if (pause > 0) await sleep(1000 * pause, signal);
        if (!this.#wantsMore) break;
        this.#pauses.push(pause);
        await this.#send();
      }
    };
    await Promise.all(Array.from({ length: users }, user));
  }

  async sendAtRate(perS: number): Promise<void> {
    const { clock, sleep, signal } = this.context;
    const inFlight: Promise<void>[] = [];
    for (let dueMs = clock(); this.#wantsMore;) {
      dueMs += 1000 * exponential(1 / perS, this.#random);
      const early = dueMs - clock();
      if (early > 0) await sleep(early, signal);
      if (!this.#wantsMore) break;
      const sent = this.#send(dueMs);
      // Its failure is thrown below; where the wait for the next one is aborted first, nothing
      // else would handle it.
      sent.catch(() => {});
      inFlight.push(sent);
    }
    await Promise.all(inFlight);
  }

  level(): LoadLevel {
    const pauses = this.#pauses.slice(this.#skipped);
    const level = levelOf(this.load, this.#counted, this.limits, { ...this.context, pauses });
    const grows = this.load.kind === "rate" && level.saturated;
    return { ...level, verdict: grows ? "misses" : this.#verdict ?? "not shown" };
  }

  /** In the order in which they were due. */
  get records(): RequestRecord[] {
    return this.#requests.filter((one) => one !== undefined);
  }

  /** The requests that the verdict rests on. */
  get #counted(): RequestRecord[] {
    return this.records.slice(this.#skipped, this.#skipped + this.#checked);
  }

  get #wantsMore(): boolean {
    return this.#verdict === null && this.#requests.length < this.#skipped + (this.#looks.at(-1) ?? 0);
  }

  async #send(dueMs?: number): Promise<void> {
    const at = this.#requests.push(undefined) - 1;
    this.#requests[at] = await this.context.send(dueMs);
    while (this.#requests[this.#over] !== undefined) this.#over++;
    while (this.#verdict === null && this.#skipped + this.#checked < this.#over) {
      this.#checked++;
      this.#verdict = this.#look();
    }
  }

  /** At a planned look whether it meets; in between only whether it clearly misses. */
  #look(): LevelVerdict | null {
    const isPlanned = this.#looks.includes(this.#checked);
    if (!isPlanned && this.#checked % EARLY !== 0) return null;
    const { low, high } = boundsOf(this.#counted, this.limits);
    if (isPlanned && low >= this.limits.within) return "meets";
    return high < this.limits.within ? "misses" : null;
  }
}

/**
 * The share of requests that met the limits, with its bounds. Requests that share a queue are not
 * independent: they count as n divided by the autocorrelation time of how near they are to the limits, and
 * the bounds are over stretches.
 */
function boundsOf(
  requests: readonly RequestRecord[],
  limits: LoadLimits,
): Pick<LoadLevel, "share" | "low" | "high"> {
  if (requests.length === 0) return { share: 0, low: 0, high: 1 };
  const size = Math.ceil(requests.length / STRETCHES);
  const stretches = Array.from({ length: STRETCHES }, (_, at) => {
    const piece = requests.slice(at * size, (at + 1) * size);
    return { n: piece.length, met: piece.filter((one) => meetsLimits(one, limits)).length };
  });
  // Closeness to the limits: waiting that stays far below them, and differences of less
  // than 2 %, can't cause a miss.
  const near = requests.map((one) => Math.round(50 * Math.log(Math.max(NEAR, ofLimit(one, limits)))));
  const n = requests.length / autocorrelationTime(near);
  const { share, low, high } = shareBounds(stretches, ERROR / LOOKS.length, n);
  return { share, low, high };
}

/** A time below this share of a limit is not close to it. */
const NEAR = 0.5;

/** The larger of the times as shares of their limits; 2 for a request without them. */
function ofLimit(record: RequestRecord, { ttft_s, e2e_s }: Limits): number {
  const share = (value: number | null, limit: number | null) =>
    limit === null ? 0 : value === null ? 2 : value / limit;
  return record.status === "ok" ? Math.max(share(ttftS(record), ttft_s), share(latencyS(record), e2e_s)) : 2;
}

/** @param pauses seconds that users thought before each of these requests */
function levelOf(
  load: Load,
  requests: readonly RequestRecord[],
  limits: LoadLimits,
  { aloneS, thinkS, pauses }: Pick<LevelContext, "aloneS" | "thinkS"> & {
    readonly pauses: readonly number[];
  },
): Omit<LoadLevel, "verdict"> {
  const good = requests.filter(({ status }) => status === "ok");
  const met = requests.filter((record) => meetsLimits(record, limits)).length;
  const latency = figureOf(good.map(latencyS));
  const isAlone = load.kind === "users" && load.users === 1;
  const rates = ratesOf(load, requests, pauses, aloneS ?? latency.mean ?? 0);
  // The rate of a single user with time to think, which the level itself leaves out.
  const everyS = thinkS + (latency.mean ?? 0);
  const perS = isAlone && everyS > 0 ? 1 / everyS : rates.due;
  const completedPerS = isAlone ? perS * good.length / requests.length : rates.completed;
  return {
    load: loadSize(load),
    n: requests.length,
    failed: requests.length - good.length,
    met,
    ...boundsOf(requests, limits),
    due_per_s: perS,
    completed_per_s: completedPerS,
    goodput_per_s: good.length === 0 ? 0 : completedPerS * met / good.length,
    saturated: !isAlone && aloneS !== null && rates.completed < SATURATED_BELOW * rates.due,
    latency_s: latency,
    ttft_s: figureOf(good.map(ttftS)),
    tpot_s: figureOf(good.map(tpotS)),
  };
}

/** The first quarter fills the queue; what is due and completes after it shows whether the queue grows. */
function ratesOf(
  load: Load,
  requests: readonly RequestRecord[],
  pauses: readonly number[],
  aloneS: number,
): { readonly due: number; readonly completed: number } {
  const quarter = Math.floor(requests.length / 4);
  const [from, to] = [requests[quarter]?.due_ms ?? 0, requests.at(-1)?.due_ms ?? 0];
  const seconds = Math.max((to - from) / 1000, 1e-9);
  const perSecond = (times: readonly number[]) =>
    times.filter((ms) => ms > from && ms <= to).length / seconds;
  const thought = pauses.slice(quarter + 1, requests.length);
  return {
    due: load.kind === "users"
      ? load.users / ((thought.length === 0 ? 0 : meanOf(thought)) + aloneS)
      : perSecond(requests.map(({ due_ms }) => due_ms)),
    completed: perSecond(requests.flatMap(({ status, end_ms }) => status === "ok" ? [end_ms] : [])),
  };
}

function figureOf(values: readonly (number | null)[]): LevelFigure {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) return { mean: null, p95: null };
  return {
    mean: meanOf(known),
    p95: known.length < P95_FROM ? null : known[Math.ceil(0.95 * known.length) - 1] ?? null,
  };
}

const exponential = (meanS: number, random: Random) => -meanS * Math.log(1 - random());
