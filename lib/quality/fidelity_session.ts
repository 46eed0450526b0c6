/** From two candidates' names to the figures of `fidelity`: through the same first stage as every other task. */
import {
  candidateFile,
  type CandidateRequest,
  chooseCandidates,
  type MeasureOptions,
  runSession,
  type SessionPlan,
  type SessionResources,
} from "../bench/session.ts";
import type { ChosenCandidates } from "../bench/find_candidates.ts";
import type { NamedCandidate } from "../bench/named_candidate.ts";
import type { EngineOptions } from "../engine/options.ts";
import { prepareEngine } from "../engine/supervisor.ts";
import { compareOverText } from "../engine/text_comparison.ts";
import { UserError } from "../errors.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import { seededRandom } from "../stats/random.ts";
import { type JobFidelity, jobFidelity, type TextFidelity, textFidelity } from "./fidelity.ts";
import { writeQuality } from "./quality.ts";

export { FIDELITY_DEFAULTS } from "./fidelity.ts";

/** Two candidates' names, as `--models` takes them; the second is compared with the first. */
export type CandidatePair = readonly [first: string, second: string];

/** What a text is read with. */
export interface ReadOptions {
  readonly text: string;
  /** Tokens per block. */
  readonly blockTokens: number;
  /** Most tokens of the text that are read. */
  readonly mostTokens: number;
  readonly onBlock?: (done: number, all: number) => void;
  /** @default all */
  readonly downloads?: CandidateRequest["downloads"];
}

/** Both run on the processor: logits are read there, and the job has to compare the same thing. */
const onProcessor = { services: [], engine: { gpu: "off" } } as const;

/**
 * Makes two candidates read a text, and compares their predictions.
 *
 * @returns the candidates' ids and the figures
 * @throws {UserError} for a name that is unknown, an adapter, a model on a GPU, models that don't fit in
 * memory together or have different vocabularies, and a text that is too short
 *
 * ```ts ignore
 * const { ids, fidelity } = await compareTexts(["smollm2-135m", "smollm2-135m:kv=q4_0"], options, resources);
 * ```
 */
export async function compareTexts(
  names: CandidatePair,
  { text, blockTokens, mostTokens, onBlock, downloads = "all" }: ReadOptions,
  resources: SessionResources,
): Promise<{ ids: [string, string]; fidelity: TextFidelity }> {
  const chosen = await chooseCandidates({ names, downloads, ...onProcessor }, resources);
  chosen.client.close();
  if (chosen.order === "by model") {
    throw new UserError(
      "the two models don't fit in memory together: close other programs or take smaller ones",
      1,
    );
  }
  const [first, second] = chosen.named;
  if (first === undefined || second === undefined) throw new RangeError("two candidates are compared");
  const models: [EngineOptions, EngineOptions] = [
    await engineOptionsOf(first, blockTokens, chosen, resources),
    await engineOptionsOf(second, blockTokens, chosen, resources),
  ];
  await prepareEngine({ denoPath: resources.denoPath });
  const { env, clock, signal, denoPath } = resources;
  const read = await compareOverText({ text, blockTokens, mostTokens, models }, {
    denoPath,
    env: { get: (name) => env.get(name) },
    clock,
    signal,
    ...(onBlock === undefined ? {} : { onBlock }),
  });
  const fidelity = textFidelity(read, blockTokens, seededRandom("fidelity"));
  return { ids: [first.info.id, second.info.id], fidelity };
}

async function engineOptionsOf(
  named: NamedCandidate,
  blockTokens: number,
  chosen: ChosenCandidates,
  resources: SessionResources,
): Promise<EngineOptions> {
  const { id } = named.info;
  if (named.kind === "endpoint" || named.variant.adapter !== null) {
    throw new UserError(
      `${id}: the probabilities of its whole vocabulary can't be read: give a GGUF model that Podium runs itself`,
    );
  }
  const { gpu = "off", contextTokens, ...engine } = named.engine;
  if (gpu !== "off" && gpu !== "auto") {
    throw new UserError(`${id}: a text is read on the processor: leave out gpu=${gpu}`);
  }
  if (contextTokens !== undefined && contextTokens < blockTokens) {
    throw new UserError(
      `${id}: a block of ${blockTokens} tokens doesn't fit into context=${contextTokens}: ` +
        `give --block ${contextTokens}`,
    );
  }
  const path = await candidateFile(named, chosen, resources).catch((error) => {
    throw error instanceof UserError ? new UserError(`${id}: ${error.message}`, error.exitCode) : error;
  });
  const stated = Object.fromEntries(Object.entries(engine).filter(([, value]) => value !== undefined));
  return { modelPath: path, modelId: id, gpu: "off", ...stated };
}

/** The settings of `compareOnJob`. */
export interface JobComparison extends Omit<MeasureOptions, "resources" | "resumed"> {
  readonly set: PromptSet;
  readonly epsilon: number;
  readonly maxTokens: number;
  readonly timeoutS: number;
}

/** A job that two candidates answered, and its records. */
export interface ComparedJob {
  readonly ids: [string, string];
  readonly folder: string;
  /** Null where fewer than two cases were answered by both. */
  readonly fidelity: JobFidelity | null;
}

/**
 * Runs a job with two candidates, at temperature 0 and with unchanged prompts, and compares the scores.
 *
 * @throws {UserError} as `runSession`, and for a job without checks
 *
 * ```ts ignore
 * const { fidelity } = await compareOnJob(["smollm2-135m", "smollm2-135m:kv=q4_0"], { set, epsilon: 0.1, ...how }, resources);
 * ```
 */
export async function compareOnJob(
  names: CandidatePair,
  { set, epsilon, maxTokens, timeoutS, ...how }: JobComparison,
  resources: SessionResources,
): Promise<ComparedJob> {
  if (set.prompts.every(({ checks }) => checks.length === 0)) {
    throw new UserError(`${set.name} has no checks, so its answers can't be scored: give a job with checks`);
  }
  const plan: SessionPlan = {
    prompts: set,
    rounds: 1,
    warmup: 0,
    prefix: "as is",
    temperature: 0,
    maxTokens,
    timeoutS,
  };
  const { folder, summary } = await runSession({ names, ...onProcessor, plan }, resources, how);
  const [first, second] = summary.candidates;
  if (first === undefined || second === undefined) throw new RangeError("two candidates are compared");
  const ids: [string, string] = [first.id, second.id];
  const report = await writeQuality(folder, set);
  return { ids, folder, fidelity: jobFidelity(report, ids, epsilon) };
}
