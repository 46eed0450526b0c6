/**
 * WHY: a benchmark is believed only as far as its instrument. This task measures the project itself on this
 * machine, against a fake endpoint in a process of its own that logs the delays it really made.
 *
 *     deno task selfcheck              about half a minute
 *     deno task selfcheck --classic    TTFT 50 ms, 10 ms between 64 tokens: what other tools are compared at
 *     deno task selfcheck --soak 10    ten minutes at 64 at a time: does memory or error grow?
 */
import {
  bareCommand,
  decimal,
  interruptSignal,
  jsonOption,
  printJson,
  realClock,
  realSleep,
  runCli,
} from "./cli.ts";
import { UserError } from "../lib/errors.ts";
import type { Accuracy, Bench, SelfcheckResult, Spread } from "../lib/selfcheck/selfcheck.ts";

const note = (text: string) => console.error(text);

const residentMb = () => Deno.memoryUsage().rss / 1e6;

interface Flags {
  readonly json?: true;
  readonly classic?: true;
  readonly soak?: number;
}

async function main(): Promise<number> {
  const command = bareCommand(
    "selfcheck",
    "Measures the project's own error against known delays, on this machine.",
  )
    .addOption(jsonOption())
    .option("--classic", "TTFT 50 ms, 10 ms between 64 tokens; takes two minutes")
    .option(
      "--soak <minutes>",
      "only 64 at a time, for so long: does memory or error grow?",
      decimal({ above: 0 }),
    );
  const flags: Flags = command.parse(["deno", "selfcheck", ...Deno.args]).opts();
  const [selfcheck, { timedClient }, { default: process }] = await Promise.all([
    import("../lib/selfcheck/selfcheck.ts"),
    import("../lib/endpoint/timed_client.ts"),
    import("node:process"),
  ]);
  const cpuMs = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const transports = {
    raw: timedClient({ clock: realClock, fetch }),
    fetch: timedClient({ clock: realClock, fetch, accepts: () => false }),
  };
  await using fake = await startFakeProcess({ models: selfcheck.SELFCHECK_MODELS });
  const bench = (transport: "raw" | "fetch"): Bench => ({
    baseUrl: fake.baseUrl,
    clock: realClock,
    fetch,
    post: transports[transport].post,
    transport,
    cpuMs,
    residentMb,
  });
  try {
    if (flags.soak !== undefined) return await soak(bench("raw"), flags.soak, flags.json === true);
    const result = await check(bench, flags.classic === true ? "classic" : "steady");
    const path = await selfcheck.saveSelfcheck(await cacheFolder(), result);
    if (flags.json) printJson(result);
    else await printTables(result);
    note(`kept for reports: ${path}`);
    return 0;
  } finally {
    transports.raw.close();
  }
}

/** Runs every measurement, all of the raw socket first: what the others leave on the heap would make it dearer. */
async function check(
  bench: (transport: "raw" | "fetch") => Bench,
  model: "steady" | "classic",
): Promise<SelfcheckResult> {
  const { measureAccuracy, measureLoad, measureRate, trustOf } = await import(
    "../lib/selfcheck/selfcheck.ts"
  );
  const { constantRate } = await import("../lib/bench/pacing.ts");
  const { stealCount } = await import("./steal.ts");
  const signal = interruptSignal();
  const memory = peakMemory();
  const plan = model === "steady"
    ? { raw: [[1, 6.5], [8, 3], [64, 3]], fetch: [[1, 3], [64, 2]] } as const
    : { raw: [[1, 25], [8, 15], [64, 15]], fetch: [[1, 15], [64, 10]] } as const;
  const restBefore = await othersCpuPercent();
  const stealPercent = await stealCount();
  const accuracyOf = async (transport: "raw" | "fetch") => {
    const found: Accuracy[] = [];
    for (const [concurrency, seconds] of plan[transport]) {
      note(`${transport}, ${concurrency} at a time, ${seconds} s`);
      found.push(await measureAccuracy(bench(transport), { model, concurrency, seconds, signal }));
      memory.look();
    }
    return found;
  };
  const raw = await accuracyOf("raw");
  note("a constant rate, 3 s");
  const ratePerS = 50;
  const load = [
    await measureLoad(bench("raw"), { ratePerS, seconds: 3, signal }, async (requests, send) => {
      const timing = { rate: ratePerS, clients: 1000, clock: realClock, sleep: realSleep, signal };
      await constantRate(Array.from({ length: requests }), timing, (_, dueMs) => send(dueMs ?? realClock()));
    }),
  ];
  note("the highest rate, 4 s");
  const rate = [await measureRate(bench("raw"), { concurrency: 32, seconds: 2, signal })];
  memory.look();
  const accuracy = [...raw, ...await accuracyOf("fetch")];
  const steal = await stealPercent();
  const others = (restBefore + await othersCpuPercent()) / 2;
  return {
    schema_version: 1,
    created_at: new Date().toISOString(),
    deno: Deno.version.deno,
    machine: await machine(),
    others_cpu_percent: others,
    steal_percent: steal,
    accuracy,
    load,
    rate,
    memory_mb: memory.peakMb(),
    trust: trustOf({ others_cpu_percent: others, steal_percent: steal, accuracy, load, rate }),
  };
}

/** What the machine does while we rest for half a second, in percent of one core. */
async function othersCpuPercent(): Promise<number> {
  const { cpus } = await import("node:os");
  const busyMs = () =>
    cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  const [startMs, startBusy] = [realClock(), busyMs()];
  await realSleep(500, interruptSignal());
  return (100 * (busyMs() - startBusy)) / (realClock() - startMs);
}

function peakMemory() {
  let peak = 0;
  const look = () => void (peak = Math.max(peak, residentMb()));
  return { look, peakMb: () => peak };
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

/** The user's cache folder: what is found out here is true of this machine alone. */
async function cacheFolder(): Promise<string> {
  const [{ defaultStore }, { dirname }] = await Promise.all([
    import("../lib/catalog/store.ts"),
    import("node:path"),
  ]);
  return dirname(defaultStore(Deno.env, Deno.build.os));
}

/** Starts the fake endpoint in its own process; disposing ends it. */
export async function startFakeProcess(input: unknown): Promise<{ baseUrl: string } & AsyncDisposable> {
  const program = new URL("../lib/selfcheck/fake_endpoint.ts", import.meta.url).href;
  const child = new Deno.Command(Deno.execPath(), {
    // Its garbage collector must not make delays that it does not log.
    args: [
      "run",
      "--quiet",
      "--v8-flags=--max-semi-space-size=4",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      program,
      JSON.stringify(input),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) throw new UserError("the fake endpoint did not start: see what it said above", 1);
    text += value;
  }
  const started: unknown = JSON.parse(text);
  if (typeof started !== "object" || started === null || !("baseUrl" in started)) {
    throw new Error(`the fake endpoint said ${text}`);
  }
  return {
    baseUrl: String(started.baseUrl),
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await child.status;
      await lines.cancel();
    },
  };
}

const digits = (value: number | null, places = 2) => value === null ? "–" : value.toFixed(places);
const both = ({ p50, p99, max }: Spread, places = 2) =>
  `${digits(p50, places)} / ${p99 === null ? `max ${digits(max, places)}` : digits(p99, places)}`;

async function printTables(result: SelfcheckResult): Promise<void> {
  const [{ default: Table }, { stealText }] = await Promise.all([
    import("cli-table3"),
    import("./steal.ts"),
  ]);
  const table = (head: string[], rows: string[][]) => {
    const drawn = new Table({ head, style: { head: [], border: [] } });
    drawn.push(...rows);
    console.log(drawn.toString());
  };
  console.log("Our own error against the delays really made: p50 / p99");
  table(
    [
      "transport",
      "at a time",
      "requests",
      "failed",
      "TTFT, ms",
      "gaps, ms",
      "TPOT, %",
      "our CPU, % of a core",
    ],
    result.accuracy.map((one) => [
      one.transport,
      String(one.concurrency),
      String(one.requests),
      String(one.failed),
      both(one.ttft_error_ms),
      both(one.gap_error_ms),
      both(one.tpot_error_percent),
      digits(one.cpu_percent, 1),
    ]),
  );
  console.log("A constant rate");
  table(
    ["asked, 1/s", "delivered, 1/s", "sent late, ms (p50 / p99)"],
    result.load.map((one) => [digits(one.asked_per_s, 0), digits(one.delivered_per_s), both(one.late_ms)]),
  );
  console.log(`The highest rate, streams of ${result.rate[0]?.tokens_per_request ?? 0} tokens`);
  table(
    [
      "client",
      "requests/s",
      "failed",
      "CPU a request, µs",
      "CPU a chunk, µs",
      "our CPU, % of a core",
      "memory, MB",
    ],
    result.rate.map((one) => [
      one.client,
      digits(one.requests_per_s, 0),
      String(one.failed),
      digits(one.cpu_us_per_request, 0),
      digits(one.cpu_us_per_chunk, 1),
      digits(one.cpu_percent, 0),
      digits(one.memory_mb, 0),
    ]),
  );
  console.log(`Memory: ${digits(result.memory_mb, 0)} MB at most, with what the check itself keeps`);
  console.log(`Others used ${digits(result.others_cpu_percent, 0)} % of a core while we rested`);
  if (result.steal_percent !== null) console.log(stealText(result.steal_percent));
  console.log("What can be trusted here");
  for (const sentence of result.trust) console.log(`- ${sentence}`);
}

/** 64 at a time, in slices of ten seconds, a line each: growth shows from line to line. */
async function soak(bench: Bench, minutes: number, json: boolean): Promise<number> {
  const { ErrorTally, measureErrors, spreadOf } = await import("../lib/selfcheck/selfcheck.ts");
  const { stealCount } = await import("./steal.ts");
  const signal = interruptSignal();
  const slices: {
    at_s: number;
    memory_mb: number;
    steal_percent: number | null;
    ttft_error_ms: Spread;
    gap_error_ms: Spread;
    failed: number;
  }[] = [];
  const seconds = Math.min(10, minutes * 60);
  const startMs = realClock();
  while (realClock() - startMs < minutes * 60_000) {
    const tally = new ErrorTally();
    const stealPercent = await stealCount();
    await measureErrors(bench, { model: "classic", concurrency: 64, seconds, signal }, tally);
    const slice = {
      at_s: Math.round((realClock() - startMs) / 1000),
      memory_mb: residentMb(),
      steal_percent: await stealPercent(),
      ttft_error_ms: spreadOf(tally.ttft),
      gap_error_ms: spreadOf(tally.gap),
      failed: tally.failed,
    };
    slices.push(slice);
    note(
      `${slice.at_s} s: ${digits(slice.memory_mb, 0)} MB, TTFT ${both(slice.ttft_error_ms)} ms, ` +
        `gaps ${both(slice.gap_error_ms)} ms, ${slice.failed} failed of ${tally.requests}` +
        (slice.steal_percent === null ? "" : `, the hypervisor took ${digits(slice.steal_percent, 1)} %`),
    );
  }
  if (json) printJson({ schema_version: 1, minutes, slices });
  return 0;
}

if (import.meta.main) await runCli(main);
