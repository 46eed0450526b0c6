/** The quality gate: every candidate answers the prompts once, at temperature 0, and is scored. */
import type { NamedCandidate } from "../../lib/bench/named_candidate.ts";
import { UserError } from "../../lib/errors.ts";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import type { QualityReport } from "../../lib/quality/quality_schema.ts";
import { execute } from "../bench/execute.ts";
import type { BenchSettings } from "../bench/options.ts";
import { interruptSignal } from "../cli.ts";

/**
 * Captures and scores answers as `quality capture` does. Candidates that differ in threads or device alone answer each
 * for itself: such settings change some answers.
 *
 * @throws {UserError} when no prompt has checks
 */
export async function qualityGate(
  candidates: readonly NamedCandidate[],
  settings: BenchSettings,
  set: PromptSet,
): Promise<{ report: QualityReport; folder: string }> {
  if (!set.prompts.some(({ checks }) => checks.length > 0)) {
    throw new UserError(
      `a quality floor needs checks, and no prompt of ${set.name} has any: give --prompts ` +
        "prompts/meeting_notes.json, or --quality RUN with answers that were scored",
    );
  }
  const models = candidates.map(({ info }) => `${info.model_id}@${info.endpoint}`);
  console.error("The quality gate first.");
  const gate: BenchSettings = {
    ...settings,
    models,
    rounds: 1,
    warmup: 0,
    prefix: "as is",
    temperature: 0,
  };
  const { folder } = await execute(gate, set);
  interruptSignal().throwIfAborted();
  return { report: await writeQuality(folder, set), folder };
}
