/** The same requests in turns: directly, through Podium's gateway, and through another one. */
import { z } from "zod";
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { UserError } from "../lib/errors.ts";
import { interruptSignal, realClock, realSleep } from "../scripts/cli.ts";
import { startFakeProcess } from "../lib/selfcheck/fake_process.ts";
import { stealCount, stealText } from "../scripts/steal.ts";
import { benchTable } from "./bench_table.ts";
import { type HostileBench, percentiles } from "./gateway_hostile.ts";
import type { InputBench } from "./gateway_inputs.ts";
import { type Proxy, startGateway, startLitellm } from "./gateway_proxies.ts";

/** The flags of `bench:serve`, parsed. */
export interface ServeBenchSettings {
  readonly requests: number;
  readonly quick?: boolean;
  readonly litellm?: string;
  readonly soak?: number;
  readonly hostile?: number;
  readonly inputs?: boolean;
  readonly json?: boolean;
}

/** `steady` is what is timed, `flood` answers at once with 16 tokens. */
const MODELS = {
  steady: { ttftMs: 50, itlMs: 10, tokens: 64, log: "times" },
  flood: { tokens: 16, log: "nothing" },
} as const;
const RATE_CLIENTS = 32;
const RATE_S = 3;

/** Where requests are sent: `direct`, or the name of a gateway. */
interface Way {
  readonly name: string;
  readonly baseUrl: string;
  readonly apiKey: string | null;
  readonly proxy: Proxy | null;
}

interface Waits {
  readonly ttftMs: number[];
  readonly lastMs: number[];
  failed: number;
}

export interface ServeBench {
  readonly kind: "overhead";
  readonly rows: readonly {
    readonly way: string;
    readonly concurrency: number;
    readonly requests: number;
    readonly failed: number;
    readonly added_ttft_ms: { readonly p50: number; readonly p99: number };
    readonly added_last_ms: { readonly p50: number; readonly p99: number };
  }[];
  readonly rates: readonly {
    readonly way: string;
    readonly answers_per_s: number;
    readonly failed: number;
  }[];
  readonly proxies: readonly {
    readonly way: string;
    readonly ready_s: number;
    readonly memory_mb: number | null;
  }[];
  /** What the hypervisor took meanwhile, in percent of one core; null where the system does not tell. */
  readonly steal_percent: number | null;
}

export interface ServeSoak {
  readonly kind: "soak";
  readonly slices: readonly {
    readonly requests: number;
    readonly failed: number;
    readonly memory_mb: number | null;
  }[];
}

const raw = timedClient({ clock: realClock, fetch });

/** @throws {UserError} where a gateway can't be started */
export async function measureServe({ requests, quick, litellm }: ServeBenchSettings): Promise<ServeBench> {
  await using fake = await startFakeProcess({ models: MODELS });
  await using stack = new AsyncDisposableStack();
  const ways: Way[] = [{ name: "direct", baseUrl: fake.baseUrl, apiKey: null, proxy: null }];
  const add = (name: string, proxy: Proxy) =>
    ways.push({ name, baseUrl: proxy.baseUrl, apiKey: proxy.apiKey, proxy });
  add("podium", stack.use(await startGateway(fake.baseUrl)));
  if (litellm !== undefined) {
    add("litellm", stack.use(await startLitellm(litellm, fake.baseUrl, Object.keys(MODELS))));
  }
  for (const way of ways) await warmUp(way);
  const stealPercent = await stealCount();
  const alone = quick ? 12 : requests;
  const rows = [
    ...await overhead(ways, fake.baseUrl, 1, alone),
    ...await overhead(ways, fake.baseUrl, 16, alone * 5),
  ];
  console.error(`the highest rate, ${RATE_CLIENTS} clients, ${RATE_S} s each way, twice`);
  const rates: ServeBench["rates"][number][] = [];
  for (const way of [...ways, ...ways.toReversed()]) {
    const known = rates.findIndex((rate) => rate.way === way.name);
    const seen = await rate(way);
    if (known < 0) rates.push({ way: way.name, ...seen });
    else if ((rates[known]?.answers_per_s ?? 0) < seen.answers_per_s) {
      rates[known] = { way: way.name, ...seen };
    }
  }
  const proxies = await Promise.all(
    ways.flatMap(({ name, proxy }) =>
      proxy === null ? [] : [
        proxy.memoryMb().then((memory) => ({
          way: name,
          ready_s: proxy.readyMs / 1000,
          memory_mb: memory,
        })),
      ]
    ),
  );
  raw.close();
  return { kind: "overhead", rows, rates, proxies, steal_percent: await stealPercent() };
}

/** Short requests, 32 at a time, and the gateway's memory in ten places on the way. */
export async function soakServe(total: number): Promise<ServeSoak> {
  await using fake = await startFakeProcess({ models: MODELS });
  await using proxy = await startGateway(fake.baseUrl);
  const way: Way = { name: "podium", baseUrl: proxy.baseUrl, apiKey: null, proxy };
  const slices: ServeSoak["slices"][number][] = [];
  const step = Math.ceil(total / 10);
  for (let done = 0; done < total; done += step) {
    const count = Math.min(step, total - done);
    let [left, failed] = [count, 0];
    const client = async () => {
      while (left-- > 0) {
        interruptSignal().throwIfAborted();
        if ((await ask(way, "flood", `${done}-${left}`)).ok === false) failed++;
      }
    };
    await Promise.all(Array.from({ length: RATE_CLIENTS }, client));
    slices.push({ requests: done + count, failed, memory_mb: await proxy.memoryMb() });
    console.error(`${done + count} requests, ${failed} failed, ${slices.at(-1)?.memory_mb?.toFixed(0)} MB`);
  }
  raw.close();
  return { kind: "soak", slices };
}

async function warmUp(way: Way): Promise<void> {
  const answers = await Promise.all(Array.from({ length: 32 }, (_, i) => ask(way, "steady", `warm-up ${i}`)));
  const failed = answers.find(({ ok }) => !ok);
  if (failed !== undefined) throw new UserError(`${way.name} does not answer: HTTP ${failed.status}`, 1);
  for (let i = 0; i < 200; i++) await ask(way, "flood", "warm-up");
}

/** `concurrency` requests each way, then the next way, until each has had its number. */
async function overhead(ways: readonly Way[], fakeUrl: string, concurrency: number, requests: number) {
  const waits = new Map<string, Waits>(ways.map(({ name }) => [name, { ttftMs: [], lastMs: [], failed: 0 }]));
  const turns = Math.ceil(requests / concurrency);
  console.error(`${concurrency} at a time, ${turns * concurrency} requests each way`);
  await madeDelays(fakeUrl);
  for (let turn = 0; turn < turns; turn++) {
    interruptSignal().throwIfAborted();
    // Every other turn runs backwards: what drifts hits all of them.
    for (const way of turn % 2 === 0 ? ways : ways.toReversed()) {
      const tags = Array.from({ length: concurrency }, (_, i) => `${way.name} ${turn}.${i}`);
      const answers = await Promise.all(tags.map(async (tag, i) => {
        await realSleep(i * 60 / concurrency);
        return { tag, ...await ask(way, "steady", tag) };
      }));
      const made = await madeDelays(fakeUrl);
      for (const { tag, ...answer } of answers) addWait(waitsOf(waits, way.name), answer, made.get(tag));
    }
  }
  const direct = waitsOf(waits, "direct");
  return ways.map(({ name }) => {
    const seen = waitsOf(waits, name);
    const figures = (of: "ttftMs" | "lastMs") => {
      const [own, base] = [percentiles(seen[of]), percentiles(direct[of])];
      return name === "direct" ? own : { p50: own.p50 - base.p50, p99: own.p99 - base.p99 };
    };
    return {
      way: name,
      concurrency,
      requests: seen.ttftMs.length,
      failed: seen.failed,
      added_ttft_ms: figures("ttftMs"),
      added_last_ms: figures("lastMs"),
    };
  });
}

function waitsOf(waits: ReadonlyMap<string, Waits>, name: string): Waits {
  const found = waits.get(name);
  if (found === undefined) throw new Error("a way without requests");
  return found;
}

/** What an answer took beyond the delays that the endpoint made. */
function addWait(
  waits: Waits,
  { ok, firstMs, lastMs }: TimedAnswer,
  delays: readonly number[] | undefined,
): void {
  const [first, last] = [delays?.[0], delays?.at(-1)];
  if (!ok || first === undefined || last === undefined) {
    waits.failed++;
    return;
  }
  waits.ttftMs.push(firstMs - first);
  waits.lastMs.push(lastMs - last);
}

const logEntries = z.array(z.object({ tag: z.string(), chunkMs: z.array(z.number()) }));

/** The delays that the endpoint really made since the last look, by request. */
async function madeDelays(fakeUrl: string): Promise<Map<string, number[]>> {
  const response = await fetch(new URL("/log", fakeUrl));
  const entries = logEntries.parse(await response.json());
  return new Map(entries.map(({ tag, chunkMs }) => [tag, chunkMs]));
}

interface TimedAnswer {
  readonly ok: boolean;
  readonly status: number;
  /** First and last piece with a token, since the request was sent. */
  readonly firstMs: number;
  readonly lastMs: number;
}

const decoder = new TextDecoder();

async function ask(way: Way, model: string, tag: string): Promise<TimedAnswer> {
  const json = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: tag }] });
  try {
    const response = raw.post(`${way.baseUrl}/chat/completions`, way.apiKey ?? undefined, json);
    const { status } = await response.head();
    const sentMs = response.sentMs ?? 0;
    let [firstMs, lastMs, ended] = [NaN, NaN, false];
    for (let piece = await response.next(); piece !== null; piece = await response.next()) {
      const text = decoder.decode(piece.bytes);
      if (/"content":"[^"]/.test(text)) {
        lastMs = piece.atMs - sentMs;
        if (Number.isNaN(firstMs)) firstMs = lastMs;
      }
      ended ||= text.includes("[DONE]");
    }
    return { ok: status === 200 && ended && !Number.isNaN(firstMs), status, firstMs, lastMs };
  } catch {
    return { ok: false, status: 0, firstMs: NaN, lastMs: NaN };
  }
}

async function rate(way: Way): Promise<{ answers_per_s: number; failed: number }> {
  const startMs = realClock();
  const untilMs = startMs + RATE_S * 1000;
  let [answered, failed] = [0, 0];
  await Promise.all(Array.from({ length: RATE_CLIENTS }, async () => {
    while (realClock() < untilMs && !interruptSignal().aborted) {
      if ((await ask(way, "flood", "flood")).ok) answered++;
      else failed++;
    }
  }));
  return { answers_per_s: answered / ((realClock() - startMs) / 1000), failed };
}

const ms = ({ p50, p99 }: { p50: number; p99: number }) => `${p50.toFixed(2)} / ${p99.toFixed(2)}`;

/** The result for people. */
export function tables(result: ServeBench | ServeSoak | HostileBench | InputBench): string {
  switch (result.kind) {
    case "soak":
      return benchTable(
        ["requests", "failed", "memory, MB"],
        result.slices.map(({ requests, failed, memory_mb }) => [requests, failed, whole(memory_mb)]),
      );
    case "inputs":
      return inputTable(result);
    case "hostile": {
      const { misbehaving, requests, alone_ms, among_ms, failed, memory_mb } = result;
      return benchTable(["honest client", "requests", "failed", "p50 / p99, ms", "memory, MB"], [
        ["alone", requests, "", ms(alone_ms), ""],
        [`among ${misbehaving} misbehaving ones`, requests, failed, ms(among_ms), whole(memory_mb)],
      ]);
    }
    case "overhead":
      return overheadTables(result);
  }
}

const whole = (value: number | null | undefined) => value?.toFixed(0) ?? "–";

function inputTable({ rows }: InputBench): string {
  const list = (values: readonly (number | null)[]) => values.map(whole).join(", ");
  const megabytes = rows[0]?.sizes.map(({ mb }) => mb).join(", ") ?? "";
  return benchTable(
    ["input", "status", `ms at ${megabytes} MB`, "direct, ms", "memory, + MB"],
    rows.map(({ input, sizes, grown_mb }) => [
      input,
      [...new Set(sizes.map(({ status }) => status))].join(", "),
      list(sizes.map(({ ms }) => ms)),
      list(sizes.map(({ direct_ms }) => direct_ms)),
      whole(grown_mb),
    ]),
  );
}

function overheadTables({ rows, rates, proxies, steal_percent }: ServeBench): string {
  const rateOf = (way: string) => rates.find((one) => one.way === way);
  return [
    "Streams of 64 tokens, p50 / p99",
    benchTable(
      ["way", "at a time", "requests", "failed", "first token, ms", "last token, ms"],
      rows.map(({ way, concurrency, requests, failed, added_ttft_ms, added_last_ms }) => [
        way === "direct" ? "direct (beyond the delays made)" : `${way} (added)`,
        concurrency,
        requests,
        failed,
        ms(added_ttft_ms),
        ms(added_last_ms),
      ]),
    ),
    `Streams of 16 tokens without delay, ${RATE_CLIENTS} clients; direct: ${
      rateOf("direct")?.answers_per_s.toFixed(0)
    } answers/s`,
    benchTable(
      ["gateway", "answers/s", "failed", "memory, MB", "ready after, s"],
      proxies.map(({ way, ready_s, memory_mb }) => [
        way,
        whole(rateOf(way)?.answers_per_s),
        rateOf(way)?.failed ?? 0,
        whole(memory_mb),
        ready_s.toFixed(2),
      ]),
    ),
    ...(steal_percent === null ? [] : [stealText(steal_percent)]),
  ].join("\n");
}
