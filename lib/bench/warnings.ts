/** What a reader must know before trusting a figure: typed values, each with a remedy that fits the run. */
import { P95_FROM } from "../stats/statistic.ts";
import { LEAST_STRETCHES, roundsUnderLoad, stretchCount, underLoad } from "./plan.ts";
import type { Warning } from "./summary_schema.ts";
import {
  answersCut,
  cacheHit,
  collected,
  deviceFallback,
  engineWays,
  estimatedTokens,
  type Facts,
  type Finding,
  idsOf,
  lengthsDiffer,
  measured,
  notStreamed,
  oneDevice,
  plainTemplate,
  prefix,
  requestChanged,
  serverDisagrees,
  sharedCache,
} from "./candidate_warnings.ts";

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
    loadMissed,
    shortStretches,
    clientBottleneck,
    estimatedTokens,
    notStreamed,
    answersCut,
    lengthsDiffer,
    smallN,
    fewStretches,
    driftNotControlled,
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
  if (run.unknownNoise === 0) return [];
  const isSpread = info.plan.order === "interleaved" && info.candidates.length > 1;
  return [{
    code: "noise-unknown",
    message:
      `in ${run.unknownNoise} of ${run.blocks.size} blocks the service did not report its processor use: Podium ` +
      "looked for other programs only in the pauses between blocks",
    remedy: "keep the machine otherwise idle" +
      (isSpread ? "; the interleaved order spreads the rest over all candidates" : ""),
  }];
}

function loadMissed(facts: Facts): Finding[] {
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
  const stretches =
    new Set(collected({ run }).flatMap(({ good }) => good.map(({ stretch }) => stretch))).size;
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

function driftNotControlled({ info }: Facts): Finding[] {
  if (info.plan.order === "interleaved" || info.candidates.length < 2) return [];
  return [{
    code: "drift-not-controlled",
    message: "the models don't fit in memory together and ran one after another: drift was not controlled",
    remedy: "free memory or use smaller variants, so that they can be interleaved",
  }];
}
