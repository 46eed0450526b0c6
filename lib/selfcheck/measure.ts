/**
 * Measures the instrument: how far are its times from the delays that another process really made? The caller
 * starts that process, and hands in its base URL.
 */
import { z } from "zod";
import type { Clock, Fetch } from "../clock.ts";
import type { PostJson } from "../endpoint/timed_client.ts";
import { timedRequest } from "../endpoint/timed_request.ts";
import type { Trace } from "../endpoint/trace.ts";
import type { Accuracy, HighestRate, LoadCheck, SelfcheckResult } from "./selfcheck.ts";
import { errorFiguresOf, Histogram, TimingErrors } from "./timing_errors.ts";

/** The models of the fake endpoint that the check uses. */
export const SELFCHECK_MODELS = {
  /** A fast local model. */
  steady: { ttftMs: 20, itlMs: 10, tokens: 5, log: "times" },
  /** The timings that published comparisons of benchmark tools use. */
  classic: { ttftMs: 50, itlMs: 10, tokens: 64, log: "times" },
  /** No delay at all, for the highest rate. */
  flood: { tokens: 16, log: "nothing" },
} as const;

/** What the fake endpoint logs of one request, in ms since it had read it. */
const logEntry = z.object({ tag: z.string(), chunkMs: z.array(z.number()), outcome: z.string() });
const logEntries = z.array(logEntry);

/** The client that is measured, and what measuring needs. */
export interface Instrument {
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

/** A model whose delays are known. */
type PacedModel = "steady" | "classic";

/** What a whole check needs besides the instrument. */
interface SelfcheckTools {
  readonly instrument: (transport: "raw" | "fetch") => Instrument;
  /** Runs `send` for `requests` requests at a constant rate. */
  readonly drive: (
    ratePerS: number,
    requests: number,
    send: (dueMs: number) => Promise<void>,
  ) => Promise<void>;
  readonly signal: AbortSignal;
  /** Called before each measurement, with what it is. */
  readonly onStep: (text: string) => void;
}

/** Concurrency and seconds of each accuracy measurement. */
const ACCURACY_PLANS = {
  steady: { raw: [[1, 6.5], [8, 3], [64, 3]], fetch: [[1, 3], [64, 2]] },
  classic: { raw: [[1, 25], [8, 15], [64, 15]], fetch: [[1, 15], [64, 10]] },
} as const;

const LOAD_RATE_PER_S = 50;

/**
 * Makes every measurement of a check. The socket's come first: what the others leave on
 * the heap would slow it down.
 *
 * ```ts ignore
 * const { accuracy } = await measureAll("steady", tools);
 * console.log(accuracy[0]?.ttft_error_ms.p50);
 * ```
 */
export async function measureAll(
  model: PacedModel,
  { instrument, drive, signal, onStep }: SelfcheckTools,
): Promise<Pick<SelfcheckResult, "accuracy" | "load" | "rate" | "memory_mb">> {
  const socket = instrument("raw");
  let memoryMb = 0;
  const measureTransport = async (transport: "raw" | "fetch") => {
    const found: Accuracy[] = [];
    for (const [concurrency, seconds] of ACCURACY_PLANS[model][transport]) {
      onStep(`${transport}, ${concurrency} at a time, ${seconds} s`);
      found.push(await measureAccuracy(instrument(transport), { model, concurrency, seconds, signal }));
      memoryMb = Math.max(memoryMb, socket.residentMb());
    }
    return found;
  };
  const accuracy = await measureTransport("raw");
  onStep("a constant rate, 3 s");
  const atRate = { ratePerS: LOAD_RATE_PER_S, seconds: 3, signal };
  const load = [
    await measureLoad(socket, atRate, (requests, send) => drive(LOAD_RATE_PER_S, requests, send)),
  ];
  onStep("the highest rate, 2 s");
  const rate = [await measureRate(socket, { concurrency: 32, seconds: 2, signal })];
  memoryMb = Math.max(memoryMb, socket.residentMb());
  accuracy.push(...await measureTransport("fetch"));
  return { accuracy, load, rate, memory_mb: memoryMb };
}

/** Which model is requested, by how many clients at a time, and for how long. */
interface Stretch {
  readonly model: PacedModel;
  readonly concurrency: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** Long enough for V8 to compile the code of both sides, which it does on the cores that they need. */
const WARM_UP_S = 8;

/** The accuracy of one transport at one concurrency, after a short warm-up that is not counted. */
export async function measureAccuracy(
  instrument: Instrument,
  options: Stretch,
): Promise<Accuracy> {
  const seconds = Math.min(WARM_UP_S, options.seconds / 2);
  await measureErrors(instrument, { ...options, seconds }, new TimingErrors());
  const errors = new TimingErrors();
  const { cpuMs, wallMs } = await measureErrors(instrument, options, errors);
  return {
    transport: instrument.transport,
    concurrency: options.concurrency,
    requests: errors.requests,
    failed: errors.failed,
    ttft_error_ms: errorFiguresOf(errors.ttft),
    gap_error_ms: errorFiguresOf(errors.gap),
    tpot_error_percent: errorFiguresOf(errors.tpotPercent),
    cpu_percent: (100 * cpuMs) / wallMs,
  };
}

/**
 * Sends requests on a schedule, and measures how late they left.
 *
 * @param drive calls `send` for each request when it is due, with that time, and
 * returns when all are answered
 * @returns the delivered rate, counted from the first request sent to the last
 */
export async function measureLoad(
  instrument: Instrument,
  options: { ratePerS: number; seconds: number; signal: AbortSignal },
  drive: (requests: number, send: (dueMs: number) => Promise<void>) => Promise<void>,
): Promise<LoadCheck> {
  const late = new Histogram();
  const sent: number[] = [];
  await drive(Math.ceil(options.ratePerS * options.seconds), async (dueMs) => {
    const trace = await request(instrument, "steady", "load", options.signal);
    late.add(trace.sentMs - dueMs);
    sent.push(trace.sentMs);
  });
  await takeLog(instrument); // empties the log for the next measurement
  const spanS = (Math.max(...sent) - Math.min(...sent)) / 1000;
  return {
    asked_per_s: options.ratePerS,
    delivered_per_s: spanS > 0 ? (sent.length - 1) / spanS : 0,
    late_ms: errorFiguresOf(late),
  };
}

/** How many 16-token streams per second one process reads, and what each costs. */
export async function measureRate(
  instrument: Instrument,
  options: { concurrency: number; seconds: number; signal: AbortSignal },
): Promise<HighestRate> {
  const { clock } = instrument;
  const { tokens } = SELFCHECK_MODELS.flood;
  const run = async (seconds: number) => {
    let [done, failed, chunks] = [0, 0, 0];
    const [startMs, startCpu] = [clock(), instrument.cpuMs()];
    const endMs = startMs + seconds * 1000;
    const client = async () => {
      while (clock() < endMs) {
        const trace = await request(instrument, "flood", "flood", options.signal);
        if (trace.status === "ok" && trace.chunks.length === tokens) done++;
        else failed++;
        chunks += trace.chunks.length;
      }
    };
    await Promise.all(Array.from({ length: options.concurrency }, client));
    return { done, failed, chunks, cpuMs: instrument.cpuMs() - startCpu, wallMs: clock() - startMs };
  };
  await run(options.seconds / 4);
  const { done, failed, chunks, cpuMs, wallMs } = await run(options.seconds);
  return {
    transport: instrument.transport,
    client: "direct",
    concurrency: options.concurrency,
    tokens_per_request: tokens,
    requests_per_s: (1000 * done) / wallMs,
    failed,
    cpu_us_per_request: (1000 * cpuMs) / Math.max(1, done),
    cpu_us_per_chunk: (1000 * cpuMs) / Math.max(1, chunks),
    cpu_percent: (100 * cpuMs) / wallMs,
    memory_mb: instrument.residentMb(),
  };
}

/**
 * Keeps `concurrency` clients busy for `seconds`, then reads the delays that the fake endpoint really made,
 * and adds every difference to `errors`. The log is read after the timed stretch, which it would disturb.
 *
 * @returns processor time and wall time of the timed stretch, in ms
 */
export async function measureErrors(
  instrument: Instrument,
  options: Stretch,
  errors: TimingErrors,
): Promise<{ cpuMs: number; wallMs: number }> {
  const { clock } = instrument;
  const { model, concurrency, signal } = options;
  // Numbers alone: less for the garbage collector to move.
  const seen: { tag: string; chunkMs: number[] | null }[] = [];
  const [startMs, startCpu] = [clock(), instrument.cpuMs()];
  const endMs = startMs + options.seconds * 1000;
  // Clients that start together stay in step with an endpoint that is always equally fast. The figures would
  // then show the queue in front of the fake endpoint, so clients start evenly over the time of one answer.
  const apartMs = answerMs(model) / concurrency;
  const client = async (name: number) => {
    // A plain timer: an exact one spins, and would disturb clients that are measuring already.
    await new Promise((resolve) => setTimeout(resolve, name * apartMs));
    for (let n = 0; clock() < endMs; n++) {
      const tag = `${name}.${n}`;
      const { status, sentMs, chunks } = await request(instrument, model, tag, signal);
      seen.push({ tag, chunkMs: status === "ok" ? chunks.map(({ atMs }) => atMs - sentMs) : null });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, name) => client(name)));
  const spent = { cpuMs: instrument.cpuMs() - startCpu, wallMs: clock() - startMs };
  const made = new Map((await takeLog(instrument)).map((entry) => [entry.tag, entry.chunkMs]));
  for (const { tag, chunkMs } of seen) errors.add(chunkMs, made.get(tag));
  return spent;
}

/** How long one answer of a model takes, in ms, counted from its request. */
export function answerMs(model: PacedModel): number {
  const { ttftMs, itlMs, tokens } = SELFCHECK_MODELS[model];
  return ttftMs + itlMs * (tokens - 1);
}

async function request(
  { baseUrl, clock, post }: Instrument,
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

async function takeLog({ baseUrl, fetch }: Instrument): Promise<z.infer<typeof logEntries>> {
  const response = await fetch(new URL("/log", baseUrl));
  return logEntries.parse(await response.json());
}
