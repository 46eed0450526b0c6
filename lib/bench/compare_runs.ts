/**
 * Two runs side by side: the data that a comparison needs of each (values by prompt and block, and answers,
 * in one pass each), whether their conditions let times be compared, and which answers changed.
 */
import { readAnswers, readRunInfo, readSamples } from "./folder.ts";
import { byMetric, metrics } from "./metrics.ts";
import {
  type CandidateInfo,
  isEstimate,
  type PlanInfo,
  type RequestRecord,
  type RunInfo,
} from "./records.ts";

/** The metrics in which two runs are compared, in the order in which they are shown. */
export const comparedMetrics = ["latency_s", "ttft_s", "decode_tokens_per_s", "output_chars_per_s"] as const;
export type ComparedMetric = typeof comparedMetrics[number];

/** One good timed request. */
export interface RunValue {
  /** The prompt's hash: two runs have a prompt in common when its text is the same. */
  readonly prompt: string;
  readonly block: number;
  readonly metrics: Readonly<Record<ComparedMetric, number | null>>;
  readonly outputTokens: number;
}

/** One answer, with the key of the same question in another run. */
export interface RunAnswer {
  readonly prompt: string;
  readonly round: number;
  readonly text: string;
}

/** One candidate of a run. */
export interface RunCandidate {
  readonly info: CandidateInfo;
  readonly ok: number;
  readonly failed: number;
  /** Every timed request, good or not, by its prompt's hash. */
  readonly outcomes: readonly { readonly prompt: string; readonly failed: boolean }[];
  /** The reason of its first failure, or of leaving the run. */
  readonly reason: string | null;
  /** True where any of its token counts is an estimate. */
  readonly estimated: boolean;
  readonly values: readonly RunValue[];
  /** At most `maxAnswers`; compared as text at temperature 0. */
  readonly answers: readonly RunAnswer[];
}

/** The data of a run that a comparison uses. */
export interface ComparableRun {
  /** As the user named it. */
  readonly name: string;
  readonly info: RunInfo;
  readonly candidates: readonly RunCandidate[];
  /**
   * The program that kept the machine busy in most blocks, so that the times are not the candidates' own;
   * null on a quiet machine.
   */
  readonly busy: string | null;
}

const maxAnswers = 5000;

interface Draft {
  readonly info: CandidateInfo;
  ok: number;
  failed: number;
  outcomes: { prompt: string; failed: boolean }[];
  reason: string | null;
  estimated: boolean;
  values: RunValue[];
  answers: RunAnswer[];
}

/**
 * Reads the run in `folder`. Disturbed blocks are left out where most blocks were quiet, as in its summary.
 *
 * @param name the run's name in the comparison
 * @throws {UserError} when the folder holds no run, or a record is damaged
 * @example
 * ```ts ignore
 * const before = await readComparableRun("reports/2026-11-20T10-00-00-ab12", "before");
 * ```
 */
export async function readComparableRun(folder: string, name: string): Promise<ComparableRun> {
  const info = await readRunInfo(folder);
  const hashes = new Map(info.plan.prompt_set.prompts.map((prompt) => [prompt.id, prompt.sha256]));
  const drafts = new Map(info.candidates.map((candidate) => [candidate.id, emptyDraft(candidate)]));
  const disturbed = new Set<number>();
  let reason = "";
  const blocks = new Set<number>();
  const good = new Set<string>();
  for await (const record of readSamples(folder)) {
    if (record.kind === "machine" && record.disturbed !== null) {
      disturbed.add(record.block);
      reason = record.disturbed;
    }
    if (record.kind === "candidate") {
      const draft = drafts.get(record.candidate);
      if (draft !== undefined) draft.reason ??= record.reason;
    }
    if (record.kind !== "request" || record.phase !== "timed") continue;
    blocks.add(record.block);
    const prompt = hashes.get(record.prompt_id) ?? record.prompt_id;
    const draft = drafts.get(record.candidate);
    if (draft !== undefined && addRequest(draft, record, prompt)) good.add(record.id);
  }
  for await (const answer of readAnswers(folder)) {
    const draft = drafts.get(answer.candidate);
    if (draft === undefined || !good.has(answer.id) || draft.answers.length >= maxAnswers) continue;
    const prompt = hashes.get(answer.prompt_id) ?? answer.prompt_id;
    draft.answers.push({ prompt, round: answer.round, text: answer.content });
  }
  const quiet = 2 * disturbed.size <= blocks.size;
  for (const draft of drafts.values()) {
    if (quiet) draft.values = draft.values.filter((value) => !disturbed.has(value.block));
  }
  return { name, info, candidates: [...drafts.values()], busy: quiet ? null : reason };
}

function emptyDraft(info: CandidateInfo): Draft {
  return { info, ok: 0, failed: 0, outcomes: [], reason: null, estimated: false, values: [], answers: [] };
}

/** True for a good request. */
function addRequest(draft: Draft, record: RequestRecord, prompt: string): boolean {
  draft.outcomes.push({ prompt, failed: record.status !== "ok" });
  if (record.status !== "ok") {
    draft.failed++;
    draft.reason ??= record.reason;
    return false;
  }
  draft.ok++;
  draft.estimated ||= isEstimate(record.token_source);
  draft.values.push({
    prompt,
    block: record.block,
    metrics: byMetric(comparedMetrics, (name) => metrics[name].of(record)),
    outputTokens: record.output_tokens,
  });
  return true;
}

/** Something that differs between two runs. */
export interface ConditionDifference {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  /** True where times can't be compared; false for a mere note. */
  readonly blocking: boolean;
}

type Field = {
  readonly what: string;
  readonly of: (run: ComparableRun) => string;
  readonly blocking: boolean;
};

const fields: readonly Field[] = [
  { what: "processor", of: ({ info }) => `${info.machine.cpu}, ${info.machine.cores} cores`, blocking: true },
  {
    what: "memory of the machine",
    of: ({ info }) => `${Math.round(info.machine.ram_gb)} GB`,
    blocking: true,
  },
  { what: "GPU", of: ({ info }) => info.machine.gpu.join(", ") || "none seen", blocking: true },
  { what: "system", of: ({ info }) => `${info.machine.os} ${info.machine.arch}`, blocking: false },
  { what: "max_tokens", of: ({ info }) => String(info.plan.max_tokens), blocking: true },
  { what: "prefix", of: ({ info }) => info.plan.prefix, blocking: true },
  { what: "temperature", of: ({ info }) => String(info.plan.temperature), blocking: true },
  { what: "concurrency", of: ({ info }) => String(info.plan.concurrency), blocking: true },
  {
    what: "rate",
    of: ({ info }) => info.plan.rate === null ? "none" : `${info.plan.rate}/s`,
    blocking: true,
  },
  {
    what: "fixed output",
    of: ({ info }) => info.plan.fixed_output === true ? "on" : "off",
    blocking: true,
  },
  { what: "kind of run", of: ({ info }) => info.plan.mode, blocking: false },
  { what: "order", of: ({ info }) => info.plan.order, blocking: false },
  { what: "rounds", of: ({ info }) => String(info.plan.rounds), blocking: false },
  { what: "versions", of: ({ info }) => versions(info.versions), blocking: false },
  { what: "prompt set", of: ({ info }) => promptSet(info.plan.prompt_set), blocking: false },
  { what: "status of the run", of: ({ info }) => info.status, blocking: false },
];

/**
 * What differs between the conditions of two runs. A different prompt set does not prevent a comparison: only
 * the common prompts are compared.
 *
 * @example
 * ```ts ignore
 * const blocking = conditionDifferences(before, after).filter((one) => one.blocking);
 * ```
 */
export function conditionDifferences(before: ComparableRun, after: ComparableRun): ConditionDifference[] {
  return fields.flatMap(({ what, of, blocking }) => {
    const [left, right] = [of(before), of(after)];
    return left === right ? [] : [{ what, before: left, after: right, blocking }];
  });
}

function versions(all: Readonly<Record<string, string>>): string {
  return Object.entries(all).sort().map(([name, version]) => `${name} ${version}`).join(", ");
}

function promptSet({ name, sha256, prompts }: ComparableRun["info"]["plan"]["prompt_set"]): string {
  return `${name} (${prompts.length} prompts, ${sha256.slice(0, 8)})`;
}

/** Which answers changed between two runs. */
export interface AnswerChanges {
  readonly compared: number;
  readonly changed: readonly {
    readonly prompt: string;
    readonly round: number;
    readonly before: string;
    readonly after: string;
  }[];
  /** Why texts were not compared; null where they were. */
  readonly skipped: string | null;
}

/**
 * Compares the answers of one candidate to the same prompt in the same round.
 *
 * @example
 * ```ts ignore
 * const { changed } = compareAnswers({ before, after }, runBefore.info, runAfter.info);
 * ```
 */
export function compareAnswers(
  { before, after }: { readonly before: RunCandidate; readonly after: RunCandidate },
  runBefore: RunInfo,
  runAfter: RunInfo,
): AnswerChanges {
  const skipped = whyNotText(runBefore.plan, runAfter.plan);
  if (skipped !== null) return { compared: 0, changed: [], skipped };
  const key = (answer: RunAnswer) => `${answer.round} ${answer.prompt}`;
  const earlier = new Map(before.answers.map((answer) => [key(answer), answer.text]));
  const ids = new Map(runAfter.plan.prompt_set.prompts.map((prompt) => [prompt.sha256, prompt.id]));
  const common = after.answers.flatMap((answer) => {
    const text = earlier.get(key(answer));
    return text === undefined ? [] : [{ answer, text }];
  });
  const changed = common.filter(({ answer, text }) => answer.text !== text).map(({ answer, text }) => ({
    prompt: ids.get(answer.prompt) ?? answer.prompt,
    round: answer.round,
    before: text,
    after: answer.text,
  }));
  return { compared: common.length, changed, skipped: null };
}

/** Texts are compared only where the same question must give the same answer. */
function whyNotText(left: PlanInfo, right: PlanInfo): string | null {
  if (left.temperature !== 0 || right.temperature !== 0) return "the temperature is not 0";
  if (left.max_tokens !== right.max_tokens) return "max_tokens differs";
  if (left.prefix !== right.prefix) return "the prefix differs";
  // The number that opens a cold prompt is made from the run's own id.
  if (left.prefix === "cold") {
    return "with a cold prefix another number opens every prompt; measure with --prefix warm to compare texts";
  }
  return null;
}
