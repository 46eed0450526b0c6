/**
 * A benchmark is only as good as its instrument. This task measures the instrument on this machine, against a
 * fake endpoint in a process of its own that logs the delays it really made.
 *
 *     deno task selfcheck              about a minute
 *     deno task selfcheck --classic    TTFT 50 ms, 10 ms between 64 tokens: what other tools are compared with
 *     deno task selfcheck --soak 10    ten minutes with 64 clients: do memory or errors grow?
 *     deno task selfcheck --aa RUN     repeats a run: how far do two runs of the same thing differ here?
 */
import { bareCommand, interruptSignal, printJson, realClock, realSleep, runTask } from "./cli.ts";
import { decimal, option, pathValue, shared, wholeNumber } from "./options.ts";
import type { RepeatFlags } from "./repeat_runs.ts";
import type { Instrument } from "../lib/selfcheck/measure.ts";
import type { SelfcheckResult } from "../lib/selfcheck/selfcheck.ts";
import type { ErrorFigures } from "../lib/selfcheck/timing_errors.ts";

const note = (text: string) => console.error(text);

interface Flags extends Omit<RepeatFlags, "aa"> {
  readonly classic?: boolean;
  readonly soak?: number;
  readonly aa?: string;
}

const command = bareCommand("selfcheck").addOptions([
  ...shared("json"),
  option("--classic", "TTFT 50 ms, 10 ms between 64 tokens; takes two minutes"),
  option("--soak <minutes>", "64 clients for this long: do memory or errors grow?", decimal({ above: 0 })),
  option("--aa <run>", "repeat this run: how far do two runs of the same thing differ here?", pathValue)
    .conflicts(["classic", "soak"]),
  option("--repeats <n>", "with --aa: repeats to add to those that the run has", wholeNumber(1, 100), 5),
  ...shared("endpoint", "out", "registry", "store"),
]);

async function selfcheck(flags: Flags): Promise<number> {
  if (flags.aa !== undefined) {
    const { repeatRuns } = await import("./repeat_runs.ts");
    return await repeatRuns({ ...flags, aa: flags.aa });
  }
  const { SELFCHECK_MODELS } = await import("../lib/selfcheck/measure.ts");
  const { startFakeProcess } = await import("../lib/selfcheck/fake_process.ts");
  await using fake = await startFakeProcess({ models: SELFCHECK_MODELS });
  const { instrument, close } = await instruments(fake.baseUrl);
  try {
    if (flags.soak !== undefined) return await soak(instrument("raw"), flags.soak, flags.json === true);
    const result = await check(instrument, flags.classic === true ? "classic" : "steady");
    const { saveSelfcheck } = await import("../lib/selfcheck/selfcheck.ts");
    const path = await saveSelfcheck(await cacheFolder(), result);
    if (flags.json) printJson(result);
    else await printTables(result);
    note(`saved for reports: ${path}`);
    return 0;
  } finally {
    close();
  }
}

/** The client over either transport; the names are those of the result. */
async function instruments(baseUrl: string) {
  const { timedClient } = await import("../lib/endpoint/timed_client.ts");
  const { default: process } = await import("node:process");
  const clients = {
    raw: timedClient({ clock: realClock, fetch }),
    fetch: timedClient({ clock: realClock, fetch, accepts: () => false }),
  };
  const cpuMs = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const residentMb = () => Deno.memoryUsage().rss / 1e6;
  const common = { baseUrl, clock: realClock, fetch, cpuMs, residentMb };
  return {
    instrument: (transport: "raw" | "fetch"): Instrument => ({
      ...common,
      transport,
      post: clients[transport].post,
    }),
    close: () => clients.raw.close(),
  };
}

async function check(
  instrument: (transport: "raw" | "fetch") => Instrument,
  model: "steady" | "classic",
): Promise<SelfcheckResult> {
  const { measureAll } = await import("../lib/selfcheck/measure.ts");
  const { trustOf } = await import("../lib/selfcheck/selfcheck.ts");
  const { constantRate } = await import("../lib/bench/pacing.ts");
  const { stealCount } = await import("./steal.ts");
  const signal = interruptSignal();
  const restBefore = await othersCpuPercent();
  const stealPercent = await stealCount();
  const measured = await measureAll(model, {
    instrument,
    signal,
    onStep: note,
    drive: (rate, requests, send) =>
      constantRate(
        Array.from({ length: requests }),
        { rate, clients: 1000, clock: realClock, sleep: realSleep, signal },
        (_, dueMs) => send(dueMs ?? realClock()),
      ),
  });
  const result = {
    others_cpu_percent: (restBefore + await othersCpuPercent()) / 2,
    steal_percent: await stealPercent(),
    ...measured,
  };
  return {
    schema_version: 1,
    created_at: new Date().toISOString(),
    deno: Deno.version.deno,
    machine: await machine(),
    ...result,
    trust: trustOf(result),
  };
}

/** What other programs use while this one rests for half a second, in percent of one core. */
async function othersCpuPercent(): Promise<number> {
  const { cpus } = await import("node:os");
  const busyMs = () =>
    cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  const [startMs, startBusy] = [realClock(), busyMs()];
  await realSleep(500, interruptSignal());
  return (100 * (busyMs() - startBusy)) / (realClock() - startMs);
}

async function machine(): Promise<SelfcheckResult["machine"]> {
  const { cpus } = await import("node:os");
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: Math.max(1, cores.length),
    os: Deno.build.os,
    arch: Deno.build.arch,
  };
}

/** The user's cache folder: the result holds for this machine alone. */
async function cacheFolder(): Promise<string> {
  const [{ defaultStore }, { dirname }] = await Promise.all([
    import("../lib/catalog/store.ts"),
    import("node:path"),
  ]);
  return dirname(defaultStore(Deno.env, Deno.build.os));
}

const digits = (value: number | null, places = 2) => value === null ? "–" : value.toFixed(places);
const both = ({ p50, p99, max }: ErrorFigures, places = 2) =>
  `${digits(p50, places)} / ${p99 === null ? `max ${digits(max, places)}` : digits(p99, places)}`;

async function printTables(result: SelfcheckResult): Promise<void> {
  await printTable("Timing error against the delays that were really made: p50 / p99", result.accuracy, {
    "transport": (one) => one.transport,
    "at a time": (one) => String(one.concurrency),
    "requests": (one) => String(one.requests),
    "failed": (one) => String(one.failed),
    "TTFT, ms": (one) => both(one.ttft_error_ms),
    "gaps, ms": (one) => both(one.gap_error_ms),
    "TPOT, %": (one) => both(one.tpot_error_percent),
    "CPU, % of a core": (one) => digits(one.cpu_percent, 1),
  });
  await printTable("A constant rate", result.load, {
    "requested, 1/s": (one) => digits(one.asked_per_s, 0),
    "delivered, 1/s": (one) => digits(one.delivered_per_s),
    "sent late, ms (p50 / p99)": (one) => both(one.late_ms),
  });
  await printTable(
    `The highest rate, streams of ${result.rate[0]?.tokens_per_request ?? 0} tokens`,
    result.rate,
    {
      "requests/s": (one) => digits(one.requests_per_s, 0),
      "failed": (one) => String(one.failed),
      "CPU per request, µs": (one) => digits(one.cpu_us_per_request, 0),
      "CPU per chunk, µs": (one) => digits(one.cpu_us_per_chunk, 1),
      "CPU, % of a core": (one) => digits(one.cpu_percent, 0),
      "memory, MB": (one) => digits(one.memory_mb, 0),
    },
  );
  console.log(`Memory: ${digits(result.memory_mb, 0)} MB at most, with the results of the check itself`);
  console.log(`Other programs used ${digits(result.others_cpu_percent, 0)} % of a core`);
  const { stealText } = await import("./steal.ts");
  if (result.steal_percent !== null) console.log(`During the check ${stealText(result.steal_percent)}`);
  console.log("What to trust on this machine");
  const { say } = await import("./terminal.ts");
  for (const sentence of result.trust) say(`- ${sentence}`, "  ");
}

/** Prints one row per item, with a heading and a cell for each entry of `columns`. */
async function printTable<T>(
  title: string,
  items: readonly T[],
  columns: Record<string, (item: T) => string>,
): Promise<void> {
  const { fitTerminal, table } = await import("./terminal.ts");
  const rows = items.map((item) => Object.values(columns).map((cell) => cell(item)));
  console.log(`${fitTerminal(title, Deno.stdout)}\n${table(Object.keys(columns), rows)}\n`);
}

/** 64 clients in slices of ten seconds, one line per slice, which shows growth. */
async function soak(instrument: Instrument, minutes: number, json: boolean): Promise<number> {
  const { measureErrors } = await import("../lib/selfcheck/measure.ts");
  const { errorFiguresOf, TimingErrors } = await import("../lib/selfcheck/timing_errors.ts");
  const { stealCount, stealText } = await import("./steal.ts");
  const signal = interruptSignal();
  const slices: {
    at_s: number;
    memory_mb: number;
    steal_percent: number | null;
    ttft_error_ms: ErrorFigures;
    gap_error_ms: ErrorFigures;
    failed: number;
  }[] = [];
  const seconds = Math.min(10, minutes * 60);
  const startMs = realClock();
  while (realClock() - startMs < minutes * 60_000) {
    const errors = new TimingErrors();
    const stealPercent = await stealCount();
    await measureErrors(instrument, { model: "classic", concurrency: 64, seconds, signal }, errors);
    const slice = {
      at_s: Math.round((realClock() - startMs) / 1000),
      memory_mb: instrument.residentMb(),
      steal_percent: await stealPercent(),
      ttft_error_ms: errorFiguresOf(errors.ttft),
      gap_error_ms: errorFiguresOf(errors.gap),
      failed: errors.failed,
    };
    slices.push(slice);
    note(
      `${slice.at_s} s: ${digits(slice.memory_mb, 0)} MB, TTFT ${both(slice.ttft_error_ms)} ms, ` +
        `gaps ${both(slice.gap_error_ms)} ms, ${slice.failed} failed of ${errors.requests}` +
        (slice.steal_percent === null ? "" : `, ${stealText(slice.steal_percent)}`),
    );
  }
  if (json) printJson({ schema_version: 1, minutes, slices });
  return 0;
}

await runTask(command, selfcheck);
