/**
 * "More exact than other tools" must be measured on the same machine, against the same fake endpoint, in the
 * same minutes. This program does that for aiperf and guidellm, whichever is given.
 *
 *     python3 -m venv A && A/bin/pip install aiperf==0.13.0
 *     python3 -m venv G && G/bin/pip install guidellm==0.8.1
 *     deno run --allow-net=127.0.0.1 --allow-run --allow-read --allow-write --allow-env --allow-sys \
 *       benchmarks/peers.ts --aiperf A/bin/aiperf --guidellm G/bin/guidellm --tokenizer FOLDER
 *
 * FOLDER holds any Hugging Face tokenizer (both tools need one before they measure anything). Each request is
 * compared with the delays that the fake endpoint logged for it.
 */
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { z } from "zod";
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { startFakeProcess } from "../lib/selfcheck/fake_process.ts";
import {
  answerMs,
  type Instrument,
  measureErrors,
  measureRate,
  SELFCHECK_MODELS,
} from "../lib/selfcheck/measure.ts";
import { errorFiguresOf, TimingErrors } from "../lib/selfcheck/timing_errors.ts";

const { values: flags } = parseArgs({
  options: {
    aiperf: { type: "string" },
    guidellm: { type: "string" },
    tokenizer: { type: "string" },
    /** Seconds per tool and concurrency. */
    seconds: { type: "string", default: "20" },
  },
});

/** Headers are logged too: they link an entry to a tool's own record. */
const MODELS = { classic: { ...SELFCHECK_MODELS.classic, log: "all" }, flood: SELFCHECK_MODELS.flood };
/** All tools start their clients evenly over the time of one answer, as Podium does. */
const ANSWER_S = answerMs("classic") / 1000;

const clock = () => performance.now();
const signal = new AbortController().signal;
const raw = timedClient({ clock, fetch });
const work = await Deno.makeTempDir();
await using fake = await startFakeProcess({ models: MODELS });
const target = new URL("/", fake.baseUrl).href.replace(/\/$/, "");

const instrument: Instrument = {
  baseUrl: fake.baseUrl,
  clock,
  fetch,
  post: raw.post,
  transport: "raw",
  cpuMs: () => (process.cpuUsage().user + process.cpuUsage().system) / 1000,
  residentMb: () => Deno.memoryUsage().rss / 1e6,
};

const log = z.array(z.object({
  tag: z.string(),
  headers: z.record(z.string(), z.string()),
  chunkMs: z.array(z.number()),
}));

async function takeLog(): Promise<z.infer<typeof log>> {
  return log.parse(await (await fetch(`${target}/log`)).json());
}

/** Runs a tool; its output is shown only where it fails. */
async function run(program: string, args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  throw new Error(`${program} failed:\n${said.slice(-2000)}`);
}

/** Arrivals since the request was sent, from a tool's record of the first one and the gaps. */
function rebuilt(ttftMs: number, gapsMs: readonly number[]): number[] {
  const seenMs = [ttftMs];
  for (const gap of gapsMs) seenMs.push((seenMs.at(-1) ?? 0) + gap);
  return seenMs;
}

const ms = z.object({ value: z.number() });

async function aiperf(
  program: string,
  model: string,
  concurrency: number,
  requests: number,
): Promise<string> {
  const folder = join(work, `aiperf-${model}-${concurrency}`);
  // deno-fmt-ignore
  await run(program, [
    "profile", "-m", model, "-u", target, "--streaming", "--tokenizer", flags.tokenizer ?? "builtin",
    "--concurrency", String(concurrency), "--concurrency-ramp-duration", String(ANSWER_S),
    "--request-count", String(requests), "--use-server-token-count",
    "--isl", "32", "--ui", "none", "--artifact-dir", folder,
  ]);
  return folder;
}

async function aiperfErrors(program: string, concurrency: number, requests: number): Promise<TimingErrors> {
  await takeLog();
  const folder = await aiperf(program, "classic", concurrency, requests);
  const made = new Map((await takeLog()).map((entry) => [entry.headers["x-request-id"], entry.chunkMs]));
  const record = z.object({
    metadata: z.object({ x_request_id: z.string() }),
    metrics: z.object({
      time_to_first_token: ms,
      inter_chunk_latency: z.object({ value: z.array(z.number()) }),
    }),
  });
  const tally = new TimingErrors();
  for (const line of (await Deno.readTextFile(join(folder, "profile_export.jsonl"))).trim().split("\n")) {
    const { metadata, metrics } = record.parse(JSON.parse(line));
    // It counts the empty first delta (the role) as a chunk; the fake endpoint sends that with the first token.
    const gaps = metrics.inter_chunk_latency.value.slice(-(MODELS.classic.tokens - 1));
    tally.add(rebuilt(metrics.time_to_first_token.value, gaps), made.get(metadata.x_request_id));
  }
  return tally;
}

const guidellmReport = z.object({
  benchmarks: z.array(z.object({
    duration: z.number(),
    requests: z.object({
      successful: z.array(z.object({
        request_args: z.string(),
        info: z.object({
          timings: z.object({
            request_start: z.number(),
            first_token_iteration: z.number(),
            last_token_iteration: z.number(),
          }),
        }),
      })),
    }),
  })).min(1),
});

async function guidellm(program: string, model: string, concurrency: number, requests: number) {
  const [prompts, report] = [
    join(work, "prompts.jsonl"),
    join(work, `guidellm-${model}-${concurrency}.json`),
  ];
  const lines = Array.from({ length: requests }, (_, i) => JSON.stringify({ prompt: `tag${i}.` }));
  await Deno.writeTextFile(prompts, lines.join("\n"));
  await run(program, [
    "run",
    `--backend=kind=openai_http,target=${target},model=${model}`,
    `--profile=kind=concurrent,streams=${concurrency},rampup_duration=${ANSWER_S}`,
    `--constraint=kind=max_requests,count=${requests}`,
    `--data=kind=json_file,path=${prompts}`,
    ...(flags.tokenizer === undefined ? [] : [`--tokenizer=kind=hf_auto,model=${flags.tokenizer}`]),
    `--output=kind=json,path=${report}`,
    "--disable-progress",
  ]);
  const [found] = guidellmReport.parse(JSON.parse(await Deno.readTextFile(report))).benchmarks;
  if (found === undefined) throw new Error("guidellm reported no benchmark");
  return found;
}

async function guidellmErrors(program: string, concurrency: number, requests: number): Promise<TimingErrors> {
  await takeLog();
  const { requests: { successful } } = await guidellm(program, "classic", concurrency, requests);
  const made = new Map((await takeLog()).map((entry) => [entry.tag, entry.chunkMs]));
  const tally = new TimingErrors();
  for (const { request_args, info: { timings } } of successful) {
    const chunkMs = made.get(/tag\d+\./.exec(request_args)?.[0] ?? "");
    const ttftMs = 1000 * (timings.first_token_iteration - timings.request_start);
    const [first = NaN] = chunkMs ?? [];
    const last = chunkMs?.at(-1) ?? NaN;
    const spanMs = 1000 * (timings.last_token_iteration - timings.first_token_iteration);
    // It records no gaps: only its TTFT and its mean can be compared.
    tally.requests++;
    tally.ttft.add(ttftMs - first);
    tally.tpotPercent.add(100 * (spanMs / (last - first) - 1));
  }
  return tally;
}

async function podium(concurrency: number, seconds: number): Promise<TimingErrors> {
  await takeLog();
  await measureErrors(instrument, { model: "classic", concurrency, seconds: 3, signal }, new TimingErrors());
  const tally = new TimingErrors();
  await measureErrors(instrument, { model: "classic", concurrency, seconds, signal }, tally);
  return tally;
}

const figures = (errors: TimingErrors["ttft"]) => {
  const { p50, p99, max } = errorFiguresOf(errors);
  return p50 === null
    ? "not recorded"
    : `${p50.toFixed(2)} / ${p99 === null ? `max ${max?.toFixed(2)}` : p99.toFixed(2)}`;
};

function row(tool: string, concurrency: number, tally: TimingErrors): void {
  const cells = [
    tool,
    concurrency,
    tally.requests,
    tally.failed,
    figures(tally.ttft),
    figures(tally.gap),
    figures(tally.tpotPercent),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

console.log(
  "| tool | at a time | requests | failed | TTFT error, ms, p50 / p99 | gap error, ms | TPOT error, % |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
const seconds = Number(flags.seconds);
for (const concurrency of [1, 8, 64]) {
  const requests = Math.ceil((concurrency * seconds) / ANSWER_S);
  row("podium", concurrency, await podium(concurrency, seconds));
  if (flags.aiperf) row("aiperf", concurrency, await aiperfErrors(flags.aiperf, concurrency, requests));
  if (flags.guidellm) {
    row("guidellm", concurrency, await guidellmErrors(flags.guidellm, concurrency, requests));
  }
}

console.log("\nHighest rate of 16-token streams, requests/s");
const best = await measureRate(instrument, { concurrency: 32, seconds: 5, signal });
console.log(`podium ${best.requests_per_s.toFixed(0)}, in ${best.memory_mb.toFixed(0)} MB`);
if (flags.aiperf) {
  const folder = await aiperf(flags.aiperf, "flood", 32, 5000);
  const { request_throughput: rate } = z.object({ request_throughput: z.object({ avg: z.number() }) })
    .parse(JSON.parse(await Deno.readTextFile(join(folder, "profile_export_aiperf.json"))));
  console.log(`aiperf ${rate.avg.toFixed(0)}`);
}
if (flags.guidellm) {
  const { duration, requests } = await guidellm(flags.guidellm, "flood", 32, 2000);
  console.log(`guidellm ${(requests.successful.length / duration).toFixed(0)}`);
}
raw.close();
await Deno.remove(work, { recursive: true });
