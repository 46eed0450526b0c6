/**
 * Two runs side by side: the data that a comparison needs of each (values by prompt and block, and answers,
 * in one pass each), whether their conditions let times be compared, and which answers changed.
 */
import { collectRecords } from "./collect.ts";
import { readAnswers, readRunInfo, readSamples } from "./read_run.ts";
import { type CandidateInfo, isEstimate, type PlanInfo, type RunInfo } from "./records.ts";

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
  /** At most 5,000; compared as text at temperature 0. */
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

const MOST_ANSWERS = 5000;

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
  const { prompts } = info.plan.prompt_set;
  const good = new Set<string>();
  const run = await collectRecords(readSamples(folder), {
    candidates: info.candidates,
    promptIds: prompts.map(({ id }) => id),
    slo: null,
    watch: (record) => {
      if (record.kind === "request" && record.phase === "timed" && record.status === "ok") {
        good.add(record.id);
      }
    },
  });
  const answers = await answersByCandidate(folder, info, good);
  const isQuiet = 2 * run.disturbed.size <= run.blocks.size;
  const counts = (block: number) => !isQuiet || !run.disturbed.has(block);
  const hashOf = (prompt: number) => prompts[prompt]?.sha256 ?? "";
  return {
    name,
    info,
    busy: isQuiet ? null : [...run.disturbed.values()].at(-1) ?? "",
    candidates: [...run.candidates.values()].map(({ info, timed, good, left }): RunCandidate => ({
      info,
      ok: good.length,
      failed: timed.length - good.length,
      outcomes: timed.map(({ prompt, failure }) => ({ prompt: hashOf(prompt), failed: failure !== null })),
      reason: timed.find(({ failure }) => failure !== null)?.failure ?? left?.reason ?? null,
      estimated: good.some(({ tokenSource }) => isEstimate(tokenSource)),
      values: good.filter(({ block }) => counts(block)).map((request) => ({
        prompt: hashOf(request.prompt),
        block: request.block,
        metrics: request,
        outputTokens: request.outputTokens,
      })),
      answers: answers.get(info.id) ?? [],
    })),
  };
}

/** @param good the requests whose answers are wanted */
async function answersByCandidate(
  folder: string,
  { candidates, plan }: RunInfo,
  good: ReadonlySet<string>,
): Promise<Map<string, RunAnswer[]>> {
  const hashes = new Map(plan.prompt_set.prompts.map(({ id, sha256 }) => [id, sha256]));
  const answers = new Map(candidates.map(({ id }) => [id, new Array<RunAnswer>()]));
  for await (const { id, candidate, prompt_id, round, content } of readAnswers(folder)) {
    const own = answers.get(candidate);
    if (own === undefined || !good.has(id) || own.length >= MOST_ANSWERS) continue;
    own.push({ prompt: hashes.get(prompt_id) ?? prompt_id, round, text: content });
  }
  return answers;
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
  { what: "versions", of: ({ info }) => versionsText(info.versions), blocking: false },
  { what: "prompt set", of: ({ info }) => promptSetText(info.plan.prompt_set), blocking: false },
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

function versionsText(all: Readonly<Record<string, string>>): string {
  return Object.entries(all).sort().map(([name, version]) => `${name} ${version}`).join(", ");
}

function promptSetText({ name, sha256, prompts }: ComparableRun["info"]["plan"]["prompt_set"]): string {
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
