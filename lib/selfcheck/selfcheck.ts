/**
 * The instrument measured by itself: how far are its times from the delays that another process really made?
 * Nothing here knows how that process came to be; it is handed its base URL.
 */
import { join } from "node:path";
import { z } from "zod";
import type { Clock, Fetch } from "../clock.ts";
import { Histogram } from "./histogram.ts";
import type { PostJson } from "../endpoint/timed_client.ts";
import { timedRequest } from "../endpoint/timed_request.ts";
import type { Trace } from "../endpoint/trace.ts";

/** Models of the fake endpoint that the check relies on, as its program takes them. */
export const SELFCHECK_MODELS = {
  /** What a quick local model looks like. */
  steady: { ttftMs: 20, itlMs: 10, tokens: 5, log: "times" },
  /** The timings that published comparisons of benchmark tools use. */
  classic: { ttftMs: 50, itlMs: 10, tokens: 64, log: "times" },
  /** No delay at all: how fast can we go? */
  flood: { tokens: 16, log: "nothing" },
} as const;

const spread = z.object({
  n: z.number().int().nonnegative(),
  p50: z.number().nullable(),
  /** Null below 100 values. */
  p99: z.number().nullable(),
  max: z.number().nullable(),
});
export type Spread = z.infer<typeof spread>;

const accuracy = z.object({
  transport: z.enum(["raw", "fetch"]),
  concurrency: z.number().int().positive(),
  requests: z.number().int().nonnegative(),
  failed: z.number().int().nonnegative(),
  ttft_error_ms: spread,
  gap_error_ms: spread,
  tpot_error_percent: spread,
  /** Of one core, by the measuring process. */
  cpu_percent: z.number().nonnegative(),
});
export type Accuracy = z.infer<typeof accuracy>;

const rate = z.object({
  transport: z.enum(["raw", "fetch"]),
  client: z.enum(["openai", "direct"]),
  concurrency: z.number().int().positive(),
  tokens_per_request: z.number().int().positive(),
  requests_per_s: z.number().nonnegative(),
  failed: z.number().int().nonnegative(),
  cpu_us_per_request: z.number().nonnegative(),
  cpu_us_per_chunk: z.number().nonnegative(),
  /** Of one core, by the measuring process: near 100, it was the limit itself. */
  cpu_percent: z.number().nonnegative(),
  /** Resident size of the measuring process afterwards. */
  memory_mb: z.number().nonnegative(),
});
export type Rate = z.infer<typeof rate>;

const load = z.object({
  asked_per_s: z.number().positive(),
  delivered_per_s: z.number().nonnegative(),
  late_ms: spread,
});
export type LoadCheck = z.infer<typeof load>;

/** What `deno task selfcheck` finds out, prints, and leaves for reports. */
export const selfcheckResult = z.object({
  schema_version: z.literal(1),
  created_at: z.string(),
  deno: z.string(),
  machine: z.object({
    cpu: z.string(),
    cores: z.number().int().positive(),
    os: z.string(),
    arch: z.string(),
  }),
  /** Processor time that others used while we rested, before and after, in percent of one core. */
  others_cpu_percent: z.number().nonnegative(),
  /** What the hypervisor took meanwhile, in percent of one core; null where the system does not tell. */
  steal_percent: z.number().nonnegative().nullable().default(null),
  accuracy: z.array(accuracy),
  load: z.array(load),
  rate: z.array(rate),
  /** Largest resident size of the measuring process. */
  memory_mb: z.number().nonnegative(),
  /** What can be trusted on this machine, a sentence each. */
  trust: z.array(z.string()),
});
export type SelfcheckResult = z.infer<typeof selfcheckResult>;

/** What the fake endpoint tells of one request, in ms since it had read it. */
const logEntry = z.object({ tag: z.string(), chunkMs: z.array(z.number()), outcome: z.string() });
const logEntries = z.array(logEntry);

export interface Bench {
  readonly baseUrl: string;
  readonly clock: Clock;
  /** Reads the fake endpoint's log. */
  readonly fetch: Fetch;
  readonly post: PostJson;
  readonly transport: "raw" | "fetch";
  /** Processor time of this process so far, in ms. */
  readonly cpuMs: () => number;
  /** Resident size of this process, in MB. */
  readonly residentMb: () => number;
}

/** Errors of many requests against what the fake endpoint says it did. */
export class ErrorTally {
  readonly ttft = new Histogram();
  readonly gap = new Histogram();
  readonly tpotPercent = new Histogram();
  requests = 0;
  failed = 0;

  /**
   * Compares one request with the delays that were really made, chunk by chunk.
   *
   * @param seenMs when its chunks came, since it was sent; null where it failed
   *
   * ```ts
   * const tally = new ErrorTally();
   * tally.add([50.2, 60.1], [50, 60]);
   * if (Math.abs((tally.ttft.max ?? 0) - 0.2) > 1e-9) throw new Error("0.2 ms late");
   * ```
   */
  add(seenMs: readonly number[] | null, madeMs: readonly number[] | undefined): void {
    this.requests++;
    if (seenMs === null || madeMs === undefined || madeMs.length !== seenMs.length) {
      this.failed++;
      return;
    }
    const pairs = seenMs.map((ms, i) => ({ seen: ms, made: madeMs[i] ?? NaN }));
    const [first] = pairs;
    const last = pairs.at(-1);
    if (first === undefined || last === undefined) return;
    this.ttft.add(first.seen - first.made);
    for (const [i, now] of pairs.entries()) {
      const before = pairs[i - 1];
      if (before !== undefined) this.gap.add(now.seen - before.seen - (now.made - before.made));
    }
    const made = last.made - first.made;
    if (made > 0) this.tpotPercent.add(100 * ((last.seen - first.seen) / made - 1));
  }
}

/** A histogram in four figures; p99 only where the sample can carry it. */
export function spreadOf(errors: Histogram): Spread {
  return {
    n: errors.n,
    p50: errors.quantile(0.5),
    p99: errors.n < 100 ? null : errors.quantile(0.99),
    max: errors.max,
  };
}

/** A model whose delays are known. */
type PacedModel = "steady" | "classic";

/** How long one answer of a model takes, in ms, counted from its request. */
export function answerMs(model: PacedModel): number {
  const { ttftMs, itlMs, tokens } = SELFCHECK_MODELS[model];
  return ttftMs + itlMs * (tokens - 1);
}

/** What is asked, by how many at a time, and for how long. */
interface Stretch {
  readonly model: PacedModel;
  readonly concurrency: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** Long enough that the code of both sides is compiled: V8 does it on the cores that they need. */
const WARM_UP_S = 8;

/**
 * Keeps `concurrency` clients busy for `seconds`, then asks the fake endpoint what it really did, and adds
 * every difference to `tally`. The asking is outside the timed stretch: it disturbs nothing.
 *
 * @returns processor time and wall time of the timed stretch, in ms
 */
export async function measureErrors(
  bench: Bench,
  options: Stretch,
  tally: ErrorTally,
): Promise<{ cpuMs: number; wallMs: number }> {
  const { clock } = bench;
  const { model, concurrency, signal } = options;
  // Numbers alone: what is kept here is what the garbage collector has to carry about.
  const seen: { tag: string; chunkMs: number[] | null }[] = [];
  const [startMs, startCpu] = [clock(), bench.cpuMs()];
  const endMs = startMs + options.seconds * 1000;
  // Clients that start at one instant stay in step with an endpoint that is always equally quick: what is measured
  // then is the queue before the fake endpoint, not the instrument. So they start evenly over one answer.
  const apartMs = answerMs(model) / concurrency;
  const client = async (name: number) => {
    // A plain timer: one that is exact by spinning would disturb those who have started already.
    await new Promise((resolve) => setTimeout(resolve, name * apartMs));
    for (let n = 0; clock() < endMs; n++) {
      const tag = `${name}.${n}`;
      const { status, sentMs, chunks } = await ask(bench, model, tag, signal);
      seen.push({ tag, chunkMs: status === "ok" ? chunks.map(({ atMs }) => atMs - sentMs) : null });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, name) => client(name)));
  const spent = { cpuMs: bench.cpuMs() - startCpu, wallMs: clock() - startMs };
  const made = new Map((await takeLog(bench)).map((entry) => [entry.tag, entry.chunkMs]));
  for (const { tag, chunkMs } of seen) tally.add(chunkMs, made.get(tag));
  return spent;
}

/** The accuracy of one transport at one concurrency, after a short warm-up that counts for nothing. */
export async function measureAccuracy(
  bench: Bench,
  options: Stretch,
): Promise<Accuracy> {
  const seconds = Math.min(WARM_UP_S, options.seconds / 2);
  await measureErrors(bench, { ...options, seconds }, new ErrorTally());
  const tally = new ErrorTally();
  const { cpuMs, wallMs } = await measureErrors(bench, options, tally);
  return {
    transport: bench.transport,
    concurrency: options.concurrency,
    requests: tally.requests,
    failed: tally.failed,
    ttft_error_ms: spreadOf(tally.ttft),
    gap_error_ms: spreadOf(tally.gap),
    tpot_error_percent: spreadOf(tally.tpotPercent),
    cpu_percent: (100 * cpuMs) / wallMs,
  };
}

/**
 * Sends requests on a schedule that is handed in, and says how late they left.
 *
 * @param drive calls `send` for each request when it is due, with that time, and returns when all are answered
 * @returns the delivered rate, counted from the first request sent to the last
 */
export async function measureLoad(
  bench: Bench,
  options: { ratePerS: number; seconds: number; signal: AbortSignal },
  drive: (requests: number, send: (dueMs: number) => Promise<void>) => Promise<void>,
): Promise<LoadCheck> {
  const late = new Histogram();
  const sent: number[] = [];
  await drive(Math.ceil(options.ratePerS * options.seconds), async (dueMs) => {
    const trace = await ask(bench, "steady", "load", options.signal);
    late.add(trace.sentMs - dueMs);
    sent.push(trace.sentMs);
  });
  await takeLog(bench); // nobody compares it, nobody shall find it
  const spanS = (Math.max(...sent) - Math.min(...sent)) / 1000;
  return {
    asked_per_s: options.ratePerS,
    delivered_per_s: spanS > 0 ? (sent.length - 1) / spanS : 0,
    late_ms: spreadOf(late),
  };
}

/** How many 16-token streams a second one client process reads, and what each costs it. */
export async function measureRate(
  bench: Bench,
  options: { concurrency: number; seconds: number; signal: AbortSignal },
): Promise<Rate> {
  const { clock } = bench;
  const { tokens } = SELFCHECK_MODELS.flood;
  const run = async (seconds: number) => {
    let [done, failed, chunks] = [0, 0, 0];
    const [startMs, startCpu] = [clock(), bench.cpuMs()];
    const endMs = startMs + seconds * 1000;
    const client = async () => {
      while (clock() < endMs) {
        const trace = await ask(bench, "flood", "flood", options.signal);
        if (trace.status === "ok" && trace.chunks.length === tokens) done++;
        else failed++;
        chunks += trace.chunks.length;
      }
    };
    await Promise.all(Array.from({ length: options.concurrency }, client));
    return { done, failed, chunks, cpuMs: bench.cpuMs() - startCpu, wallMs: clock() - startMs };
  };
  await run(options.seconds / 4);
  const { done, failed, chunks, cpuMs, wallMs } = await run(options.seconds);
  return {
    transport: bench.transport,
    client: "direct",
    concurrency: options.concurrency,
    tokens_per_request: tokens,
    requests_per_s: (1000 * done) / wallMs,
    failed,
    cpu_us_per_request: (1000 * cpuMs) / Math.max(1, done),
    cpu_us_per_chunk: (1000 * cpuMs) / Math.max(1, chunks),
    cpu_percent: (100 * cpuMs) / wallMs,
    memory_mb: bench.residentMb(),
  };
}

async function ask(
  { baseUrl, clock, post }: Bench,
  model: string,
  tag: string,
  signal: AbortSignal,
): Promise<Trace> {
  return await timedRequest(
    { name: "fake", baseUrl },
    { model, messages: [{ role: "user", content: tag }], maxTokens: 1000, temperature: 0 },
    { clock, post, timeoutMs: 30_000, signal },
  );
}

async function takeLog({ baseUrl, fetch }: Bench): Promise<z.infer<typeof logEntries>> {
  const response = await fetch(new URL("/log", baseUrl));
  return logEntries.parse(await response.json());
}

/** Above this share of a core, others disturb a check of milliseconds. */
const DISTURBED_PERCENT = 10;

/** A p99 is what one request in a hundred meets: whoever takes more of the time decides it. */
const STOLEN_PERCENT = 1;

/** What follows from the figures, in sentences for people. */
export function trustOf(
  result: Pick<SelfcheckResult, "others_cpu_percent" | "steal_percent" | "accuracy" | "load" | "rate">,
): string[] {
  const { others_cpu_percent: others, steal_percent: steal } = result;
  const disturbed = "of a core: this is a check of a disturbed machine; repeat it on a quiet one";
  const sentences: string[] = [];
  if (others > DISTURBED_PERCENT) sentences.push(`other programs used ${significant(others)} % ${disturbed}`);
  if (steal !== null && steal > STOLEN_PERCENT) {
    sentences.push(`the hypervisor took ${significant(steal)} % ${disturbed}`);
  }
  sentences.push(...result.accuracy.map((one) => {
    const { ttft_error_ms: ttft, gap_error_ms: gap, tpot_error_percent: tpot } = one;
    const worst = Math.max(ttft.p99 ?? ttft.max ?? 0, gap.p99 ?? gap.max ?? 0);
    const over = one.transport === "raw" ? "a raw socket (plain http)" : "fetch (https, proxies)";
    return `${over}, ${one.concurrency} at a time: differences below ${
      significant(2 * worst)
    } ms in TTFT or a gap, ` +
      `or ${significant(tpot.p99 ?? tpot.max ?? 0)} % in TPOT, may be ours`;
  }));
  for (const { asked_per_s, delivered_per_s } of result.load) {
    const miss = Math.abs(delivered_per_s / asked_per_s - 1);
    sentences.push(
      `${asked_per_s} requests/s asked, ${significant(delivered_per_s)} delivered: ${
        miss > 0.02 ? "a constant rate can't be trusted here" : "a constant rate is kept"
      }`,
    );
  }
  const best = Math.max(0, ...result.rate.map((one) => one.requests_per_s));
  if (best > 0) {
    sentences.push(`above ${significant(best / 2)} requests/s we ourselves become the bottleneck`);
  }
  return sentences;
}

const significant = (value: number) => Number(value.toPrecision(2));

const FILE = "selfcheck.json";

/** Keeps a result in `folder` (the user's cache folder: it speaks of this machine alone). */
export async function saveSelfcheck(folder: string, result: SelfcheckResult): Promise<string> {
  const path = join(folder, FILE);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(result, null, 2) + "\n");
  return path;
}

/** The last result kept in `folder`; null where there is none that can be read. */
export async function lastSelfcheck(folder: string): Promise<SelfcheckResult | null> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(folder, FILE));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  try {
    return selfcheckResult.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null; // an older or torn file
    throw error;
  }
}
