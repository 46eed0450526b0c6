/** What a reader must know before trusting a figure: typed values, each with a remedy that fits the run. */
import { P95_FROM } from "../stats/summary.ts";
import type { Collected, CollectedRun } from "./collect.ts";
import { LEAST_STRETCHES, roundsUnderLoad, stretchCount, underLoad } from "./plan.ts";
import type { NoiseEffect } from "./noise_effect.ts";
import type { RunInfo } from "./records.ts";
import type { CandidateSummary, Warning } from "./summary_schema.ts";

/** What the warnings are derived from. */
export interface Facts {
  readonly info: RunInfo;
  readonly run: CollectedRun;
  readonly rows: readonly CandidateSummary[];
  readonly noise: NoiseEffect;
}

type Finding = Omit<Warning, "candidates"> & { readonly candidates?: string[] };

/**
 * All warnings of a run, the gravest first.
 *
 * Thresholds: lengths differ from a factor of 1.25 between mean lengths; a load is missed below 98 % of the
 * asked rate; a prefix counts as warmed when the server says that more than half of the prompt came from its
 * cache; the server's decode time disagrees when it differs by more than a tenth in the median.
 */
export function warningsOf(facts: Facts): Warning[] {
  const checks = [
    interrupted,
    failures,
    disturbedBlocks,
    noiseUnknown,
    notStable,
    driftSeen,
    load,
    shortStretches,
    clientBottleneck,
    estimatedTokens,
    notStreamed,
    answersCut,
    lengthsDiffer,
    smallN,
    fewStretches,
    drift,
    prefix,
    cacheHit,
    sharedCache,
    serverDisagrees,
    deviceFallback,
    oneDevice,
    engineWays,
    plainTemplate,
    requestChanged,
  ];
  return checks.flatMap((check) => check(facts)).map((finding) => ({ candidates: [], ...finding }));
}

const measured = ({ rows }: Facts) => rows.filter(({ requests }) => requests.ok > 0);
const idsOf = (rows: readonly { readonly id: string }[]) => rows.map(({ id }) => id);
const collected = ({ run }: Pick<Facts, "run">) => [...run.candidates.values()];
const infoIds = (candidates: readonly Collected[]) => candidates.map(({ info }) => info.id);

function interrupted({ info, run }: Facts): Finding[] {
  const findings: Finding[] = [];
  if (info.status === "interrupted" || info.status === "running") {
    findings.push({
      code: "interrupted",
      message: "the run ended before its plan was done",
      remedy: `finish it: deno task bench --resume ${info.run_id}`,
    });
  }
  if (run.torn) {
    findings.push({
      code: "torn-line",
      message: "the last line of samples.jsonl is incomplete: the process ended while writing it",
      remedy: "the request is left out; --resume sends it again",
    });
  }
  return findings;
}

function failures({ rows }: Facts): Finding[] {
  return rows.filter(({ status }) => status !== "ok").map(({ id, status, reason }) => ({
    code: status === "skipped" ? "skipped" : "failures",
    candidates: [id],
    message: `${id}: ${reason}`,
    remedy: "see its requests in samples.jsonl; its metrics use only the successful ones",
  }));
}

/** The one place that words what was done with disturbed blocks; reports show this message. */
function disturbedBlocks({ run, noise: { treatment, slowdown, busiest } }: Facts): Finding[] {
  if (treatment === "none") return [];
  const [total, disturbed] = [run.blocks.size, run.disturbed.size];
  const [reason] = run.disturbed.values();
  const by = busiest === null ? reason : `${busiest.program} used up to ${busiest.cores.toFixed(2)} cores`;
  const measured = slowdown === null
    ? ""
    : `; requests took ${slowdown.toFixed(2)} times as long in them as in the others`;
  const done = {
    harmless: "all of them count, since they were not slower",
    "left out": "the figures leave them out for all candidates (summary.json also has the figures with them)",
    "too many": "too many to leave out: the figures hold for this busy machine only, and there is no verdict",
  }[treatment];
  return [{
    code: "noise",
    message: `${disturbed} of ${total} blocks ${disturbed === 1 ? "was" : "were"} disturbed (${by}${
      disturbed > 1 ? ", …" : ""
    })${measured}: ${done}`,
    remedy: treatment === "harmless"
      ? "nothing to do"
      : busiest === null
      ? "close other programs and measure again"
      : `close ${busiest.program} and measure again`,
  }];
}

function noiseUnknown({ run, info }: Facts): Finding[] {
  const total = run.blocks.size;
  const findings: Finding[] = [];
  if (run.unknownNoise > 0) {
    findings.push({
      code: "noise-unknown",
      message:
        `in ${run.unknownNoise} of ${total} blocks the service did not report its processor use: Podium ` +
        "looked for other programs only in the pauses between blocks",
      remedy: info.plan.order === "by model" || info.candidates.length < 2
        ? "keep the machine otherwise idle"
        : "keep the machine otherwise idle; the interleaved order spreads the rest over all candidates",
    });
  }
  return findings;
}

function load(facts: Facts): Finding[] {
  return measured(facts).flatMap(({ id, load }) => {
    if (load === null || load.asked_rate === null || load.delivered_rate >= 0.98 * load.asked_rate) return [];
    const { concurrency } = facts.info.plan;
    const full = load.max_in_flight >= concurrency;
    return [{
      code: "load-missed" as const,
      candidates: [id],
      message:
        `${id}: ${load.asked_rate} requests/s were requested, ${load.delivered_rate.toFixed(2)} delivered` +
        (full ? `: its ${concurrency} ${concurrency === 1 ? "client was" : "clients were"} busy` : ""),
      remedy: full ? "use a lower --rate or a higher --concurrency" : "use a lower --rate",
    }];
  });
}

/** A stretch that holds few requests per client never reaches the load that was asked for. */
function shortStretches({ info: { plan, candidates } }: Facts): Finding[] {
  const { concurrency, rate, rounds, prompt_set: { prompts } } = plan;
  if (!underLoad(plan)) return [];
  const shape = { ...plan, prompts: prompts.length };
  const length = Math.floor(rounds * prompts.length / stretchCount(shape, candidates.length));
  const least = rate === null ? 2 * concurrency : Math.ceil(2 * rate);
  if (length >= least) return [];
  return [{
    code: "short-stretches",
    message: `candidates took turns after ${length} ${length === 1 ? "request" : "requests"} each: ` +
      (rate === null ? `too few to keep ${concurrency} clients busy` : `too few for a rate of ${rate}/s`),
    remedy: `give --rounds ${roundsUnderLoad(shape)}`,
  }];
}

function clientBottleneck({ info, run }: Facts): Finding[] {
  const cores = run.wallS > 0 ? run.ownCpuS / run.wallS : 0;
  if (!underLoad(info.plan) || cores < 0.85) return [];
  return [{
    code: "client-bottleneck",
    message: `the measuring process itself used ${cores.toFixed(2)} of a core: it may be the bottleneck`,
    remedy: "use a lower --rate or --concurrency, or measure from another machine",
  }];
}

function estimatedTokens(facts: Facts): Finding[] {
  const rows = measured(facts).filter(({ tokens }) =>
    tokens.source === "chunks" || tokens.source === "chars/4"
  );
  if (rows.length === 0) return [];
  const sources = [...new Set(rows.map(({ tokens }) => tokens.source))].join(", ");
  return [{
    code: "estimated-tokens",
    candidates: idsOf(rows),
    message: `${
      idsOf(rows).join(", ")
    }: token counts are estimates (${sources}), and so are TPOT and tokens/s`,
    remedy: "compare characters/s, which needs no tokens, or use a service that reports usage",
  }];
}

function notStreamed(facts: Facts): Finding[] {
  const whole = collected(facts).filter((candidate) => candidate.notStreamed > 0);
  if (whole.length === 0) return [];
  return [{
    code: "not-streamed",
    candidates: infoIds(whole),
    message: `${infoIds(whole).join(", ")}: answers were not streamed: there is no TTFT, TPOT or ITL`,
    remedy: "compare E2E latency, or measure through a service that streams",
  }];
}

function answersCut(facts: Facts): Finding[] {
  const cut = measured(facts).filter(({ finish }) => finish.length > 0);
  if (cut.length === 0) return [];
  const counts = cut.map(({ id, finish }) => `${id} ${finish.length} of ${finish.length + finish.stop}`);
  return [{
    code: "answers-cut",
    candidates: idsOf(cut),
    message: `answers were cut at ${facts.info.plan.max_tokens} tokens: ${counts.join(", ")}`,
    remedy:
      "the latency of a cut answer shows how fast a model writes, not when it is done: raise --max-tokens",
  }];
}

function lengthsDiffer(facts: Facts): Finding[] {
  const rows = measured(facts).flatMap(({ id, tokens }) =>
    tokens.output_mean === null ? [] : [{ id, mean: tokens.output_mean }]
  );
  const means = rows.map(({ mean }) => mean);
  const [short, long] = [Math.min(...means), Math.max(...means)];
  if (rows.length < 2 || long <= 1.25 * short) return [];
  return [{
    code: "lengths-differ",
    candidates: idsOf(rows),
    message: `answers differ in length: ${
      rows.map(({ id, mean }) => `${id} ${mean.toFixed(0)} tokens`).join(", ")
    }`,
    remedy: "compare TPOT or characters/s rather than latency" +
      (facts.info.plan.fixed_output === true ? "" : ", or request equal lengths with --fixed-output"),
  }];
}

function smallN(facts: Facts): Finding[] {
  const { plan } = facts.info;
  const small = measured(facts).filter(({ latency_s }) => latency_s.units < P95_FROM);
  if (small.length === 0) return [];
  const [what, remedy] = underLoad(plan)
    ? ["stretches", `give --rounds for at least ${P95_FROM} stretches`]
    : plan.prompt_set.prompts.length === 1
    ? ["successful requests", `give --rounds ${P95_FROM}`]
    : plan.prompt_set.prompts.length < P95_FROM
    ? ["cases", `give --prompts with at least ${P95_FROM} cases: repeats of a case don't add to them`]
    : ["cases with a successful request", "see why requests failed or were left out"];
  return [{
    code: "small-n",
    candidates: idsOf(small),
    message: `fewer than ${P95_FROM} ${what}: no p95 for ${
      small.map(({ id, latency_s }) => `${id} (${latency_s.units})`).join(", ")
    }`,
    remedy,
  }];
}

/** Slow drift of the machine looks like a difference where candidates take few turns. */
function fewStretches({ info, run }: Facts): Finding[] {
  const stretches = new Set(collected({ run }).flatMap(({ good }) => [...good.stretch.view()])).size;
  if (!underLoad(info.plan) || info.candidates.length < 2 || stretches >= LEAST_STRETCHES) return [];
  return [{
    code: "few-stretches",
    message: `under load the candidates took ${stretches} ${stretches === 1 ? "turn" : "turns"} each; ` +
      `${LEAST_STRETCHES} are needed to tell drift of the machine from a difference, so no verdict is given`,
    remedy: "raise --rounds",
  }];
}

/** Warm-ups are for a candidate to settle down; more of them are sent until it has, at most --warmup. */
function notStable({ rows, run, info }: Facts): Finding[] {
  return rows.filter(({ warmup }) => warmup.stable === false).map(({ id, warmup }) => {
    const [before = NaN, last = NaN] = run.candidates.get(id)?.warmups.slice(-2) ?? [];
    return {
      code: "not-stable",
      candidates: [id],
      message: `${id} was not stable after ${warmup.n} warm-up requests: the last took ${
        (last / before).toFixed(2)
      } times as long per token as the one before`,
      remedy: `give --warmup ${
        2 * Math.max(info.plan.warmup, warmup.n)
      }, or see whether other programs were busy`,
    };
  });
}

/** A trend of more than this share over a run, beyond its interval, is reported. */
const DRIFT_SHARE = 0.05;

function driftSeen({ rows, info }: Facts): Finding[] {
  return rows.flatMap(({ id, drift }) => {
    if (drift === null) return [];
    const [low, high] = drift.ci95;
    if (low <= 1 + DRIFT_SHARE && high >= 1 / (1 + DRIFT_SHARE)) return [];
    return [{
      code: "drift-seen" as const,
      candidates: [id],
      message: `${id}: its last requests took ${
        drift.ratio.toFixed(2)
      } times as long per token as its first (95 %: ${low.toFixed(2)} to ${high.toFixed(2)}, n = ${drift.n})`,
      remedy: info.plan.order === "interleaved"
        ? "compare candidates with each other, since all met the same drift; let the machine cool down for single figures"
        : "let the machine cool down, and measure again",
    }];
  });
}

function drift({ info }: Facts): Finding[] {
  if (info.plan.order === "interleaved" || info.candidates.length < 2) return [];
  return [{
    code: "drift-not-controlled",
    message: "the models don't fit in memory together and ran one after another: drift was not controlled",
    remedy: "free memory or use smaller variants, so that they can be interleaved",
  }];
}

function prefix({ info }: Facts): Finding[] {
  if (info.plan.prefix === "cold") return [];
  if (info.plan.prefix === "as is") {
    return [{
      code: "prefix-as-is",
      message:
        "prompts were sent unchanged, so that answers can be scored: TTFT depends on what the service had cached",
      remedy: "read the answers here, and measure speed with deno task bench",
    }];
  }
  return [{
    code: "warm-prefix",
    message: "each prompt was also sent right before it was timed: TTFT is that of a cached prompt",
    remedy: "leave out --prefix warm to measure prompts that the service has not seen",
  }];
}

function cacheHit(facts: Facts): Finding[] {
  if (facts.info.plan.prefix !== "cold") return [];
  const hit = collected(facts).filter(({ good }) => {
    const shares = ratios(good.cachedTokens.view(), good.promptTokens.view());
    return shares.length > 0 && median(shares) > 0.5;
  });
  if (hit.length === 0) return [];
  return [{
    code: "cache-hit",
    candidates: infoIds(hit),
    message: `${
      infoIds(hit).join(", ")
    }: most prompt tokens came from the server's cache, despite the cold prefix`,
    remedy: "turn off the service's prompt cache, or read its TTFT as that of a cached prompt",
  }];
}

/** What one of them sent lies in the cache for the next, where nothing opens the prompt. */
function sharedCache({ info: { plan, candidates } }: Facts): Finding[] {
  if (plan.prefix !== "as is") return [];
  const shares = candidates.filter((one) =>
    candidates.some((other) =>
      other.id !== one.id && other.model_id === one.model_id && other.endpoint === one.endpoint &&
      JSON.stringify(other.request) !== JSON.stringify(one.request)
    )
  );
  if (shares.length === 0) return [];
  return [{
    code: "shared-cache",
    candidates: idsOf(shares),
    message:
      `${
        idsOf(shares).join(", ")
      } use the same loaded model: a prompt that one of them sent is cached for the ` +
      "other, so their times to first token and latencies can't be compared here",
    remedy: "compare their speed with deno task bench, whose prompts begin cold",
  }];
}

function serverDisagrees(facts: Facts): Finding[] {
  return collected(facts).flatMap(({ info, good }) => {
    const errors = Array.from(good.serverDecode.view()).filter((value) => !Number.isNaN(value));
    if (errors.length === 0) return [];
    const error = median(errors);
    if (Math.abs(error) <= 0.1) return [];
    const percent = `${Math.abs(error * 100).toFixed(0)} % ${error > 0 ? "longer" : "shorter"}`;
    return [{
      code: "server-disagrees" as const,
      candidates: [info.id],
      message: `${info.id}: by the client's clock decoding was ${percent} than by the server's own figures`,
      remedy: "see both in samples.jsonl; only the client's figures include the way to the client",
    }];
  });
}

/** Devices of the embedded engine, and of a service's variants. */
const ACCELERATORS = ["vulkan", "cuda", "metal", "gpu", "npu"];

/** Variants were made for devices, and all of them ran on the one that every machine has. */
function oneDevice(facts: Facts): Finding[] {
  const { info } = facts;
  const rows = measured(facts).filter(({ device }) => device !== null);
  const named = info.candidates.some(({ device }) => device === "cpu" || ACCELERATORS.includes(device ?? ""));
  if (!named || rows.length === 0 || rows.some(({ device }) => !device?.toLowerCase().startsWith("cpu"))) {
    return [];
  }
  const seen = info.machine.gpu.length === 0
    ? "this machine shows no GPU"
    : `${info.machine.gpu.join(", ")} were idle`;
  return [{
    code: "one-device",
    message:
      `every candidate ran on the CPU: ${seen}, so nothing here compares with and without acceleration`,
    remedy: "also measure variants for GPU or NPU, e.g. --models phi-4-mini:cpu,phi-4-mini:gpu",
  }];
}

function deviceFallback({ rows, info }: Facts): Finding[] {
  return rows.flatMap(({ id, device }) => {
    const asked = info.candidates.find((candidate) => candidate.id === id)?.device ?? null;
    if (asked === null || !ACCELERATORS.includes(asked)) return [];
    if (device === null || device.toLowerCase().startsWith(asked)) return [];
    return [{
      code: "device-fallback" as const,
      candidates: [id],
      message: `${id}: ${asked} was requested, but ${device} ran it`,
      remedy: "check the driver, or request the existing device with --gpu",
    }];
  });
}

/** llama.cpp called directly is faster at few threads: such candidates differ in more than their models. */
function engineWays({ rows }: Facts): Finding[] {
  const direct = rows.filter(({ llama_cpp }) => llama_cpp?.way === "direct");
  const indirect = rows.filter(({ llama_cpp }) => llama_cpp?.way === "node-llama-cpp");
  const [first] = indirect;
  if (direct.length === 0 || first === undefined) return [];
  return [{
    code: "engine-ways-differ",
    candidates: idsOf([...direct, ...indirect]),
    message:
      `the engine called llama.cpp directly for ${
        idsOf(direct).join(", ")
      }, and through node-llama-cpp for ` +
      `${idsOf(indirect).join(", ")} (${first.llama_cpp?.note ?? "the reason is not known"})`,
    remedy:
      "their speeds differ by more than the models do: compare candidates that were called the same way",
  }];
}

function plainTemplate({ info }: Facts): Finding[] {
  const plain = info.candidates.filter((candidate) => candidate.chat_template === "plain");
  if (plain.length === 0) return [];
  const finding = (candidates: typeof plain, message: string): Finding => ({
    code: "plain-chat-template",
    candidates: idsOf(candidates),
    message: `${idsOf(candidates).join(", ")}: ${message}`,
    remedy: "expect poor answers; speed is comparable",
  });
  const without = plain.filter(({ llama_cpp }) => llama_cpp?.chat_template_note === undefined);
  return [
    ...(without.length === 0 ? [] : [finding(without, "the model has no chat template and got a plain one")]),
    ...plain.flatMap((one) => {
      const note = one.llama_cpp?.chat_template_note;
      return note === undefined ? [] : [finding([one], note)];
    }),
  ];
}

/** An endpoint that does not take requests as the plan has them answers another question than the others do. */
function requestChanged({ info }: Facts): Finding[] {
  return info.candidates.flatMap(({ id, protocol }) => {
    if (protocol === undefined) return [];
    const { system_message: system, left_out: fields } = protocol;
    const changes = [
      ...(system === null ? [] : [
        `${system === "refused" ? "refuses" : "drops"} system messages, so their text opens the user message`,
      ]),
      ...(fields.length === 0 ? [] : [`refuses ${fields.join(", ")}, which is left out`]),
    ];
    return [{
      code: "request-changed" as const,
      candidates: [id],
      message: `${id}: the endpoint ${changes.join("; it ")}`,
      remedy: fields.includes("temperature")
        ? "its answers are sampled: give a temperature that it accepts with --temperature"
        : "its requests differ from those of the other candidates: compare them with that in mind",
    }];
  });
}

function ratios(above: ArrayLike<number>, below: ArrayLike<number>): number[] {
  return Array.from(above, (value, at) => value / (below[at] ?? NaN)).filter(Number.isFinite);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}
