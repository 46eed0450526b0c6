/** Runs of one candidate whose truth is known, as comparisons and gates read them. */
import type { ComparableRun } from "../../lib/bench/compare_runs.ts";
import type { GateReport } from "../../lib/bench/gate.ts";
import { type Random, seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { fakeCandidate, runInfoOf, VirtualTime } from "./fakes.ts";

const time = new VirtualTime();

/** A run over `latencies` in seconds, one case each; `failed` cases before them have none. */
export function comparableRun(
  name: string,
  latencies: readonly number[],
  busy: string | null = null,
  failed = 0,
): ComparableRun {
  const live = fakeCandidate("a", time);
  const values = latencies.map((seconds, at) => ({
    prompt: `case-${failed + at}`,
    block: at,
    metrics: {
      latency_s: seconds,
      ttft_s: seconds / 4,
      decode_tokens_per_s: 20 / seconds,
      output_chars_per_s: null,
    },
    outputTokens: 20,
  }));
  const candidate = {
    info: live.info,
    ok: values.length,
    failed,
    outcomes: Array.from({ length: failed + values.length }, (_, at) => ({
      prompt: `case-${at}`,
      failed: at < failed,
    })),
    reason: failed > 0 ? "HTTP 500" : null,
    estimated: false,
    values,
    answers: [],
  };
  return { name, info: { ...runInfoOf([live]), run_id: name }, candidates: [candidate], busy };
}

/** Cases of different length, noise per request, and a level that moves by `runSd` from run to run. */
export function simulatedRun(
  name: string,
  random: Random,
  { cases = 60, slower = 1, failing = 0, noise = 0.1, runSd = 0, busy = null as string | null } = {},
): ComparableRun {
  const level = runSd === 0 ? slower : slower * Math.exp(runSd * standardNormal(random));
  const failed = Math.ceil(failing * cases);
  const latencies = Array.from(
    { length: cases - failed },
    (_, at) => level * (1 + at % 7) * Math.exp(noise * standardNormal(random)),
  );
  return comparableRun(name, latencies, busy, failed);
}

export const GATE_TERMS = {
  maxSlowdown: 0.1,
  maxDrop: 0.1,
  maxFailures: 0.05,
  random: () => seededRandom(1),
};

export const verdictOn = (report: GateReport, part: string) =>
  report.parts.find((one) => one.part === part)?.verdict;
