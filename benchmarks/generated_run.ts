/**
 * A run folder from known distributions: for tests of whatever reads runs, and for the report's benchmark.
 * Seeded, so the same options write the same bytes.
 */
import { join } from "node:path";
import type {
  AnswerRecord,
  MachineInfo,
  RequestRecord,
  RunInfo,
  SampleRecord,
} from "../lib/bench/records.ts";
import { passRate } from "../lib/quality/pass_rate.ts";
import { countStates, type QualityReport } from "../lib/quality/quality_schema.ts";
import { meanOf } from "../lib/stats/mean.ts";
import { seededRandom } from "../lib/stats/random.ts";
import { simulatedInfo, simulatedPlan } from "./simulated.ts";

/** One candidate of a made-up run. */
export interface GeneratedCandidate {
  readonly id: string;
  readonly ttftMs: number;
  readonly itlMs: number;
  readonly tokens: number;
  /** Share of requests that fail; 1 fails them all. Default 0. */
  readonly failing?: number;
  /** Share of requests with one stall of 200 ms. Default 0. */
  readonly stalling?: number;
  readonly answer?: string;
  /** Answers by prompt, before `answer`. */
  readonly answers?: ReadonlyMap<string, string>;
  readonly tokenSource?: RequestRecord["token_source"];
  readonly cut?: boolean;
}

/** Shape of a made-up run. */
export interface GeneratedRun {
  readonly runId?: string;
  readonly seed?: number;
  readonly candidates: readonly GeneratedCandidate[];
  readonly prompts?: readonly { readonly id: string; readonly text: string }[];
  readonly rounds?: number;
  /** Relative spread of every time. Default 0.1. */
  readonly spread?: number;
  /** Every n-th block is disturbed; 0 disturbs none. Default 0. */
  readonly disturbEvery?: number;
  readonly plan?: Partial<RunInfo["plan"]>;
  readonly machine?: Partial<MachineInfo>;
}

/** The prompts of a run that names none. */
export const defaultPrompts = [
  { id: "meeting-notes", text: "Summarise the meeting in two sentences:\nAna moved the launch to Friday." },
  { id: "limerick", text: "Write a limerick about a small model." },
  { id: "arithmetic", text: "What is 17 × 23?" },
  { id: "email", text: "Write a polite e-mail that declines an invitation." },
  { id: "code", text: "Write a function that reverses a list." },
  { id: "translation", text: "Translate to French: the launch moves to Friday." },
] as const;

/** Writes run.json, samples.jsonl and answers.jsonl; returns the run's information. */
export async function writeGeneratedRun(folder: string, options: GeneratedRun): Promise<RunInfo> {
  await Deno.mkdir(folder, { recursive: true });
  const info = generatedInfo(options);
  await Deno.writeTextFile(join(folder, "run.json"), JSON.stringify(info, null, 2));
  using samples = await Deno.open(join(folder, "samples.jsonl"), {
    write: true,
    create: true,
    truncate: true,
  });
  using answers = await Deno.open(join(folder, "answers.jsonl"), {
    write: true,
    create: true,
    truncate: true,
  });
  let [sampleText, answerText] = ["", ""];
  const flush = async () => {
    const encoder = new TextEncoder();
    await writeAll(samples, encoder.encode(sampleText));
    await writeAll(answers, encoder.encode(answerText));
    [sampleText, answerText] = ["", ""];
  };
  for (const { sample, answer } of generateRecords(options)) {
    sampleText += JSON.stringify(sample) + "\n";
    if (answer !== null) answerText += JSON.stringify(answer) + "\n";
    if (sampleText.length > 1 << 22) await flush();
  }
  await flush();
  return info;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += await file.write(bytes.subarray(written));
}

/** run.json of a made-up run. */
function generatedInfo(options: GeneratedRun): RunInfo {
  const asRecorded = (options.prompts ?? defaultPrompts).map(({ id, text }) => ({
    id,
    sha256: id.padEnd(8, "0").repeat(8).slice(0, 64),
    messages: [{ role: "user" as const, content: text }],
  }));
  return {
    schema_version: 1,
    run_id: options.runId ?? "2026-11-21T05-00-00-demo",
    created_at: "2026-11-21T05:00:00.000Z",
    status: "completed",
    machine: {
      cpu: "Example CPU 3.2 GHz",
      cores: 2,
      ram_gb: 16,
      gpu: [],
      os: "Linux 6.1",
      arch: "x86_64",
      ...options.machine,
    },
    versions: { podium: "0.1.0", deno: "2.9.6" },
    plan: simulatedPlan({ name: "made-up", sha256: "5e".repeat(32), prompts: asRecorded }, {
      rounds: options.rounds ?? 4,
      warmup: 1,
      max_tokens: 128,
      seed: options.seed ?? 1,
      ...options.plan,
    }),
    candidates: options.candidates.map(({ id }) =>
      simulatedInfo(id, {
        alias: id.split(/[:@#]/)[0] ?? id,
        endpoint: "embedded",
        device: "cpu",
        size_mb: 98,
      })
    ),
  };
}

/** The records of a made-up run, in the order in which a real one writes them. */
export function* generateRecords(
  options: GeneratedRun,
): Generator<{ sample: SampleRecord; answer: AnswerRecord | null }> {
  const { candidates, prompts = defaultPrompts, rounds = 4, disturbEvery = 0 } = options;
  const random = seededRandom(options.seed ?? 1);
  const vary = () => 1 + (options.spread ?? 0.1) * (random() + random() + random() - 1.5);
  const alone = (sample: SampleRecord) => ({ sample, answer: null });
  let [nowMs, block] = [0, 0];
  for (const { id: candidate } of candidates) {
    nowMs += 400;
    const load = { status: "ok", reason: null, load_s: 0.4 * vary(), file_cache: "warm" } as const;
    yield alone({ kind: "load", candidate, at_ms: nowMs, ...load, device: "cpu" });
  }
  for (let round = 0; round <= rounds; round++) {
    const phase = round === 0 ? "warmup" : "timed";
    for (const [at, prompt] of prompts.slice(0, phase === "warmup" ? 1 : undefined).entries()) {
      if (phase === "timed") block++;
      const disturbed = phase === "timed" && disturbEvery > 0 && block % disturbEvery === 0;
      const slow = (disturbed ? 2.5 : 1) * (1 + at / 4);
      const startMs = nowMs;
      for (const candidate of candidates) {
        const id = `${phase}/${round}/${prompt.id}/${candidate.id}`;
        const asked = { id, candidate: candidate.id, prompt_id: prompt.id, phase, round } as const;
        const sample = { ...request(candidate, nowMs, { slow, vary, random }), ...asked, block };
        nowMs = sample.end_ms + 5;
        const content = sample.status === "ok"
          ? candidate.answers?.get(prompt.id) ?? candidate.answer ?? `An answer to ${prompt.id}.`
          : "";
        yield { sample, answer: { ...asked, content, reasoning: "" } };
      }
      if (phase === "timed") yield alone(machine(block, startMs, nowMs, disturbed));
    }
  }
  for (const [i, { id: candidate }] of candidates.entries()) {
    const resident_mb = 360 + 120 * i;
    yield alone({ kind: "memory", candidate, at_ms: nowMs, resident_mb, source: "engine" });
  }
}

function request(
  candidate: GeneratedCandidate,
  nowMs: number,
  { slow, vary, random }: {
    readonly slow: number;
    readonly vary: () => number;
    readonly random: () => number;
  },
): Omit<RequestRecord, "id" | "candidate" | "prompt_id" | "phase" | "round" | "block"> {
  const failed = random() < (candidate.failing ?? 0);
  const stallAt = random() < (candidate.stalling ?? 0) ? Math.floor(random() * candidate.tokens) : -1;
  const chunkMs: number[] = [];
  let atMs = candidate.ttftMs * slow * vary();
  for (let i = 0; i < (failed ? 0 : candidate.tokens); i++) {
    if (i > 0) atMs += candidate.itlMs * slow * vary() + (i === stallAt ? 200 : 0);
    chunkMs.push(Math.round(atMs * 1000) / 1000);
  }
  return {
    kind: "request",
    prefix: "cold",
    status: failed ? "failed" : "ok",
    reason: failed ? "HTTP 500: out of memory" : null,
    http_status: failed ? 500 : 200,
    route: "chat",
    streamed: true,
    due_ms: nowMs,
    sent_ms: nowMs,
    headers_ms: nowMs + 1,
    end_ms: nowMs + (chunkMs.at(-1) ?? 3) + 0.1,
    chunk_ms: chunkMs,
    chunk_chars: chunkMs.map(() => 4),
    first_content_chunk: failed ? null : 0,
    content_chars: chunkMs.length * 4,
    reasoning_chars: 0,
    prompt_tokens: failed ? null : 24,
    output_tokens: chunkMs.length,
    cached_tokens: failed ? null : 0,
    reasoning_tokens: null,
    token_source: candidate.tokenSource ?? "usage",
    finish_reason: failed ? null : candidate.cut === true ? "length" : "stop",
    server: null,
  };
}

function machine(block: number, startMs: number, endMs: number, disturbed: boolean): SampleRecord {
  const wall = endMs - startMs;
  return {
    kind: "machine",
    block,
    at_ms: endMs,
    wall_ms: wall,
    own_cpu_s: wall / 1e5,
    engines_cpu_s: wall / 1e3,
    others_cpu_s: disturbed ? wall / 2e3 : wall / 1e5,
    steal_s: 0,
    frequency_mhz: null,
    temperature_c: null,
    disturbed: disturbed ? "other programs used 50 % of the processor" : null,
  };
}

/** quality.json of a run: one score per candidate and prompt, from 0 to 1, of which 0.8 is right. */
export function generatedQuality(
  { run_id, plan }: RunInfo,
  candidates: readonly string[],
  scoreOf: (candidate: string) => number,
): QualityReport {
  const { prompts, name, sha256 } = plan.prompt_set;
  const answers = candidates.flatMap((candidate) =>
    prompts.map(({ id }) => {
      const score = scoreOf(candidate);
      const passed = score >= 0.8;
      const state = passed ? "right" as const : "wrong" as const;
      const result = { prompt_id: id, round: 1, state, score, passed, failure: null, checks: [] };
      return { id: `timed/1/${id}/${candidate}`, candidate, ...result };
    })
  );
  return {
    schema_version: 2,
    run_id,
    prompt_set: { name, sha256 },
    pass_mark: 0.8,
    length_source: "usage",
    candidates: candidates.map((id) => {
      const own = answers.filter(({ candidate }) => candidate === id);
      return {
        id,
        answers: own.length,
        failures: 0,
        ...countStates(own),
        pass_rate: passRate(own.map(({ passed }) => passed ? 1 : 0)),
        score: { n: own.length, mean: meanOf(own.map(({ score }) => score)), ci95: null },
        checks: [],
        by_length: [],
        ratings: [],
      };
    }),
    answers,
    agreement: [],
    warnings: [],
  };
}
