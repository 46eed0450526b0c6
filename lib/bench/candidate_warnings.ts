/** Warnings about single candidates: their answers and tokens, what the server cached, and what ran them. */
import type { Collected, CollectedRun } from "./collect.ts";
import type { NoiseEffect } from "./noise_effect.ts";
import { isEstimate, type RunInfo } from "./records.ts";
import type { CandidateSummary, Warning } from "./summary_schema.ts";

/** The data that warnings are derived from. */
export interface Facts {
  readonly info: RunInfo;
  readonly run: CollectedRun;
  readonly rows: readonly CandidateSummary[];
  readonly noise: NoiseEffect;
}

export type Finding = Omit<Warning, "candidates"> & { readonly candidates?: string[] };

export const measured = ({ rows }: Facts) => rows.filter(({ requests }) => requests.ok > 0);

export const idsOf = (rows: readonly { readonly id: string }[]) => rows.map(({ id }) => id);

export const collected = ({ run }: Pick<Facts, "run">) => [...run.candidates.values()];

const infoIds = (candidates: readonly Collected[]) => candidates.map(({ info }) => info.id);

export function estimatedTokens(facts: Facts): Finding[] {
  const rows = measured(facts).filter(({ tokens }) => isEstimate(tokens.source));
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

export function notStreamed(facts: Facts): Finding[] {
  const whole = collected(facts).filter(({ good }) => good.some(({ streamed }) => !streamed));
  if (whole.length === 0) return [];
  return [{
    code: "not-streamed",
    candidates: infoIds(whole),
    message: `${infoIds(whole).join(", ")}: answers were not streamed: there is no TTFT, TPOT or ITL`,
    remedy: "compare E2E latency, or measure through a service that streams",
  }];
}

export function answersCut(facts: Facts): Finding[] {
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

export function lengthsDiffer(facts: Facts): Finding[] {
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

export function prefix({ info }: Facts): Finding[] {
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

export function cacheHit(facts: Facts): Finding[] {
  if (facts.info.plan.prefix !== "cold") return [];
  const hit = collected(facts).filter(({ good }) => {
    const shares = good.map(({ cachedTokens, promptTokens }) => (cachedTokens ?? NaN) / (promptTokens ?? NaN))
      .filter(Number.isFinite);
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

/** Where no nonce opens the prompt, the prompt of one candidate is cached for the next. */
export function sharedCache({ info: { plan, candidates } }: Facts): Finding[] {
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

export function serverDisagrees(facts: Facts): Finding[] {
  return collected(facts).flatMap(({ info, good }) => {
    const errors = good.flatMap(({ serverDecodeError }) => serverDecodeError ?? []);
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

/** The run has variants for several devices, and all of them ran on the CPU. */
export function oneDevice(facts: Facts): Finding[] {
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

export function deviceFallback({ rows, info }: Facts): Finding[] {
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
export function engineWays({ rows }: Facts): Finding[] {
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

export function plainTemplate({ info }: Facts): Finding[] {
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

/** An endpoint that doesn't accept the plan's requests answers a different question than the others. */
export function requestChanged({ info }: Facts): Finding[] {
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

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}
