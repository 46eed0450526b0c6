/**
 * One load on one candidate: a number of users, each of whom thinks between an answer and the next request, or a rate in
 * requests per second. Requests continue without a pause until it is clear whether the limits are met.
 */
import type { Sleep } from "../clock.ts";
import { type Random, seededRandom } from "../stats/random.ts";
import { autocorrelationTime, shareBounds } from "../stats/share_bounds.ts";
import { latencyS, tpotS, ttftS } from "./metrics.ts";
import type { RequestRecord } from "./records.ts";

/** The load. Users count from 1; a rate is the mean of requests that come at random, as those of many people do. */
export type Load =
  | { readonly kind: "users"; readonly users: number }
  | { readonly kind: "rate"; readonly perS: number };

/** The limits of a request, and the share of the requests that must meet them. */
export interface LoadLimits {
  readonly ttft_s: number | null;
  readonly e2e_s: number | null;
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
/** A level is looked at with the fewest requests that can show that it meets, and with twice, four and eight times as many. */
const LOOKS = [1, 2, 4, 8] as const;
const STRETCHES = 16;
/** A level that clearly misses the limits ends after this many requests, or a multiple. */
const EARLY = 20;
/** Below this share of the due requests that complete, a level is saturated. */
const SATURATED_BELOW = 0.9;

/**
 * Requests that the first look takes: as many as show the share where all of them meet, and at least four per user.
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
 * Looks rest on the first n requests in the order in which they were due, once all of these are over: what is still in
 * flight is not missing from them. The first request of every user is not counted. Requests that share a queue are not
 * independent: they count as n divided by the autocorrelation time of how near they are to the limits, and the bounds
 * are over stretches.
 * Each of the looks has its share of the error (Bonferroni), so "meets" is wrong with about 5 % at most where a level
 * does not meet.
 */
export async function measureLevel(
  load: Load,
  limits: LoadLimits,
  context: LevelContext,
): Promise<{ level: LoadLevel; records: RequestRecord[] }> {
  const first = firstLook(load, limits.within);
  const looks = LOOKS.map((times) => times * first).filter((n) => n === first || n <= limits.mostRequests);
  const last = looks.at(-1) ?? 0;
  const skipped = load.kind === "users" ? load.users : 0;
  // In the order in which they were due; undefined while they are in flight.
  const requests: (RequestRecord | undefined)[] = [];
  const thinks: number[] = [];
  const random = seededRandom(`${context.seed} ${JSON.stringify(load)}`);
  let [over, checked] = [0, 0];
  const verdict = { found: null as LevelVerdict | null };
  const more = () => verdict.found === null && requests.length < skipped + last;

  const send = async (dueMs?: number) => {
    const at = requests.push(undefined) - 1;
    requests[at] = await context.send(dueMs);
    while (over < requests.length && requests[over] !== undefined) over++;
    const known = over - skipped;
    for (let n = checked + 1; n <= known && verdict.found === null; n++) {
      checked = n;
      verdict.found = look(requests.slice(skipped, skipped + n), n, looks, limits);
    }
  };

  if (load.kind === "users") {
    const user = async () => {
      // Nobody waits for a single user: the time to think changes nothing, and is not spent.
      const think = () => load.users === 1 ? 0 : exponential(context.thinkS, random);
      for (let pause = think() * random(); more(); pause = think()) {
        if (pause > 0) await context.sleep(1000 * pause, context.signal);
        if (!more()) break;
        thinks.push(pause);
        await send();
      }
    };
    await Promise.all(Array.from({ length: load.users }, user));
  } else {
    const inFlight: Promise<void>[] = [];
    let dueMs = context.clock();
    while (more()) {
      dueMs += 1000 * exponential(1 / load.perS, random);
      const early = dueMs - context.clock();
      if (early > 0) await context.sleep(early, context.signal);
      if (!more()) break;
      const sent = send(dueMs);
      // Its failure is thrown below; where the wait for the next one is aborted first, nothing else would handle it.
      sent.catch(() => {});
      inFlight.push(sent);
    }
    await Promise.all(inFlight);
  }
  const records = requests.filter((one) => one !== undefined);
  const counted = records.slice(skipped, skipped + checked);
  const level = levelOf(load, counted, limits, { ...context, thinks: thinks.slice(skipped) });
  const grows = load.kind === "rate" && level.saturated;
  return { level: { ...level, verdict: grows ? "misses" : verdict.found ?? "not shown" }, records };
}

/** At a planned look whether it meets; in between only whether it clearly misses. */
function look(
  requests: readonly (RequestRecord | undefined)[],
  n: number,
  looks: readonly number[],
  limits: LoadLimits,
): LevelVerdict | null {
  const planned = looks.includes(n);
  if (!planned && n % EARLY !== 0) return null;
  const { low, high } = boundsOf(requests, limits);
  if (planned && low >= limits.within) return "meets";
  return high < limits.within ? "misses" : null;
}

function boundsOf(requests: readonly (RequestRecord | undefined)[], limits: LoadLimits) {
  const size = Math.ceil(requests.length / STRETCHES);
  const stretches = Array.from({ length: STRETCHES }, (_, at) => {
    const piece = requests.slice(at * size, (at + 1) * size);
    return {
      n: piece.length,
      met: piece.filter((one) => one !== undefined && meetsLimits(one, limits)).length,
    };
  });
  // Closeness to the limits: waiting that stays far below them, and differences of less than 2 %, can't cause a miss.
  const near = requests.map((one) =>
    Math.round(50 * Math.log(Math.max(NEAR, one === undefined ? 2 : ofLimit(one, limits))))
  );
  return shareBounds(stretches, ERROR / LOOKS.length, requests.length / autocorrelationTime(near));
}

/** A time below this share of a limit is not close to it. */
const NEAR = 0.5;

/** The larger of the times as shares of their limits; 2 for a request without them. */
function ofLimit(record: RequestRecord, { ttft_s, e2e_s }: LoadLimits): number {
  const share = (value: number | null, limit: number | null) =>
    limit === null ? 0 : value === null ? 2 : value / limit;
  return record.status === "ok" ? Math.max(share(ttftS(record), ttft_s), share(latencyS(record), e2e_s)) : 2;
}

/** Whether a request succeeded within the limits; a figure that is not known meets none. */
function meetsLimits(
  record: RequestRecord,
  { ttft_s, e2e_s }: Pick<LoadLimits, "ttft_s" | "e2e_s">,
): boolean {
  const within = (value: number | null, limit: number | null) =>
    limit === null || (value !== null && value <= limit);
  return record.status === "ok" && within(ttftS(record), ttft_s) && within(latencyS(record), e2e_s);
}

function levelOf(
  load: Load,
  requests: readonly RequestRecord[],
  limits: LoadLimits,
  { aloneS, thinkS, thinks }: { aloneS: number | null; thinkS: number; thinks: readonly number[] },
): Omit<LoadLevel, "verdict"> {
  const good = requests.filter(({ status }) => status === "ok");
  const met = requests.filter((record) => meetsLimits(record, limits)).length;
  // The first quarter fills the queue; what is due and completes after it shows whether the queue grows.
  const quarter = Math.floor(requests.length / 4);
  const from = requests[quarter]?.due_ms ?? 0;
  const to = requests.at(-1)?.due_ms ?? 0;
  const seconds = Math.max((to - from) / 1000, 1e-9);
  const came = requests.filter(({ due_ms }) => due_ms > from && due_ms <= to).length;
  const completed = requests.filter(({ status, end_ms }) => status === "ok" && end_ms > from && end_ms <= to)
    .length;
  const latency = figureOf(good.map(latencyS));
  const wouldBe = load.kind === "users"
    ? load.users * seconds /
      (mean(thinks.slice(quarter + 1, requests.length)) + (aloneS ?? latency.mean ?? 0))
    : came;
  // The rate of a single user with time to think, which the level itself leaves out.
  const isAlone = load.kind === "users" && load.users === 1;
  const perRequestS = thinkS + (latency.mean ?? 0);
  const wouldSend = isAlone && perRequestS > 0 ? 1 / perRequestS : wouldBe / seconds;
  const completed_per_s = isAlone ? wouldSend * good.length / requests.length : completed / seconds;
  return {
    load: load.kind === "users" ? load.users : load.perS,
    n: requests.length,
    failed: requests.length - good.length,
    met,
    ...boundsFor(requests, limits),
    due_per_s: wouldSend,
    completed_per_s,
    goodput_per_s: good.length === 0 ? 0 : completed_per_s * met / good.length,
    saturated: !isAlone && aloneS !== null && completed < SATURATED_BELOW * wouldBe,
    latency_s: latency,
    ttft_s: figureOf(good.map(ttftS)),
    tpot_s: figureOf(good.map(tpotS)),
  };
}

function boundsFor(requests: readonly RequestRecord[], limits: LoadLimits) {
  if (requests.length === 0) return { share: 0, low: 0, high: 1 };
  const { share, low, high } = boundsOf(requests, limits);
  return { share, low, high };
}

function figureOf(values: readonly (number | null)[]): LevelFigure {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) return { mean: null, p95: null };
  return {
    mean: mean(known),
    p95: known.length < 20 ? null : known[Math.ceil(0.95 * known.length) - 1] ?? null,
  };
}

const mean = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

const exponential = (meanS: number, random: Random) => -meanS * Math.log(1 - random());
